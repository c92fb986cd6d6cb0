"""The two threads between a server and its journal, with a real journal that fails when the test says so."""

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
    ReadRequest,
    ReadResult,
    ReadStats,
    StatsRead,
    TaskFound,
)
from core.server.journal_writer import (
    LARGEST_BATCH,
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

Said: TypeAlias = ReadResult[str] | WriteResult[str]


class FaultyRepository(SqliteRepository):
    """A journal some of whose methods fail while they are named in `broken`."""

    def __init__(self, path: Path, broken: set[str]) -> None:
        super().__init__(Database(path, FAULTS))
        self._broken = broken

    def _check(self, method: str) -> None:
        if method in self._broken:
            raise JournalUnavailable(f"{method} failed")

    def find_all(self, task_ids: Collection[str]) -> list[Task]:
        """As ever, or broken."""
        self._check("find_all")
        return super().find_all(task_ids)

    def ended(self, task_ids: Collection[str]) -> list[Task]:
        """As ever, or broken."""
        self._check("ended")
        return super().ended(task_ids)

    def counts(self) -> dict[str, int]:
        """As ever, or broken."""
        self._check("counts")
        return super().counts()

    def data_version(self) -> int:
        """As ever, or broken."""
        self._check("data_version")
        return super().data_version()

    def processes(self) -> list[ProcessRecord]:
        """As ever, or broken."""
        self._check("processes")
        return super().processes()


class Ear:
    """Hears the answers, and the death of a thread."""

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self.heard: list[Said] = []
        self.deaths: list[BaseException] = []

    def __call__(self, answers: Sequence[Said]) -> None:
        """Hear some."""
        for answer in answers:
            self._said.put(answer)

    def next(self) -> Said:
        """The next one."""
        self.heard.append(self._said.get(timeout=10))
        return self.heard[-1]

    def listen(self, count: int) -> dict[str, Said]:
        """The next ones, by their tickets."""
        said = [self.next() for _ in range(count)]
        return {answer.ticket: answer for answer in said}

    def assert_each_once(self) -> None:
        """No ticket was answered twice, and no thread has died."""
        while not self._said.empty():
            self.next()
        assert set(Counter(answer.ticket for answer in self.heard).values()) == {1}
        assert self.deaths == []


class Reading:
    """A reader, and a connection to write beside it."""

    def __init__(self, directory: Path) -> None:
        path = directory / "resultados.db"
        self.journal = Journal("resultados.db", directory).open()
        self.broken: set[str] = set()
        self.ear = Ear()
        self.reader = JournalReader[str](lambda: FaultyRepository(path, self.broken), self.ear, self.ear.deaths.append)


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Reading]:
    """A reader that runs; in the end everybody has had one answer."""
    made = Reading(tmp_path)
    made.reader.start()
    yield made
    made.reader.stop()
    made.journal.close()
    made.ear.assert_each_once()


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def test_a_task_is_found_in_its_state(reading: Reading) -> None:
    enter(reading.journal, "open")
    end(reading.journal, "over")
    reading.reader.ask([FindTask("a", "open"), FindTask("b", "over"), FindTask("c", "nobody")])
    said = reading.ear.listen(3)
    states = {
        ticket: answer.task and answer.task.state for ticket, answer in said.items() if isinstance(answer, TaskFound)
    }
    assert states == {"a": State.ACCEPTED, "b": State.DONE, "c": None}


def test_who_waits_is_told_at_the_end_or_when_the_time_is_over(reading: Reading) -> None:
    (seq,) = enter_queued(reading.journal, "task")
    reading.reader.ask([Waiter("short", "task", time.monotonic()), Waiter("long", "task", soon())])
    reading.reader.ask([Waiter("nobody", "nobody", soon())])
    first = reading.ear.listen(2)
    assert set(first) == {"short", "nobody"}
    store_outcomes(reading.journal, outcome(seq))
    reading.reader.ask([Waiter("late", "task", soon())])
    last = reading.ear.listen(2)
    assert {
        ticket: answer.task.state for ticket, answer in last.items() if isinstance(answer, TaskFound) and answer.task
    } == {
        "long": State.DONE,
        "late": State.DONE,
    }


