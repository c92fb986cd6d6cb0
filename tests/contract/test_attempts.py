"""The contract of the attempts: each is kept when the next one takes its place in the row of the task."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.database import Database, Row, Value
from core.locks import FileLock
from core.model import (
    Attempt,
    AttemptState,
    Beginning,
    Failure,
    Note,
    OperatorRetry,
    State,
    Task,
    TaskProgress,
    TaskReport,
    Times,
)
from core.repository.archive import Archive, BulkAction
from core.repository.base import STRIKE_LIMIT, DeadLetter, Repository
from core.repository.beginnings import WorkerBeginnings
from core.repository.search import Search, SortColumn, SortOrder, parse
from core.repository.sqlite import FAULTS, SqliteRepository, open_sqlite, schema
from core.repository.sqlite_archive import open_archive
from core.timeline import MAX_MESSAGE, MAX_TRACEBACK, attempts_of, timeline
from tests.contract.repositories import (
    FAILURE,
    NOW,
    Openers,
    begin,
    end,
    find,
    mark,
    outcome,
    queue,
    store_outcomes,
)


def found(repository: Repository, task_id: str = "a") -> tuple[Task, tuple[Attempt, ...]]:
    """Return a task and all its attempts that have ended."""
    task = find(repository, task_id)
    assert task is not None
    return task, attempts_of(task, repository.former_attempts([task.seq]).get(task.seq, ()))


def find_one(repository: Repository) -> Task:
    """Return the task of a test."""
    return found(repository)[0]


def retry(archive: Archive, seq: int, at: float) -> int:
    """Run a failed task again as an operator. Returns the number of the operation."""
    operation = archive.begin_operation(BulkAction.RETRY, "ana", at)
    assert archive.apply(operation, BulkAction.RETRY, [seq], at) == 1
    return operation


def fail(repository: Repository, seq: int, attempt: int, at: float, state: State = State.FAILED) -> None:
    """Queue an attempt and let it fail, between `at` and two seconds later."""
    mark(repository, [seq], attempt, now=at)
    ended = replace(
        outcome(seq, attempt, state), worker=f"w{attempt + 1}", taken_at=at + 0.5, started_at=at + 1, finished_at=at + 2
    )
    store_outcomes(repository, ended, now=at + 2.5)


def begin_first(openers: Openers, seq: int, worker: str, *, attempt: int = 0, at: float) -> WorkerBeginnings:
    """Begin a task whose message was not delivered before: only the worker notes that."""
    beginnings = openers.beginnings(100 + int(worker[1:]), worker)
    beginnings.slots.begin(beginnings.add(seq, attempt, at - 2, at - 1), at, 1.0)
    return beginnings


def die(beginnings: WorkerBeginnings) -> None:
    """Let go of a worker's file, as the operating system does when the worker dies."""
    lock: FileLock = vars(beginnings)["_lock"]
    lock.close()


def test_a_task_that_ends_with_its_first_attempt_has_one(journal: Repository) -> None:
    (seq,) = end(journal, "a")
    task, attempts = found(journal)
    assert journal.former_attempts([seq]) == {}
    assert [(each.number, each.state, each.worker, each.error) for each in attempts] == [
        (1, AttemptState.DONE, "w1", None)
    ]
    assert task.tries == 1


def test_an_attempt_is_kept_when_the_next_is_queued(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 8))
    task, attempts = found(journal)
    assert (journal.former_attempts([seq]), task.times.finished, len(attempts)) == ({}, NOW + 6, 1)
    mark(journal, [seq], 1, now=NOW + 20)
    task, attempts = found(journal)
    first = Attempt(
        number=1,
        state=AttemptState.FAILED,
        worker="w1",
        queued=NOW,
        taken=NOW + 4,
        started=NOW + 5,
        finished=NOW + 6,
        error=replace(FAILURE, signature=""),
    )
    assert attempts == (first,)
    assert task.times == Times(received=NOW - 1, accepted=NOW, queued=NOW + 20)
    assert (task.worker, task.failure, task.tries) == (None, FAILURE, 1)
    store_outcomes(journal, replace(outcome(seq, 1), worker="w2"))
    task, attempts = found(journal)
    assert [(each.number, each.state, each.worker) for each in attempts] == [
        (1, AttemptState.FAILED, "w1"),
        (2, AttemptState.DONE, "w2"),
    ]


