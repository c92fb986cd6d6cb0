"""The judge of the campaign: each invariant has a world in which it does not hold, and the judge says so."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from core.repository.sqlite import open_sqlite
from tests.contract.repositories import enter
from tests.faults import books, ledger
from tests.faults.books import MOST_LOG, Books, Row
from tests.faults.cases.soak import MOST_GROWTH, WARM_UP, Look, grown
from tests.faults.judge import Allowance, count_runs, judge
from tests.faults.ledger import Ledger, Noted
from tests.faults.values import Invariant, Outcome

GOOD = Row("a", "done", '"A"', 1, None)
BOOKS = Books({"a": GOOD}, 1, {"done": 1, "queued": 0}, "ok", 0)
NOTED = Noted(frozenset({"a"}), frozenset({"a"}), frozenset(), {})
RUNS = {"a": 1}


def told(books: Books = BOOKS, noted: Noted = NOTED, runs: dict[str, int] | None = None, **allowed: float) -> Outcome:
    allowance = Allowance(run_twice=allowed.get("run_twice", 1.0), most_runs=int(allowed.get("most_runs", 6)))
    return judge(noted, books, RUNS if runs is None else runs, lambda name: f'"{name.upper()}"', allowance)


def with_row(**changes: object) -> Books:
    row = replace(GOOD, **changes)
    return Books({row.id: row}, 1, {row.state: 1}, "ok", 0)


def invariants(outcome: Outcome) -> list[Invariant]:
    return [finding.invariant for finding in outcome.broken]


def test_a_good_world_holds() -> None:
    assert told() == Outcome(tasks=1)


@pytest.mark.parametrize("state", ["accepted", "queued", "retrying"])
def test_an_accepted_task_that_has_not_ended_is_lost(state: str) -> None:
    outcome = told(with_row(state=state, result=None))
    assert invariants(outcome) == [Invariant.NO_LOSS]
    assert outcome.lost == 1


def test_an_accepted_task_that_is_not_in_the_books_is_lost() -> None:
    outcome = told(Books({}, 0, {}, "ok", 0))
    assert invariants(outcome) == [Invariant.NO_LOSS]
    assert outcome.lost == 1


def test_a_sent_task_without_an_answer_may_be_in_the_books_or_not() -> None:
    noted = Noted(frozenset({"a", "b"}), frozenset({"a"}), frozenset(), {})
    assert told(noted=noted).broken == ()
    assert told(noted=Noted(frozenset({"a"}), frozenset(), frozenset(), {})).broken == ()


def test_a_second_row_is_seen() -> None:
    outcome = told(replace(BOOKS, count=2))
    assert invariants(outcome) == [Invariant.ONCE]
    assert outcome.stored_twice == 1


def test_another_tasks_result_is_seen() -> None:
    assert invariants(told(with_row(result='"B"'))) == [Invariant.ONCE]


def test_an_honest_task_that_failed_is_seen_and_one_that_should_have() -> None:
    failed = with_row(state="failed", result=None, error_type="Oops")
    assert invariants(told(failed)) == [Invariant.ONCE]
    to_fail = Allowance(failed=lambda name: name == "a")
    assert judge(NOTED, failed, RUNS, lambda _: None, to_fail).broken == ()
    assert invariants(judge(NOTED, BOOKS, RUNS, lambda _: None, to_fail)) == [Invariant.ONCE]


def test_a_task_that_nobody_sent_is_seen() -> None:
    outcome = told(Books({"a": GOOD, "x": replace(GOOD, id="x", result='"X"')}, 2, {"done": 2}, "ok", 0))
    assert invariants(outcome) == [Invariant.NOTHING_INVENTED, Invariant.RUNS]


def test_books_that_do_not_add_up_are_seen() -> None:
    assert invariants(told(replace(BOOKS, ledger={"done": 2}))) == [Invariant.CONSERVED]


def test_a_task_that_is_done_and_never_ran_is_seen() -> None:
    assert invariants(told(runs={})) == [Invariant.RUNS]


def test_too_many_runs_are_seen() -> None:
    outcome = told(runs={"a": 2}, run_twice=0.5)
    assert invariants(outcome) == [Invariant.RUNS]
    assert outcome.run_twice == 1
    assert told(runs={"a": 2}).broken == ()
    assert invariants(told(runs={"a": 7})) == [Invariant.RUNS]


def test_a_damaged_file_and_a_log_without_end_are_seen() -> None:
    assert invariants(told(replace(BOOKS, integrity="row 7 is missing"))) == [Invariant.SOUND]
    assert invariants(told(replace(BOOKS, log_bytes=MOST_LOG + 1))) == [Invariant.SOUND]


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as book:
        book.sending(["a", "b", "c", "d"])
        book.answered([("a", "accepted"), ("b", "repeated"), ("c", "invalid")])
        book.answered([("d", "overloaded")])
        book.answered([("d", "accepted")])
    noted = ledger.read(tmp_path / "ledger")
    assert noted.sent == {"a", "b", "c", "d"}
    assert noted.accepted == {"a", "b", "d"}
    assert noted.repeated == {"b"}
    assert noted.refused == {"c": "invalid"}
    assert noted.unknown == frozenset()


def test_a_journal_is_read_without_the_code_that_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "resultados.db"
    with open_sqlite(path, durable=True) as repository:
        enter(repository, "a", "b")
        found = books.read(path)
        assert books.unfinished(path) == 2
    assert (set(found.rows), found.count, found.integrity) == ({"a", "b"}, 2, "ok")
    assert found.rows["a"].state == "accepted"
    assert {state: count for state, count in found.ledger.items() if count} == {"accepted": 2}


def test_runs_are_counted(tmp_path: Path) -> None:
    assert count_runs(tmp_path / "none") == {}
    (tmp_path / "trace").write_text("a\nb\na\n")
    assert count_runs(tmp_path / "trace") == {"a": 2, "b": 1}


def test_what_grows_in_a_soak_is_seen_and_what_has_only_warmed_up_is_not() -> None:
    first, warm = Look(1, 50, 20, 0), Look(WARM_UP, 100, 20, 0)
    assert grown([first]) == []
    assert grown([first, warm, replace(warm, at=WARM_UP + 30)]) == []
    larger = Look(WARM_UP + 30, int(100 * MOST_GROWTH) + 1, 40, MOST_LOG + 1)
    assert [each.invariant for each in grown([first, warm, larger])] == [
        Invariant.CLEAN,
        Invariant.CLEAN,
        Invariant.SOUND,
    ]