def test_a_task_in_somebodys_hand_runs(reading: Reading) -> None:
    enter_queued(reading.journal, "task")
    with reading.journal.transaction():
        number = reading.journal.register(process("w1"))
        reading.journal.record_heartbeat(
            process("w1", number=number, beat=1, in_hand=(RunningTask("task", "echo", 5.0),))
        )

    def runner() -> str:
        reading.reader.ask([FindTask(f"find-{len(reading.ear.heard)}", "task")])
        answer = reading.ear.next()
        assert isinstance(answer, TaskFound)
        return answer.runner

    wait_until(lambda: runner() == "w1", "the reader to look at the processes")


@pytest.mark.parametrize("method", ["find_all", "ended", "counts", "data_version", "processes"])
def test_everybody_is_answered_once_while_the_journal_fails(reading: Reading, method: str) -> None:
    enter_queued(reading.journal, "task")
    reading.broken.add(method)
    tickets = 0
    for _ in range(20):
        batch: list[ReadRequest[str]] = [
            FindTask(f"{tickets}", "task"),
            Waiter(f"{tickets + 1}", "task", soon(0.01)),
            ReadStats(f"{tickets + 2}"),
        ]
        tickets += 3
        reading.reader.ask(batch)
        reading.ear.listen(3)
    reading.broken.clear()
    reading.reader.ask([FindTask("mended", "task"), Waiter("waiting", "task", soon())])
    assert isinstance(reading.ear.next(), TaskFound)
    (seq,) = [task.seq for task in reading.journal.find_all(["task"])]
    store_outcomes(reading.journal, outcome(seq))
    answer = reading.ear.next()
    assert isinstance(answer, TaskFound)
    assert answer.ticket == "waiting"


def test_those_who_wait_when_it_stops_hear_what_is_known(tmp_path: Path) -> None:
    made = Reading(tmp_path)
    enter_queued(made.journal, "task")
    made.reader.start()
    made.reader.ask([Waiter("waiting", "task", soon())])
    made.reader.ask([ReadStats("last")])
    made.reader.stop()
    said = made.ear.listen(2)
    assert isinstance(said["waiting"], TaskFound)
    assert isinstance(said["last"], StatsRead)
    made.ear.assert_each_once()
    made.journal.close()


def test_a_journal_that_fails_while_it_stops_is_no_death(tmp_path: Path) -> None:
    made = Reading(tmp_path)
    enter_queued(made.journal, "task")
    made.reader.start()
    made.reader.ask([Waiter("waiting", "task", soon())])
    made.reader.ask([FindTask("there", "task")])
    assert made.ear.next().ticket == "there"
    made.broken.add("find_all")
    made.reader.stop()
    assert isinstance(made.ear.next(), ReadFailed)
    made.ear.assert_each_once()
    made.journal.close()


# The writer.


class Writing:
    """A writer with the embedded queue behind it, which waits for the journal for a moment only.

    Args:
        directory: of both files.
        opening: another way to open the journal; the test starts the writer then.
    """

    def __init__(self, directory: Path, opening: OpenRepository | None = None) -> None:
        self.opening = partial(Journal("resultados.db", directory).open, lock_timeout=0.2)
        self.journal: Repository = self.opening()
        with self.journal.transaction():
            self.number = self.journal.register(process())
        self.ear = Ear()
        broker = EmbeddedBroker(directory / "queue.db")
        self.gauge = broker.gauge()
        self.writer = JournalWriter[str](
            opening or self.opening,
            lambda: Dispatcher(broker.publisher, self.number, time.monotonic()),
            self.number,
            self.ear,
            self.ear.deaths.append,
        )
        if opening is None:
            self.writer.start()

    def close(self) -> None:
        """End everything."""
        self.writer.stop(5)
        self.gauge.close()
        self.journal.close()
        self.ear.assert_each_once()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    """A writer that runs."""
    made = Writing(tmp_path)
    yield made
    made.close()


def test_a_task_is_stored_before_it_is_answered_and_then_published(writing: Writing) -> None:
    writing.writer.write([WriteTask(f"{n}", new_task(f"t{n}")) for n in range(50)])
    for number in range(50):
        answer = writing.ear.next()
        assert isinstance(answer, TaskWritten)
        assert find(writing.journal, f"t{number}") is not None
    wait_until(lambda: writing.gauge.read().ready == 50, "all to be published")
    wait_until(lambda: writing.journal.counts()["queued"] == 50, "all to be marked")
    assert writing.writer.accepted == 50
    assert writing.writer.published == 50