REPORT = TaskReport(TaskProgress(3, 10, "resizing"), (Note(NOW, "began"),))


def test_each_attempt_keeps_its_runner_and_what_it_said(journal: Repository, archive: Archive) -> None:
    def kept() -> list[tuple[int, TaskProgress | None, tuple[Note, ...]]]:
        return [(each.runner, each.progress, each.notes) for each in found(journal)[1]]

    (seq,) = queue(journal, "a")
    store_outcomes(journal, replace(outcome(seq, 0, State.RETRYING), runner=2, report=REPORT))
    first = (2, REPORT.progress, REPORT.notes)
    assert kept() == [first]
    mark(journal, [seq], 1)
    assert kept() == [first]
    assert (find_one(journal).runner, find_one(journal).report) == (0, None)
    later = TaskReport(TaskProgress(9))
    store_outcomes(journal, replace(outcome(seq, 1, State.FAILED), runner=3, report=later))
    second = (3, later.progress, ())
    assert kept() == [first, second]
    operation = retry(archive, seq, NOW + 30)
    assert kept() == [first, second]
    assert (find_one(journal).runner, find_one(journal).report) == (0, None)
    archive.undo(operation, [seq], (), NOW + 31)
    assert kept() == [first, second]
    assert (find_one(journal).runner, find_one(journal).report) == (3, later)


def test_an_attempt_that_was_lost_with_its_runner_keeps_what_it_said(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    with journal.transaction():
        beginning = Beginning(seq=seq, worker="w1", taken_at=NOW, started_at=NOW + 1, runner=2, report=REPORT)
        journal.add_strike(beginning)
        journal.add_strike(replace(beginning, started_at=NOW + 5, runner=3, report=None))
    [lost] = found(journal)[1]
    assert (lost.state, lost.runner, lost.progress, lost.notes) == (
        AttemptState.LOST,
        2,
        REPORT.progress,
        REPORT.notes,
    )
    with journal.transaction():
        journal.remove_strikes([seq])
    assert (find_one(journal).worker, find_one(journal).runner) == (None, 0)


def test_an_outcome_that_comes_before_the_confirm_keeps_the_attempt_before_it(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING))
    store_outcomes(journal, replace(outcome(seq, 1, queued_at=NOW + 20), worker="w2", started_at=NOW + 21))
    mark(journal, [seq], 1, now=NOW + 20)
    task, attempts = found(journal)
    assert [(each.worker, each.queued, each.started) for each in attempts] == [
        ("w1", NOW, NOW + 5),
        ("w2", NOW + 20, NOW + 21),
    ]
    assert (task.state, task.times.finished) == (State.DONE, NOW + 6)


def test_a_late_confirm_moves_no_attempt(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 8))
    mark(journal, [seq], 0, now=NOW + 7)
    task, _ = found(journal)
    assert (task.state, task.times.finished) == (State.RETRYING, NOW + 6)


def test_the_retry_of_an_operator_stands_between_the_attempts(journal: Repository, archive: Archive) -> None:
    (seq,) = queue(journal, "a")
    fail(journal, seq, 0, NOW + 10)
    retry(archive, seq, NOW + 30)
    task, attempts = found(journal)
    assert [(each.number, each.retried) for each in attempts] == [(1, OperatorRetry(NOW + 30, "ana"))]
    fail(journal, seq, 1, NOW + 31)
    task, attempts = found(journal)
    assert [(step.name, step.at - NOW, step.by) for step in timeline(task.times, attempts)] == [
        ("received", -1, ""),
        ("accepted", 0, ""),
        ("attempt", 12, ""),
        ("retried", 30, "ana"),
        ("queued", 31, ""),
        ("taken", 31.5, ""),
        ("started", 32, ""),
        ("finished", 33, ""),
        ("stored", 33.5, ""),
    ]
    assert archive.former_attempts(seq) == list(attempts[:1])
    assert task.tries == 2


def test_a_retry_that_is_undone_leaves_no_trace(journal: Repository, archive: Archive) -> None:
    (seq,) = queue(journal, "a")
    fail(journal, seq, 0, NOW + 10)
    before = find(journal, "a")
    operation = retry(archive, seq, NOW + 30)
    assert archive.undo(operation, [seq], [], NOW + 31) == 1
    task, attempts = found(journal)
    assert task == before
    assert [(each.number, each.retried) for each in attempts] == [(1, None)]
    assert journal.former_attempts([seq]) == {}


