"""The judge of the campaign: for each invariant, a journal that breaks it and is found."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from core.repository.sqlite import open_sqlite
from tests.contract.repositories import enter
from tests.faults import journal_reader, submission_log
from tests.faults.cases.soak import MAX_GROWTH, WARM_UP, Sample, find_growth
from tests.faults.journal_reader import MAX_LOG_BYTES, JournalContents, Row
from tests.faults.judge import Allowance, count_runs, judge
from tests.faults.submission_log import SubmissionLog, Submissions
from tests.faults.values import Invariant, Outcome

GOOD = Row("a", "done", '"A"', 1, None)
JOURNAL = JournalContents({"a": GOOD}, 1, {"done": 1, "queued": 0}, "ok", 0)
SUBMISSIONS = Submissions(frozenset({"a"}), frozenset({"a"}), frozenset(), {})
RUNS = {"a": 1}


def verdict(
    journal: JournalContents = JOURNAL,
    submissions: Submissions = SUBMISSIONS,
    runs: dict[str, int] | None = None,
    **allowed: float,
) -> Outcome:
    allowance = Allowance(run_twice=allowed.get("run_twice", 1.0), max_runs=int(allowed.get("most_runs", 6)))
    return judge(submissions, journal, RUNS if runs is None else runs, lambda name: f'"{name.upper()}"', allowance)


def with_row(**changes: object) -> JournalContents:
    row = replace(GOOD, **changes)
    return JournalContents({row.id: row}, 1, {row.state: 1}, "ok", 0)


def invariants(outcome: Outcome) -> list[Invariant]:
    return [finding.invariant for finding in outcome.broken]


def test_a_sound_journal_holds() -> None:
    assert verdict() == Outcome(tasks=1)


@pytest.mark.parametrize("state", ["accepted", "queued", "retrying"])
def test_an_accepted_task_that_has_not_ended_is_lost(state: str) -> None:
    outcome = verdict(with_row(state=state, result=None))
    assert invariants(outcome) == [Invariant.NO_LOSS]
    assert outcome.lost == 1


def test_an_accepted_task_that_is_not_in_the_journal_is_lost() -> None:
    outcome = verdict(JournalContents({}, 0, {}, "ok", 0))
    assert invariants(outcome) == [Invariant.NO_LOSS]
    assert outcome.lost == 1


def test_a_sent_task_without_an_answer_may_be_in_the_journal_or_not() -> None:
    submissions = Submissions(frozenset({"a", "b"}), frozenset({"a"}), frozenset(), {})
    assert verdict(submissions=submissions).broken == ()
    assert verdict(submissions=Submissions(frozenset({"a"}), frozenset(), frozenset(), {})).broken == ()


def test_a_second_row_is_found() -> None:
    outcome = verdict(replace(JOURNAL, count=2))
    assert invariants(outcome) == [Invariant.ONCE]
    assert outcome.stored_twice == 1


def test_a_wrong_result_is_found() -> None:
    assert invariants(verdict(with_row(result='"B"'))) == [Invariant.ONCE]


def test_a_task_that_wrongly_failed_or_succeeded_is_found() -> None:
    failed = with_row(state="failed", result=None, error_type="Oops")
    assert invariants(verdict(failed)) == [Invariant.ONCE]
    to_fail = Allowance(failed=lambda name: name == "a")
    assert judge(SUBMISSIONS, failed, RUNS, lambda _: None, to_fail).broken == ()
    assert invariants(judge(SUBMISSIONS, JOURNAL, RUNS, lambda _: None, to_fail)) == [Invariant.ONCE]


def test_a_task_that_was_never_sent_is_found() -> None:
    outcome = verdict(JournalContents({"a": GOOD, "x": replace(GOOD, id="x", result='"X"')}, 2, {"done": 2}, "ok", 0))
    assert invariants(outcome) == [Invariant.NOTHING_INVENTED, Invariant.RUNS]


def test_a_ledger_that_does_not_match_the_rows_is_found() -> None:
    assert invariants(verdict(replace(JOURNAL, ledger={"done": 2}))) == [Invariant.CONSERVED]


def test_a_task_that_is_done_and_never_ran_is_found() -> None:
    assert invariants(verdict(runs={})) == [Invariant.RUNS]


def test_too_many_runs_are_found() -> None:
    outcome = verdict(runs={"a": 2}, run_twice=0.5)
    assert invariants(outcome) == [Invariant.RUNS]
    assert outcome.run_twice == 1
    assert verdict(runs={"a": 2}).broken == ()
    assert invariants(verdict(runs={"a": 7})) == [Invariant.RUNS]


def test_a_damaged_file_and_an_unbounded_log_are_found() -> None:
    assert invariants(verdict(replace(JOURNAL, integrity="row 7 is missing"))) == [Invariant.SOUND]
    assert invariants(verdict(replace(JOURNAL, log_bytes=MAX_LOG_BYTES + 1))) == [Invariant.SOUND]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    with SubmissionLog(tmp_path / "log") as log:
        log.record_sent(["a", "b", "c", "d"])
        log.record_answers([("a", "accepted"), ("b", "repeated"), ("c", "invalid")])
        log.record_answers([("d", "overloaded")])
        log.record_answers([("d", "accepted")])
    submissions = submission_log.read(tmp_path / "log")
    assert submissions.sent == {"a", "b", "c", "d"}
    assert submissions.accepted == {"a", "b", "d"}
    assert submissions.repeated == {"b"}
    assert submissions.refused == {"c": "invalid"}
    assert submissions.unknown == frozenset()


def test_a_journal_is_read_without_the_code_under_test(tmp_path: Path) -> None:
    path = tmp_path / "resultados.db"
    with open_sqlite(path, durable=True) as repository:
        enter(repository, "a", "b")
        contents = journal_reader.read(path)
        assert journal_reader.unfinished(path) == 2
    assert (set(contents.rows), contents.count, contents.integrity) == ({"a", "b"}, 2, "ok")
    assert contents.rows["a"].state == "accepted"
    assert {state: count for state, count in contents.ledger.items() if count} == {"accepted": 2}


def test_runs_are_counted(tmp_path: Path) -> None:
    assert count_runs(tmp_path / "none") == {}
    (tmp_path / "trace").write_text("a\nb\na\n")
    assert count_runs(tmp_path / "trace") == {"a": 2, "b": 1}


def test_growth_in_a_soak_is_found_except_in_the_warm_up() -> None:
    first, warm = Sample(1, 50, 20, 0), Sample(WARM_UP, 100, 20, 0)
    assert find_growth([first]) == []
    assert find_growth([first, warm, replace(warm, at=WARM_UP + 30)]) == []
    larger = Sample(WARM_UP + 30, int(100 * MAX_GROWTH) + 1, 40, MAX_LOG_BYTES + 1)
    assert [finding.invariant for finding in find_growth([first, warm, larger])] == [
        Invariant.CLEAN,
        Invariant.CLEAN,
        Invariant.SOUND,
    ]
