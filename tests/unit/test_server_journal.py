"""The two threads between a server and its journal, with a real journal that fails when the test says so."""

import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from core.broker.embedded import EmbeddedBroker
from core.database import Database
from core.dispatcher import Dispatcher
from core.errors import JournalUnavailable
from core.model import ProcessPhase, ProcessRecord, RunningTask, State, Task
from core.repository.base import OpenRepository, Repository
from core.repository.journal import Journal
from core.repository.sqlite import FAULTS, SqliteRepository
from core.server.journal_reader import (
    FindTask,
    JournalReader,
    ReadFailed,
    ReadKinds,
    ReadRequest,
    ReadResult,
    ReadStats,
    StatsRead,
    TaskFound,
)
from core.server.journal_writer import (
    MAX_BATCH,
    CancelTask,
    JournalWriter,
    TaskCancelResult,
    TaskWritten,
    WriteFailed,
    WriteResult,
    WriteTask,
)
from core.server.waiters import Waiter
from tests.contract.repositories import end, enter, find, new_task, outcome, process, store_outcomes
from tests.contract.repositories import queue as enter_queued
from tests.services.waiting import wait_until
from tests.unit.busy_journal import BusyRepository

AnyResult: TypeAlias = ReadResult[str] | WriteResult[str]


class FaultyRepository(SqliteRepository):
    """A journal some of whose methods fail while they are named in `broken`."""

    def __init__(self, path: Path, broken: set[str]) -> None:
        super().__init__(Database(path, FAULTS))
        self._broken = broken

    def _check(self, method: str) -> None:
        if method in self._broken:
            raise JournalUnavailable(f"{method} failed")

    def find_all(self, task_ids: Collection[str]) -> list[Task]:
        """Return the real result, or raise."""
        self._check("find_all")
        return super().find_all(task_ids)

    def ended(self, task_ids: Collection[str]) -> list[Task]:
        """Return the real result, or raise."""
        self._check("ended")
        return super().ended(task_ids)

    def counts(self) -> dict[str, int]:
        """Return the real result, or raise."""
        self._check("counts")
        return super().counts()

    def data_version(self) -> int:
        """Return the real result, or raise."""
        self._check("data_version")
        return super().data_version()

    def processes(self) -> list[ProcessRecord]:
        """Return the real result, or raise."""
        self._check("processes")
        return super().processes()