def test_nothing_is_stored_while_the_journal_is_locked_and_everybody_is_told(writing: Writing) -> None:
    locked, release = threading.Event(), threading.Event()

    def lock() -> None:
        with writing.opening() as other, other.transaction():
            locked.set()
            release.wait(20)

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(10)
    writing.writer.write([WriteTask("a", new_task("t1")), CancelTask("b", "t2")])
    said = writing.ear.listen(2)
    assert all(isinstance(answer, WriteFailed) for answer in said.values())
    assert writing.writer.trouble
    release.set()
    thread.join()
    assert find(writing.journal, "t1") is None
    writing.writer.write([WriteTask("c", new_task("t1"))])
    answer = writing.ear.next()
    assert isinstance(answer, TaskWritten)
    assert not answer.receipt.duplicate
    assert writing.writer.trouble == ""


def test_a_task_is_taken_back_unless_a_live_worker_has_it(writing: Writing) -> None:
    enter(writing.journal, "free", "held", "orphan")
    with writing.journal.transaction():
        for name, task_id, phase in (("w1", "held", ProcessPhase.READY), ("w2", "orphan", ProcessPhase.LEFT)):
            number = writing.journal.register(process(name))
            in_hand = (RunningTask(task_id, "echo", 1.0),)
            writing.journal.record_heartbeat(process(name, number=number, beat=1, phase=phase, in_hand=in_hand))
    tickets = iter(range(1000))

    def cancel(task_id: str) -> State | None:
        writing.writer.write([CancelTask(f"{next(tickets)}", task_id)])
        answer = writing.ear.next()
        assert isinstance(answer, TaskCancelResult)
        return answer.state

    assert cancel("nobody") is None
    # Who is alive it knows from its last look, which is made once a second.
    wait_until(lambda: cancel("held") is State.RUNNING, "the live worker to be seen")
    assert cancel("free") is State.CANCELLED
    assert cancel("orphan") is State.CANCELLED


def test_what_was_ordered_before_it_stops_is_written(tmp_path: Path) -> None:
    made = Writing(tmp_path)
    for number in range(500):
        made.writer.write([WriteTask(f"{number}", new_task(f"t{number}"))])
    made.close()
    assert len(made.ear.heard) == 500
    with made.opening() as repository:
        assert repository.counts()["queued"] == 500


def test_what_comes_while_it_waits_for_the_journal_is_written_with_what_it_waits_with(tmp_path: Path) -> None:
    Journal("resultados.db", tmp_path).open().close()
    busy = BusyRepository(tmp_path / "resultados.db")
    made = Writing(tmp_path, lambda: busy)

    def meanwhile() -> None:
        for number in range(1, 2500):
            made.writer.write([WriteTask(f"{number}", new_task(f"t{number}"))])

    busy.meanwhile = meanwhile
    made.writer.write([WriteTask("0", new_task("t0"))])
    made.writer.start()
    said = made.ear.listen(2500)
    assert all(isinstance(answer, TaskWritten) for answer in said.values())
    assert busy.accepted == [LARGEST_BATCH, LARGEST_BATCH, 500]
    made.close()


def test_what_came_while_it_waited_is_refused_too_when_nothing_can_be_stored(tmp_path: Path) -> None:
    Journal("resultados.db", tmp_path).open().close()
    busy = BusyRepository(tmp_path / "resultados.db")
    made = Writing(tmp_path, lambda: busy)

    def meanwhile() -> None:
        made.writer.write([WriteTask("b", new_task("t2"))])
        busy.trouble = "no room for them"

    busy.meanwhile = meanwhile
    made.writer.write([WriteTask("a", new_task("t1"))])
    made.writer.start()
    said = made.ear.listen(2)
    assert [answer.reason for answer in said.values() if isinstance(answer, WriteFailed)] == ["no room for them"] * 2
    busy.trouble = ""
    made.writer.write([WriteTask("c", new_task("t1"))])
    assert isinstance(made.ear.next(), TaskWritten)
    assert find(made.journal, "t2") is None
    made.close()