def test_the_last_twenty_attempts_are_kept_with_short_texts(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    long = Failure(type="ValueError", message="m" * 5000, traceback="x" * 5000 + "end", signature="s")
    for attempt in range(30):
        mark(journal, [seq], attempt, now=NOW + attempt)
        store_outcomes(journal, outcome(seq, attempt, State.RETRYING, failure=long))
    task, attempts = found(journal)
    assert [each.number for each in attempts] == list(range(10, 31))
    assert task.tries == 30
    for each in attempts:
        assert each.error is not None
        assert (len(each.error.message), len(each.error.traceback)) == (MAX_MESSAGE, MAX_TRACEBACK)
        assert each.error.traceback.endswith("end")


# Workers that die.


def test_a_task_that_kills_five_workers_has_five_attempts(
    journal: Repository, archive: Archive, openers: Openers
) -> None:
    (seq,) = queue(journal, "a")
    begin_first(openers, seq, "w1", at=NOW + 1)
    numbers = [begin(journal, seq, f"w{number}", at=NOW + number) for number in range(2, 2 + STRIKE_LIMIT)]
    assert numbers == [2, 3, 4, 5]
    with journal.transaction():
        assert journal.give_up(seq, 0, NOW + 9)
    task, attempts = found(journal)
    assert [(each.number, each.state, each.worker) for each in attempts] == [
        (1, AttemptState.LOST, "w1"),
        (2, AttemptState.LOST, "w2"),
        (3, AttemptState.LOST, "w3"),
        (4, AttemptState.LOST, "w4"),
        (5, AttemptState.LOST, "w5"),
    ]
    assert task.failure is not None
    assert task.failure.message.startswith("each of 5 processes that began the task died")
    assert (task.state, task.tries, archive.rows([seq])[seq].attempts) == (State.FAILED, 5, 5)
    assert journal.audit().is_consistent


def test_each_round_of_deaths_is_counted_from_the_operators_retry(
    journal: Repository, archive: Archive, openers: Openers
) -> None:
    (seq,) = queue(journal, "a")
    for attempt in range(2):
        begin_first(openers, seq, f"w{attempt}", attempt=attempt, at=NOW + 10 * attempt - 0.5)
        for number in range(STRIKE_LIMIT):
            begin(journal, seq, f"w{number}", at=NOW + 10 * attempt + number)
        with journal.transaction():
            assert journal.give_up(seq, attempt, NOW + 9)
        if not attempt:
            retry(archive, seq, NOW + 9)
            mark(journal, [seq], 1, now=NOW + 10)
    task, attempts = found(journal)
    assert task.failure is not None
    assert "each of 5 processes" in task.failure.message
    assert task.tries == len(attempts) == 10
    assert {each.state for each in attempts} == {AttemptState.LOST}


def test_an_attempt_after_deaths_counts_them(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    begin(journal, seq, "w2", at=NOW + 2)
    begin(journal, seq, "w3", at=NOW + 3)
    store_outcomes(journal, replace(outcome(seq), worker="w3", started_at=NOW + 3))
    task, attempts = found(journal)
    assert [(each.state, each.worker) for each in attempts] == [
        (AttemptState.LOST, "w2"),
        (AttemptState.DONE, "w3"),
    ]
    assert (task.tries, journal.assignments([seq])[seq].lost) == (2, 1)


def test_the_file_of_a_worker_tells_what_it_had_begun_when_it_died(journal: Repository, openers: Openers) -> None:
    begun, neighbour = queue(journal, "a", "b")
    begin_first(openers, begun, "w1", at=NOW + 1.123456)
    # Both were prefetched, and come again when the worker is dead.
    assert begin(journal, neighbour, "w2", at=NOW + 2) == 1
    assert begin(journal, begun, "w2", at=NOW + 2) == 2
    store_outcomes(journal, *[replace(outcome(seq), worker="w2") for seq in (begun, neighbour)])
    task, attempts = found(journal)
    assert [(each.state, each.worker, each.started) for each in attempts] == [
        (AttemptState.LOST, "w1", NOW + 1.123456),
        (AttemptState.DONE, "w2", NOW + 5),
    ]
    assert task.tries == 2
    task, attempts = found(journal, "b")
    assert (task.tries, [each.state for each in attempts]) == (1, [AttemptState.DONE])


def test_a_neighbour_whose_next_worker_dies_has_lost_one_attempt(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    # Its first worker had only prefetched it.
    begin(journal, seq, "w2", at=NOW + 2)
    assert begin(journal, seq, "w3", at=NOW + 3) == 2
    store_outcomes(journal, replace(outcome(seq), worker="w3", started_at=NOW + 3))
    task, attempts = found(journal)
    assert [(each.state, each.worker) for each in attempts] == [(AttemptState.LOST, "w2"), (AttemptState.DONE, "w3")]
    assert task.tries == 2


def test_what_a_worker_began_and_ended_is_not_taken_from_its_file(journal: Repository, openers: Openers) -> None:
    (seq,) = queue(journal, "a")
    begin_first(openers, seq, "w1", at=NOW + 11)
    fail(journal, seq, 0, NOW + 10, State.RETRYING)
    mark(journal, [seq], 1, now=NOW + 20)
    assert begin(journal, seq, "w2", at=NOW + 22) == 2
    _, attempts = found(journal)
    assert [(each.number, each.state) for each in attempts] == [(1, AttemptState.FAILED)]


def test_a_worker_that_leaves_in_good_order_has_lost_nothing(journal: Repository, openers: Openers) -> None:
    (seq,) = queue(journal, "a")
    begin_first(openers, seq, "w1", at=NOW + 1).close()
    assert begin(journal, seq, "w2", at=NOW + 2) == 1


def test_a_bystander_that_became_a_dead_letter_counts_what_it_began(journal: Repository, openers: Openers) -> None:
    (seq,) = queue(journal, "a")
    begin_first(openers, seq, "w1", at=NOW + 1)
    with journal.transaction():
        assert journal.settle_dead_letters([DeadLetter(seq, "a", FAILURE)], NOW + 2) == [State.ACCEPTED]
    mark(journal, [seq], now=NOW + 3)
    for number in range(2, 1 + STRIKE_LIMIT):
        assert begin(journal, seq, f"w{number}", at=NOW + 2 + number) == number
    with journal.transaction():
        assert journal.give_up(seq, 0, NOW + 9)
    task, attempts = found(journal)
    assert [each.worker for each in attempts] == ["w1", "w2", "w3", "w4"]
    assert task.failure is not None
    assert task.failure.message.startswith("each of 4 processes that began the task died")
    assert task.tries == 4


def test_a_task_that_ran_when_the_queue_was_lost_is_a_suspect(journal: Repository, openers: Openers) -> None:
    begun, neighbour = queue(journal, "a", "b")
    begin_first(openers, begun, "w1", at=NOW + 1)
    with journal.transaction():
        assert journal.redispatch() == 2
    # Their new messages come for the first time.
    assert {seq: each.strikes for seq, each in journal.assignments([begun, neighbour]).items()} == {
        begun: 1,
        neighbour: 0,
    }
    assert begin(journal, begun, "w2", at=NOW + 3) == 2


def test_a_task_that_a_live_worker_has_begun_is_cancelling(journal: Repository, openers: Openers) -> None:
    (seq,) = queue(journal, "a")
    with begin_first(openers, seq, "w1", at=NOW + 1):
        with journal.transaction():
            assert journal.cancel("a", NOW + 3) is State.CANCELLING
        task, _ = found(journal)
        assert (task.state, task.cancelling) == (State.QUEUED, True)
    with journal.transaction():  # the worker has gone, and no one may ever begin it again
        assert journal.cancel("a", NOW + 3) is State.CANCELLED
    assert not found(journal)[0].cancelling


def test_a_task_that_is_cancelled_after_a_death_counts_it(journal: Repository, openers: Openers) -> None:
    first, second = queue(journal, "a", "b")
    die(begin_first(openers, first, "w1", at=NOW + 1))
    begin(journal, second, "w2", at=NOW + 1)
    with journal.transaction():
        assert journal.cancel("a", NOW + 3) is State.CANCELLED
        assert journal.cancel("b", NOW + 3) is State.CANCELLING
        assert journal.give_up(second, 0, NOW + 4)
    assert [(found(journal, name)[0].tries, found(journal, name)[1][0].worker) for name in ("a", "b")] == [
        (1, "w1"),
        (1, "w2"),
    ]


def test_a_task_that_is_given_up_after_its_worker_left_in_good_order_counts_what_died(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    for number in range(1, 2 + STRIKE_LIMIT):
        begin(journal, seq, f"w{number}", at=NOW + number)
    with journal.transaction():
        journal.remove_strikes([seq])
        assert journal.give_up(seq, 0, NOW + 9)
    task, attempts = found(journal)
    assert [each.worker for each in attempts] == ["w1", "w2", "w3", "w4"]
    assert (task.tries, {each.state for each in attempts}) == (4, {AttemptState.LOST})
    assert journal.audit().is_consistent


def test_an_undo_after_a_death_keeps_what_was_begun(journal: Repository, archive: Archive, openers: Openers) -> None:
    (seq,) = queue(journal, "a")
    fail(journal, seq, 0, NOW + 10)
    operation = retry(archive, seq, NOW + 30)
    mark(journal, [seq], 1, now=NOW + 31)
    begin_first(openers, seq, "w2", attempt=1, at=NOW + 32)
    begin(journal, seq, "w3", at=NOW + 34)
    assert archive.undo(operation, [seq], [], NOW + 36) == 1
    kept = [(1, AttemptState.FAILED, "w1"), (2, AttemptState.LOST, "w2"), (3, AttemptState.LOST, "w3")]
    for _ in range(2):
        task, attempts = found(journal)
        assert [(each.number, each.state, each.worker) for each in attempts] == kept
        assert (task.worker, task.times.started, task.tries) == (None, None, 3)
        retry(archive, seq, NOW + 40)
        task, attempts = found(journal)
        assert [each.retried for each in attempts] == [
            OperatorRetry(NOW + 30, "ana"),
            None,
            OperatorRetry(NOW + 40, "ana"),
        ]
        number = archive.operations(1)[0].number
        assert archive.undo(number, [seq], [], NOW + 41) == 1


def test_a_redelivery_that_ran_nowhere_before_is_the_first_attempt(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert begin(journal, seq, "w2") == 1
    store_outcomes(journal, outcome(seq))
    task, attempts = found(journal)
    assert (task.tries, len(attempts)) == (1, 1)


def test_an_attempt_that_is_given_back_in_good_order_is_not_lost(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    begin(journal, seq, "w2")
    with journal.transaction():
        journal.remove_strikes([seq])
    assert begin(journal, seq, "w3") == 1
    store_outcomes(journal, replace(outcome(seq), worker="w3"))
    task, attempts = found(journal)
    assert (task.tries, [each.worker for each in attempts]) == (1, ["w3"])


def test_a_failure_is_kept_when_the_next_attempt_begins_and_is_lost(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    fail(journal, seq, 0, NOW + 10, State.RETRYING)
    mark(journal, [seq], 1, now=NOW + 20)
    for number in range(2, 2 + STRIKE_LIMIT):
        begin(journal, seq, f"w{number}", at=NOW + 20 + number)
    with journal.transaction():
        states = journal.settle_dead_letters([DeadLetter(seq, "a", replace(FAILURE, signature="delivery-limit"))], NOW)
    assert states == [State.FAILED]
    task, attempts = found(journal)
    assert [(each.number, each.state) for each in attempts] == [
        (1, AttemptState.FAILED),
        *((number, AttemptState.LOST) for number in range(2, 6)),
    ]
    assert task.tries == 5


def test_giving_up_counts_once_and_not_after_the_end(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    with journal.transaction():
        assert not journal.give_up(seq, 1, NOW)
        assert journal.give_up(seq, 0, NOW)
        assert not journal.give_up(seq, 0, NOW)
        assert not journal.give_up(seq + 1, 0, NOW)


# Lists and searches.


def test_lists_and_searches_count_lost_attempts(journal: Repository, archive: Archive) -> None:
    one, two = queue(journal, "one", "two")
    for number in range(3):
        begin(journal, two, f"w{number}", at=NOW + number)
    store_outcomes(journal, outcome(one), outcome(two))
    assert {seq: row.tries for seq, row in archive.rows([one, two]).items()} == {one: 1, two: 3}
    assert list(archive.find(parse("attempts>2", NOW))) == [two]
    assert list(archive.find(Search(), SortOrder(SortColumn.ATTEMPTS))) == [two, one]


# The cost, and older journals.


class WatchedDatabase(Database):
    """A database that notes the statements that it runs."""

    statements: list[str]

    def execute(self, statement: str, bindings: Sequence[Value] = ()) -> list[Row]:
        """Run a statement."""
        self.statements.append(statement)
        return super().execute(statement, bindings)

    def execute_many(self, statement: str, bindings: Sequence[Sequence[Value]]) -> int:
        """Run a statement several times."""
        self.statements.append(statement)
        return super().execute_many(statement, bindings)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedDatabase]:
    """The database of a journal, with its statements."""
    WatchedDatabase.statements = []
    database = WatchedDatabase(tmp_path / "resultados.db", FAULTS)
    database.migrate(schema())
    yield database
    database.close()


def test_only_a_second_attempt_runs_a_statement_more(watched: WatchedDatabase) -> None:
    def written(work: Callable[[], object]) -> int:
        watched.statements.clear()
        work()
        return sum("INTO attempts" in each for each in watched.statements)

    journal = SqliteRepository(watched)
    assert written(lambda: end(journal, "a")) == 0
    (seq,) = queue(journal, "b")
    assert written(lambda: store_outcomes(journal, outcome(seq, 0, State.RETRYING))) == 0
    assert written(lambda: mark(journal, [seq], 1)) == 1


@pytest.fixture
def old(tmp_path: Path) -> Iterator[SqliteRepository]:
    """A journal of the version before attempts were kept, in which a task had killed its workers."""
    database = Database(tmp_path / "resultados.db", FAULTS)
    database.migrate(schema()[:3])
    database.execute(
        "INSERT INTO tasks (id, kind, payload, state, attempts, strikes, received_at, accepted_at, stored_at,"
        " error_type, error_message, error_traceback, error_signature)"
        " VALUES ('killer', 'crash', '1', 'failed', 1, 4, 1, 1, 9, 'WorkerLost', 'each of 5 …', '', 'worker-lost')"
    )
    with SqliteRepository(database) as repository:
        yield repository


def test_an_older_journal_is_read_as_far_as_it_goes(old: SqliteRepository, tmp_path: Path) -> None:
    with open_archive(tmp_path / "resultados.db", readonly=True) as archive:
        [task] = old.find_all(["killer"])
        assert (task.lost, task.tries, old.former_attempts([task.seq])) == (0, 1, {})
        assert archive.former_attempts(task.seq) == ()
        assert archive.rows([task.seq])[task.seq].tries == 1
        assert list(archive.find(parse("attempts=1", NOW), SortOrder(SortColumn.ATTEMPTS))) == [task.seq]
        assert archive.operations(1) == []
        assert archive.limitation().endswith("to see all that it can show")


def test_a_migrated_journal_counts_the_deaths_that_it_knows(old: SqliteRepository, tmp_path: Path) -> None:
    with open_archive(tmp_path / "resultados.db", readonly=True) as archive:
        assert archive.limitation()
        with open_sqlite(tmp_path / "resultados.db") as migrated:
            assert [task.tries for task in migrated.find_all(["killer"])] == [5]
        assert [task.tries for task in old.find_all(["killer"])] == [5]
        assert archive.limitation() == ""


def test_a_journal_without_runners_is_read_and_migrated(tmp_path: Path) -> None:
    database = Database(tmp_path / "resultados.db", FAULTS)
    database.migrate(schema()[:8])
    database.execute(
        "INSERT INTO tasks (seq, id, kind, payload, state, attempts, received_at, accepted_at, worker, finished_at)"
        " VALUES (1, 'a', 'echo', '1', 'retrying', 2, 1, 1, 'w1', 5)"
    )
    database.execute("INSERT INTO attempts (seq, number, state, worker) VALUES (1, 1, 'failed', 'w1')")
    with SqliteRepository(database) as old, open_archive(tmp_path / "resultados.db", readonly=True) as archive:
        assert archive.limitation()
        assert [(each.worker, each.runner, each.notes) for each in found(old)[1]] == [("w1", 0, ()), ("w1", 0, ())]
        with open_sqlite(tmp_path / "resultados.db") as migrated:
            store_outcomes(migrated, replace(outcome(1, 2), runner=4, report=REPORT))
        assert not archive.limitation()
        for each in (found(old)[1], attempts_of(archive.task(1) or find_one(old), archive.former_attempts(1))):
            assert [(attempt.runner, attempt.progress) for attempt in each] == [
                (0, None),
                (0, None),
                (4, REPORT.progress),
            ]
