"""The contract of the archive: searches, and the bulk actions of operators."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.errors import JournalError
from core.model import Failure, RunningTask, State
from core.repository.archive import Archive, BulkAction
from core.repository.base import STRIKE_LIMIT, DeadLetter, Repository
from core.repository.search import Search, SortColumn, SortOrder, parse
from tests.contract.repositories import (
    NOW,
    Openers,
    begin,
    end,
    enter,
    find,
    mark,
    new_task,
    outcome,
    queue,
    state_of,
    store_outcomes,
    totals,
)

BROKEN = Failure(type="ValueError", message="100% of it_is broken", traceback="line 1", signature="abc")


def fail(repository: Repository, *task_ids: str, now: float = NOW + 7) -> list[int]:
    """Accept tasks and store failures for them. Returns their numbers."""
    seqs = queue(repository, *task_ids)
    store_outcomes(repository, *[outcome(seq, state=State.FAILED, failure=BROKEN) for seq in seqs], now=now)
    return seqs


def found(archive: Archive, text: str, order: SortOrder | None = None) -> list[str]:
    """Return the ids of the tasks that a search finds, in order."""
    seqs = archive.find(parse(text, NOW + 100), order or SortOrder())
    rows = archive.rows(seqs)
    return [rows[seq].id for seq in seqs]


def test_an_empty_journal_has_no_results(archive: Archive) -> None:
    assert list(archive.find(Search())) == []
    assert archive.rows([1]) == {}
    assert archive.task(1) is None
    assert archive.timings(0.0, 10) == []
    assert archive.kinds() == []
    assert archive.operations(10) == []


def test_ended_tasks_are_found_newest_first(journal: Repository, archive: Archive) -> None:
    enter(journal, "open")
    end(journal, "a", now=NOW + 7)
    end(journal, "b", "c", now=NOW + 8)
    assert found(archive, "") == ["c", "b", "a"]
    assert len(archive.find(Search(), limit=2)) == 2


def test_a_row_is_a_task_with_shortened_texts(journal: Repository, archive: Archive) -> None:
    with journal.transaction():
        [receipt] = journal.accept([new_task("long", '"' + "x" * 1000 + '"')], None, NOW)
    mark(journal, [receipt.seq], now=NOW + 2)
    store_outcomes(journal, outcome(receipt.seq, result="4" * 1000))
    row = archive.rows([receipt.seq])[receipt.seq]
    assert (row.id, row.kind, row.state, row.worker, row.attempts) == ("long", "echo", State.DONE, "w1", 1)
    assert (len(row.payload), len(row.outcome)) == (200, 200)
    assert (row.accepted, row.stored) == (NOW, NOW + 7)
    assert (row.waited, row.took) == (5.0, 1.0)
    assert archive.rows_by_id(["long", "unknown"]) == {"long": row}
    whole = archive.task(receipt.seq)
    assert whole is not None
    assert len(whole.payload) == 1002


@pytest.mark.parametrize("due", [None, NOW + 3])
def test_the_wait_is_from_accepted_or_due_until_the_attempt_began(
    journal: Repository, archive: Archive, due: float | None
) -> None:
    with journal.transaction():
        [receipt] = journal.accept([new_task("a", due_at=due)], None, NOW)
    # It was published late, which is a part of the wait.
    mark(journal, [receipt.seq], now=NOW + 4.9)
    store_outcomes(journal, outcome(receipt.seq, queued_at=NOW + 4.9))
    wait = NOW + 5 - (due or NOW)
    assert archive.rows([receipt.seq])[receipt.seq].waited == wait
    assert [timing.waited for timing in archive.timings(NOW, 10)] == [wait]
    assert found(archive, f"waited>={wait}s waited<={wait}s") == ["a"]
    task = archive.task(receipt.seq)
    assert task is not None
    assert task.due_at is None


def test_the_wait_before_another_attempt_begins_when_it_is_due(journal: Repository, archive: Archive) -> None:
    [seq] = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 60))
    # This attempt has not begun yet.
    assert archive.rows([seq])[seq].waited is None
    mark(journal, [seq], attempt=1, now=NOW + 61)
    store_outcomes(journal, replace(outcome(seq, 1), started_at=NOW + 62, finished_at=NOW + 63))
    assert archive.rows([seq])[seq].waited == 2.0


def test_an_attempt_after_an_operators_retry_waits_from_its_queueing_on(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a")
    apply(archive, BulkAction.RETRY, seqs)
    mark(journal, seqs, attempt=1, now=NOW + 100)
    # It runs after a redelivery, then its worker dies and it runs once more, and ends.
    begin(journal, seqs[0], "w2", at=NOW + 103)
    assert archive.rows(seqs)[seqs[0]].waited == 3.0
    begin(journal, seqs[0], "w3", at=NOW + 105)
    assert archive.rows(seqs)[seqs[0]].waited == 5.0
    store_outcomes(journal, replace(outcome(seqs[0], 1), started_at=NOW + 105, finished_at=NOW + 106))
    assert archive.rows(seqs)[seqs[0]].waited == 5.0
    assert [timing.waited for timing in archive.timings(NOW, 10)] == [5.0]
    assert found(archive, "waited>=5s waited<=5s") == ["a"]


def test_a_first_attempt_after_a_death_waits_from_its_queueing_on(journal: Repository, archive: Archive) -> None:
    [seq] = enter(journal, "a")
    mark(journal, [seq], now=NOW + 10)
    begin(journal, seq, "w2", at=NOW + 12)
    assert archive.rows([seq])[seq].waited == 12.0
    begin(journal, seq, "w3", at=NOW + 15)
    assert archive.rows([seq])[seq].waited == 5.0


def test_a_wait_that_is_not_known_is_no_wait(journal: Repository, archive: Archive) -> None:
    [seq] = enter(journal, "a")
    store_outcomes(journal, replace(outcome(seq), started_at=NOW - 1))
    assert archive.rows([seq])[seq].waited is None
    assert [(timing.waited, timing.took) for timing in archive.timings(NOW, 10)] == [(None, 7.0)]


def test_a_retry_that_was_undone_is_no_wait(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a")
    number, _ = apply(archive, BulkAction.RETRY, seqs)
    mark(journal, seqs, attempt=1, now=NOW + 30)
    assert archive.undo(number, seqs, (), NOW + 31) == 1
    assert archive.rows(seqs)[seqs[0]].waited == 5.0


def test_a_discarded_task_keeps_its_wait(journal: Repository, archive: Archive) -> None:
    with journal.transaction():
        [receipt] = journal.accept([new_task("a", due_at=NOW + 3)], None, NOW)
    mark(journal, [receipt.seq])
    store_outcomes(journal, outcome(receipt.seq, state=State.FAILED, failure=BROKEN))
    apply(archive, BulkAction.DISCARD, [receipt.seq])
    assert archive.rows([receipt.seq])[receipt.seq].waited == 2.0


def test_a_row_of_an_open_task_has_no_outcome(journal: Repository, archive: Archive) -> None:
    [seq] = enter(journal, "open")
    row = archive.rows([seq])[seq]
    assert (row.state, row.outcome, row.worker, row.stored, row.waited, row.took) == (
        *(State.ACCEPTED, "", ""),
        *(None, None, None),
    )


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("state:done", ["good"]),
        ("state:failed", ["bad_1", "bad"]),
        ("-state:failed", ["good"]),
        ("bad", ["bad_1", "bad"]),
        ("id:bad_1", ["bad_1"]),
        ("kind:ech", []),
        ("kind:ech* good", ["good"]),
        ("worker:w1", ["bad_1", "bad", "good"]),
        ("worker:w", []),
        ("error:100%", ["bad_1", "bad"]),
        ("error:1%0", []),
        ("error:it_is", ["bad_1", "bad"]),
        ("error:itxis", []),
        ("ERROR:valueerror", []),
        ("error:valueerror", ["bad_1", "bad"]),
        ("-error:broken", ["good"]),
        ("result:42", ["good"]),
        ("took>500ms", ["bad_1", "bad", "good"]),
        ("took>1m", []),
        ("-took>1m", ["bad_1", "bad", "good"]),
        ("attempts=1 state:done", ["good"]),
        ("since:91s", ["bad_1"]),
        ("before:91s", ["bad", "good"]),
        ("'; DROP TABLE tasks; --", []),
    ],
)
def test_a_search_finds_what_matches(journal: Repository, archive: Archive, text: str, ids: Sequence[str]) -> None:
    end(journal, "good", now=NOW + 7)
    fail(journal, "bad", now=NOW + 8)
    fail(journal, "bad_1", now=NOW + 9.5)
    assert found(archive, text) == ids


@pytest.mark.parametrize("column", list(SortColumn))
@pytest.mark.parametrize("descending", [True, False])
def test_every_order_has_every_task_once(
    journal: Repository, archive: Archive, column: SortColumn, *, descending: bool
) -> None:
    end(journal, *(f"t{number}" for number in range(20)))
    fail(journal, *(f"f{number}" for number in range(5)), now=NOW + 8)
    both = [list(archive.find(Search(), SortOrder(column, way))) for way in (descending, not descending)]
    assert both[0] == both[1][::-1]
    assert len(set(both[0])) == 25


def test_sorting_by_duration_puts_the_slowest_first(journal: Repository, archive: Archive) -> None:
    slow, quick = queue(journal, "slow", "quick")
    store_outcomes(journal, replace(outcome(slow), finished_at=NOW + 60), outcome(quick))
    assert found(archive, "", SortOrder(SortColumn.TOOK)) == ["slow", "quick"]


def test_very_many_results_come_in_order(journal: Repository, archive: Archive) -> None:
    end(journal, *(f"t{number}" for number in range(30_000)))
    seqs = archive.find(Search())
    assert list(seqs) == sorted(seqs, reverse=True)
    assert len(seqs) == 30_000


def test_timings_and_kinds_are_of_the_last_tasks(journal: Repository, archive: Archive) -> None:
    end(journal, "a", now=NOW + 7)
    [timing] = archive.timings(NOW + 7, 10)
    assert (timing.worker, timing.waited, timing.took) == ("w1", 5.0, 1.0)
    assert archive.timings(NOW + 8, 10) == []
    assert archive.kinds() == ["echo"]


def apply(archive: Archive, act: BulkAction, seqs: Sequence[int], now: float = NOW + 20) -> tuple[int, int]:
    """Apply an action to tasks. Returns the operation, and how many tasks it moved."""
    number = archive.begin_operation(act, "ana", now)
    return number, archive.apply(number, act, seqs, now)


def test_a_failed_task_that_is_retried_is_open_and_runs_again(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a", "b")
    done = end(journal, "c")
    number, moved = apply(archive, BulkAction.RETRY, [*seqs[:1], *done, 999])
    assert moved == 1
    assert totals(journal) == {"accepted": 1, "failed": 1, "done": 1}
    with journal.transaction():
        [dispatch] = journal.claim(1, NOW + 20, 10)
        assert (dispatch.id, dispatch.attempt) == ("a", 1)
        journal.mark_queued([dispatch], NOW + 20)
    assert store_outcomes(journal, outcome(seqs[0], 1)) == [True]
    assert state_of(journal, "a") is State.DONE
    assert journal.audit().is_consistent
    [operation] = archive.operations(10)
    assert (operation.number, operation.action, operation.user, operation.tasks) == (number, BulkAction.RETRY, "ana", 1)
    assert operation.undone_at is None


def test_a_failed_task_that_is_discarded_is_cancelled_and_keeps_its_failure(
    journal: Repository, archive: Archive
) -> None:
    seqs = fail(journal, "a")
    apply(archive, BulkAction.DISCARD, seqs)
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.failure) == (State.CANCELLED, BROKEN)
    assert totals(journal) == {"cancelled": 1}
    assert journal.audit().is_consistent


def undo(archive: Archive, operation: int, now: float, *running: str) -> int:
    """Undo an operation. Returns how many tasks have failed again."""
    moved = archive.undo(operation, archive.tasks_moved_by(operation), running, now)
    archive.mark_undone(operation, now)
    return moved


@pytest.mark.parametrize("act", list(BulkAction))
def test_an_operation_can_be_undone(journal: Repository, archive: Archive, act: BulkAction) -> None:
    seqs = fail(journal, "a", "b")
    number, _ = apply(archive, act, seqs)
    assert undo(archive, number, NOW + 30) == 2
    assert totals(journal) == {"failed": 2}
    assert journal.audit().is_consistent
    assert archive.operations(1)[0].undone_at == NOW + 30
    assert undo(archive, number, NOW + 31) == 0


def test_tasks_that_run_or_have_ended_are_not_undone(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "ended", "runs", "waits")
    number, _ = apply(archive, BulkAction.RETRY, seqs)
    mark(journal, seqs, attempt=1)
    store_outcomes(journal, outcome(seqs[0], 1))
    running = RunningTask("runs", "echo", NOW)
    assert undo(archive, number, NOW + 30, running.id) == 1
    assert totals(journal) == {"done": 1, "queued": 1, "failed": 1}
    # An outcome that was already on its way changes nothing.
    assert store_outcomes(journal, outcome(seqs[2], 1)) == [False]
    assert journal.audit().is_consistent


def test_only_the_last_operation_on_a_task_can_be_undone(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a")
    first, _ = apply(archive, BulkAction.RETRY, seqs)
    mark(journal, seqs, attempt=1)
    store_outcomes(journal, outcome(seqs[0], 1, State.FAILED))
    apply(archive, BulkAction.DISCARD, seqs)
    assert undo(archive, first, NOW + 30) == 0
    assert state_of(journal, "a") is State.CANCELLED


def test_an_operation_can_be_undone_some_at_a_time(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a", "b", "c")
    number, _ = apply(archive, BulkAction.RETRY, seqs[:2])
    assert list(archive.tasks_moved_by(number)) == seqs[:2]
    assert archive.undo(number, seqs[:1], [], NOW + 30) == 1
    assert (list(archive.tasks_moved_by(number)), archive.operations(1)[0].undone_at) == (seqs[1:2], None)
    # What another operation has moved, or none, is not touched.
    assert archive.undo(number, seqs, [], NOW + 31) == 1
    assert totals(journal) == {"failed": 3}
    assert journal.audit().is_consistent


def test_a_task_that_a_client_cancelled_since_its_retry_is_not_undone(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "cancelled", "waits")
    number, _ = apply(archive, BulkAction.RETRY, seqs)
    with journal.transaction():
        assert journal.cancel("cancelled", NOW + 25) is State.CANCELLED
    assert undo(archive, number, NOW + 30) == 1
    assert totals(journal) == {"cancelled": 1, "failed": 1}
    assert journal.audit().is_consistent


def test_an_operation_that_cannot_be_written_moves_nothing(openers: Openers, journal: Repository) -> None:
    seqs = fail(journal, "a")
    archive = openers.archive()
    number = archive.begin_operation(BulkAction.RETRY, "ana", NOW)
    archive.close()
    with pytest.raises(JournalError):
        archive.apply(number, BulkAction.RETRY, seqs, NOW)
    assert totals(journal) == {"failed": 1}


# Live lists.


class Follower:
    """A live list that is followed, and read anew when it must be."""

    def __init__(self, archive: Archive, text: str = "") -> None:
        self._archive = archive
        self._search = parse(text, NOW)
        self.reads = 0
        self.seqs: list[int] = []
        self._read()

    def _read(self) -> None:
        self.reads += 1
        found = self._archive.find_live(self._search)
        self.seqs, self._position = list(found.seqs), found.position

    def follow(self) -> list[int]:
        """Return the list as it is now."""
        grown = self._archive.ended_after(self._search, self._position)
        if grown is None:
            self._read()
        else:
            self.seqs += grown.seqs
            self._position = grown.position
        return self.seqs


def test_a_live_list_ends_with_what_ended_last(journal: Repository, archive: Archive) -> None:
    first, second = end(journal, "a", now=NOW + 7), end(journal, "b", "c", now=NOW + 8)
    enter(journal, "open")
    assert list(archive.find_live(Search()).seqs) == [*first, *second]
    assert list(archive.find_live(Search(), limit=2).seqs) == second
    assert list(archive.find_live(parse("id:a", NOW)).seqs) == first


def test_an_empty_journal_can_be_followed(journal: Repository, archive: Archive) -> None:
    list_ = Follower(archive)
    assert list_.follow() == []
    seqs = end(journal, "a")
    assert list_.follow() == seqs
    assert list_.reads == 1


def test_every_way_to_end_is_followed_in_the_order_of_the_commits(journal: Repository, archive: Archive) -> None:
    list_ = Follower(archive)
    done, cancelled, killer, waits, given_up = queue(journal, "done", "cancelled", "killer", "waits", "given up")
    store_outcomes(journal, outcome(waits, state=State.RETRYING, due_at=NOW + 50))
    assert list_.follow() == []
    with journal.transaction():
        journal.cancel("cancelled", NOW + 9)
        assert journal.cancel("cancelled", NOW + 10) is State.CANCELLED
    for _ in range(STRIKE_LIMIT):
        begin(journal, killer)
    with journal.transaction():
        letter = DeadLetter(killer, "killer", BROKEN)
        assert journal.settle_dead_letters([letter, letter], NOW + 10) == [State.FAILED, State.FAILED]
    assert store_outcomes(journal, outcome(done), outcome(done)) == [True, False]
    with journal.transaction():
        assert journal.give_up(given_up, 0, NOW + 10)
    assert list_.follow() == [cancelled, killer, done, given_up]
    assert store_outcomes(journal, outcome(waits, 1)) == [True]
    assert list_.follow() == [cancelled, killer, done, given_up, waits]
    assert list_.reads == 1


def test_what_commits_late_is_followed_however_early_its_time_is(journal: Repository, archive: Archive) -> None:
    late, early = queue(journal, "late", "early")
    list_ = Follower(archive)
    store_outcomes(journal, outcome(early), now=NOW + 3600)
    assert list_.follow() == [early]
    # It was stamped long before the other, and had to wait for the write lock.
    store_outcomes(journal, outcome(late), now=NOW)
    assert list_.follow() == [early, late]
    assert list_.reads == 1


def test_only_what_matches_is_followed(journal: Repository, archive: Archive) -> None:
    list_ = Follower(archive, "state:failed -id:no")
    end(journal, "good")
    fail(journal, "no")
    bad = fail(journal, "bad")
    assert list_.follow() == bad


def test_a_transaction_that_stores_nothing_is_not_followed(journal: Repository, archive: Archive) -> None:
    [seq] = queue(journal, "a")
    list_ = Follower(archive)
    with pytest.raises(RuntimeError), journal.transaction():
        raise RuntimeError(journal.store_outcomes([outcome(seq)], NOW))
    assert list_.follow() == []
    store_outcomes(journal, outcome(seq))
    assert list_.follow() == [seq]


def test_a_list_is_read_anew_after_operators_moved_tasks(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a", "b", "c")
    list_ = Follower(archive, "state:failed")
    number, _ = apply(archive, BulkAction.RETRY, seqs[:1])
    assert list_.follow() == seqs[1:]
    apply(archive, BulkAction.DISCARD, seqs[2:])
    assert list_.follow() == seqs[1:2]
    undo(archive, number, NOW + 30)
    assert list_.follow() == seqs[:2]
    reads = list_.reads
    # What changes nothing costs nothing.
    apply(archive, BulkAction.RETRY, [999])
    undo(archive, number, NOW + 31)
    assert list_.follow() == seqs[:2]
    assert list_.reads == reads


def test_a_task_that_ends_again_is_listed_once(journal: Repository, archive: Archive) -> None:
    seqs = fail(journal, "a", "b")
    list_ = Follower(archive)
    apply(archive, BulkAction.RETRY, seqs[:1])
    mark(journal, seqs[:1], attempt=1)
    store_outcomes(journal, outcome(seqs[0], 1), now=NOW + 25)
    assert list_.follow() == [seqs[1], seqs[0]]