class ResultCollector:
    """Collects results, and the errors that threads die of."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[AnyResult] = queue.SimpleQueue()
        self.received: list[AnyResult] = []
        self.deaths: list[BaseException] = []

    def __call__(self, results: Sequence[AnyResult]) -> None:
        """Collect results."""
        for result in results:
            self._queue.put(result)

    def next(self) -> AnyResult:
        """Return the next result."""
        self.received.append(self._queue.get(timeout=60))
        return self.received[-1]

    def take(self, count: int) -> dict[str, AnyResult]:
        """Return the next results by ticket."""
        taken = [self.next() for _ in range(count)]
        return {result.ticket: result for result in taken}

    def assert_each_once(self) -> None:
        """Assert that each ticket has one result, and that no thread has died."""
        while not self._queue.empty():
            self.next()
        assert set(Counter(result.ticket for result in self.received).values()) == {1}
        assert self.deaths == []


class Reading:
    """A reader, and a connection that writes to its journal."""

    def __init__(self, directory: Path) -> None:
        path = directory / "resultados.db"
        self.journal = Journal("resultados.db", directory).open()
        self.broken: set[str] = set()
        self.results = ResultCollector()
        self.reader = JournalReader[str](
            lambda: FaultyRepository(path, self.broken), self.results, self.results.deaths.append
        )


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Reading]:
    """A running reader. In the end each ticket has one result."""
    running = Reading(tmp_path)
    running.reader.start()
    yield running
    running.reader.stop()
    running.journal.close()
    running.results.assert_each_once()


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def test_a_task_is_found_in_its_state(reading: Reading) -> None:
    enter(reading.journal, "open")
    end(reading.journal, "over")
    reading.reader.read([FindTask("a", "open"), FindTask("b", "over"), FindTask("c", "unknown")])
    taken = reading.results.take(3)
    states = {
        ticket: result.task and result.task.state for ticket, result in taken.items() if isinstance(result, TaskFound)
    }
    assert states == {"a": State.ACCEPTED, "b": State.DONE, "c": None}


def test_a_waiter_is_answered_at_the_end_of_its_task_or_at_its_deadline(reading: Reading) -> None:
    (seq,) = enter_queued(reading.journal, "task")
    reading.reader.read([Waiter("short", "task", time.monotonic()), Waiter("long", "task", soon())])
    reading.reader.read([Waiter("unknown", "unknown", soon())])
    first = reading.results.take(2)
    assert set(first) == {"short", "unknown"}
    store_outcomes(reading.journal, outcome(seq))
    reading.reader.read([Waiter("late", "task", soon())])
    last = reading.results.take(2)
    assert {
        ticket: result.task.state for ticket, result in last.items() if isinstance(result, TaskFound) and result.task
    } == {
        "long": State.DONE,
        "late": State.DONE,
    }


def test_a_task_that_a_live_worker_reports_is_running(reading: Reading) -> None:
    enter_queued(reading.journal, "task")
    with reading.journal.transaction():
        number = reading.journal.register(process("w1"))
        reading.journal.record_heartbeat(
            process("w1", number=number, beat=1, in_hand=(RunningTask("task", "echo", 5.0),))
        )

    def running_on() -> str:
        reading.reader.read([FindTask(f"find-{len(reading.results.received)}", "task")])
        result = reading.results.next()
        assert isinstance(result, TaskFound)
        assert result.state is not None
        return result.state.worker

    wait_until(lambda: running_on() == "w1", "the reader to read the processes")


@pytest.mark.parametrize("method", ["find_all", "ended", "counts", "data_version", "processes"])
def test_each_request_has_one_result_while_the_journal_fails(reading: Reading, method: str) -> None:
    enter_queued(reading.journal, "task")
    reading.broken.add(method)
    tickets = 0
    for _ in range(20):
        batch: list[ReadRequest[str]] = [
            FindTask(f"{tickets}", "task"),
            Waiter(f"{tickets + 1}", "task", soon(0.01)),
            ReadStats(f"{tickets + 2}"),
            ReadKinds(f"{tickets + 3}", None),
        ]
        tickets += len(batch)
        reading.reader.read(batch)
        reading.results.take(len(batch))
    reading.broken.clear()
    reading.reader.read([FindTask("mended", "task"), Waiter("waiting", "task", soon())])
    assert isinstance(reading.results.next(), TaskFound)
    (seq,) = [task.seq for task in reading.journal.find_all(["task"])]
    store_outcomes(reading.journal, outcome(seq))
    result = reading.results.next()
    assert isinstance(result, TaskFound)
    assert result.ticket == "waiting"


def test_a_stop_answers_waiters_with_the_current_state(tmp_path: Path) -> None:
    reading = Reading(tmp_path)
    enter_queued(reading.journal, "task")
    reading.reader.start()
    reading.reader.read([Waiter("waiting", "task", soon())])
    reading.reader.read([ReadStats("last")])
    reading.reader.stop()
    taken = reading.results.take(2)
    assert isinstance(taken["waiting"], TaskFound)
    assert isinstance(taken["last"], StatsRead)
    reading.results.assert_each_once()
    reading.journal.close()


def test_a_journal_that_fails_during_the_stop_does_not_kill_the_thread(tmp_path: Path) -> None:
    reading = Reading(tmp_path)
    enter_queued(reading.journal, "task")
    reading.reader.start()
    reading.reader.read([Waiter("waiting", "task", soon())])
    reading.reader.read([FindTask("there", "task")])
    assert reading.results.next().ticket == "there"
    reading.broken.add("find_all")
    reading.reader.stop()
    assert isinstance(reading.results.next(), ReadFailed)
    reading.results.assert_each_once()
    reading.journal.close()


# The writer.


class Writing:
    """A writer with the embedded queue and a short lock timeout of the journal.

    Args:
        directory: the directory of both files.
        opening: opens the journal in place of the default; the test starts the writer then.
    """

    def __init__(self, directory: Path, opening: OpenRepository | None = None) -> None:
        self.opening = partial(Journal("resultados.db", directory).open, lock_timeout=0.2)
        self.journal: Repository = self.opening()
        with self.journal.transaction():
            self.number = self.journal.register(process())
        self.results = ResultCollector()
        broker = EmbeddedBroker(directory / "queue.db")
        self.gauge = broker.gauge()
        self.writer = JournalWriter[str](
            opening or self.opening,
            lambda: Dispatcher(broker.publisher, self.number, time.monotonic()),
            self.number,
            self.results,
            self.results.deaths.append,
        )
        if opening is None:
            self.writer.start()

    def close(self) -> None:
        """Stop the writer and close the journal."""
        self.writer.stop(5)
        self.gauge.close()
        self.journal.close()
        self.results.assert_each_once()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    """A running writer."""
    running = Writing(tmp_path)
    yield running
    running.close()


def test_a_task_is_stored_before_its_result_and_published_after(writing: Writing) -> None:
    writing.writer.write([WriteTask(f"{n}", new_task(f"t{n}")) for n in range(50)])
    for number in range(50):
        result = writing.results.next()
        assert isinstance(result, TaskWritten)
        assert find(writing.journal, f"t{number}") is not None
    wait_until(lambda: writing.gauge.read().ready == 50, "all to be published")
    wait_until(lambda: writing.journal.counts()["queued"] == 50, "all to be marked")
    assert writing.writer.accepted == 50
    assert writing.writer.published == 50


def test_each_request_fails_while_the_journal_is_locked(writing: Writing) -> None:
    locked, release = threading.Event(), threading.Event()

    def lock() -> None:
        with writing.opening() as other, other.transaction():
            locked.set()
            release.wait(20)

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(10)
    writing.writer.write([WriteTask("a", new_task("t1")), CancelTask("b", "t2")])
    taken = writing.results.take(2)
    assert all(isinstance(result, WriteFailed) for result in taken.values())
    assert writing.writer.trouble
    release.set()
    thread.join()
    assert find(writing.journal, "t1") is None
    writing.writer.write([WriteTask("c", new_task("t1"))])
    result = writing.results.next()
    assert isinstance(result, TaskWritten)
    assert not result.result.duplicate
    assert writing.writer.trouble == ""


def test_a_task_is_cancelled_at_once_unless_a_live_worker_runs_it(writing: Writing) -> None:
    running = [f"running-{number}" for number in range(500)]
    enter(writing.journal, "free", "orphan", *running)
    with writing.journal.transaction():
        for name, ids, phase in (("w1", running, ProcessPhase.READY), ("w2", ["orphan"], ProcessPhase.LEFT)):
            number = writing.journal.register(process(name))
            in_hand = tuple(RunningTask(task_id, "echo", 1.0) for task_id in ids)
            writing.journal.record_heartbeat(process(name, number=number, beat=1, phase=phase, in_hand=in_hand))
    tickets = itertools.count()
    untouched = iter(running)

    def cancel(task_id: str) -> State | None:
        writing.writer.write([CancelTask(f"{next(tickets)}", task_id)])
        result = writing.results.next()
        assert isinstance(result, TaskCancelResult)
        return result.state

    assert cancel("unknown") is None
    # The dispatcher reads the processes once a second.
    wait_until(lambda: cancel(next(untouched)) is State.CANCELLING, "the live worker to be seen", 60)
    assert cancel("free") is State.CANCELLED
    assert cancel("orphan") is State.CANCELLED


def test_requests_before_the_stop_are_written(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    for number in range(500):
        writing.writer.write([WriteTask(f"{number}", new_task(f"t{number}"))])
    writing.close()
    assert len(writing.results.received) == 500
    with writing.opening() as repository:
        assert repository.counts()["queued"] == 500


def test_requests_that_arrive_while_it_waits_for_the_lock_are_committed_together(tmp_path: Path) -> None:
    Journal("resultados.db", tmp_path).open().close()
    busy = BusyRepository(tmp_path / "resultados.db")
    writing = Writing(tmp_path, lambda: busy)

    def meanwhile() -> None:
        for number in range(1, 2500):
            writing.writer.write([WriteTask(f"{number}", new_task(f"t{number}"))])

    busy.meanwhile = meanwhile
    writing.writer.write([WriteTask("0", new_task("t0"))])
    writing.writer.start()
    taken = writing.results.take(2500)
    assert all(isinstance(result, TaskWritten) for result in taken.values())
    assert busy.accepted == [MAX_BATCH, MAX_BATCH, 500]
    writing.close()


@pytest.mark.parametrize("at_once", [MAX_BATCH + 1, 2 * MAX_BATCH, 2500])
def test_a_batch_has_no_more_than_its_limit_however_many_come_at_once(tmp_path: Path, at_once: int) -> None:
    Journal("resultados.db", tmp_path).open().close()
    busy = BusyRepository(tmp_path / "resultados.db")
    writing = Writing(tmp_path, lambda: busy)
    tasks = [WriteTask(f"{number}", new_task(f"t{number}")) for number in range(at_once + 1)]
    writing.writer.write(tasks[:1])
    writing.writer.write(tasks[1:])
    writing.writer.start()
    taken = writing.results.take(at_once + 1)
    assert all(isinstance(result, TaskWritten) for result in taken.values())
    whole, rest = divmod(at_once + 1, MAX_BATCH)
    assert busy.accepted == [*[MAX_BATCH] * whole, rest]
    writing.close()


def test_requests_that_arrived_while_it_waited_fail_with_the_others(tmp_path: Path) -> None:
    Journal("resultados.db", tmp_path).open().close()
    busy = BusyRepository(tmp_path / "resultados.db")
    writing = Writing(tmp_path, lambda: busy)

    def meanwhile() -> None:
        writing.writer.write([WriteTask("b", new_task("t2"))])
        busy.trouble = "no room for them"

    busy.meanwhile = meanwhile
    writing.writer.write([WriteTask("a", new_task("t1"))])
    writing.writer.start()
    taken = writing.results.take(2)
    assert [result.reason for result in taken.values() if isinstance(result, WriteFailed)] == ["no room for them"] * 2
    busy.trouble = ""
    writing.writer.write([WriteTask("c", new_task("t1"))])
    assert isinstance(writing.results.next(), TaskWritten)
    assert find(writing.journal, "t2") is None
    writing.close()
