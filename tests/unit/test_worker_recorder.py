"""What the recorder of a worker stores."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.broker.base import Delivery, Reference
from core.model import Beginning
from core.repository.base import Repository
from core.repository.journal import Journal
from core.worker.in_flight import InFlightTask
from core.worker.recorder import MAX_BATCH, Recorder
from tests.contract.repositories import end, outcome, queue, store_outcomes
from tests.unit.busy_journal import BusyRepository


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Repository]:
    """The journal, as a test sees it."""
    with Journal("resultados.db", tmp_path).open() as repository:
        yield repository


@pytest.fixture
def recorder(tmp_path: Path, journal: Repository) -> Iterator[Recorder]:
    """A recorder of the journal. Its thread must not die."""
    deaths: list[BaseException] = []
    generations: list[int] = []
    acknowledged: list[InFlightTask] = []

    def acknowledge(tasks: Sequence[InFlightTask]) -> None:
        acknowledged.extend(tasks)

    recorder = Recorder(Journal("resultados.db", tmp_path).open, acknowledge, generations.append, deaths.append)
    recorder.start()
    yield recorder
    recorder.stop(10)
    assert (deaths, acknowledged) == ([], [])


def taken(journal: Repository, seq: int) -> InFlightTask:
    """Return a task that a worker has just taken."""
    assignment = journal.assignments([seq])[seq]
    return InFlightTask(assignment, Reference(assignment.id, seq, 0, 1.0), Delivery(b"", 1, None), 1.0, suspect=True)


def beginning(seq: int) -> Beginning:
    return Beginning(seq=seq, worker="w2", taken_at=1.0, started_at=2.0)


def strike(recorder: Recorder, task: InFlightTask) -> None:
    """Add a strike, and wait until it is stored."""
    stored = threading.Event()
    recorder.add_strike(task, beginning(task.assignment.seq), stored.set)
    assert stored.wait(60)


def test_the_strike_of_a_suspect_is_stored_before_it_begins(journal: Repository, recorder: Recorder) -> None:
    (seq,) = queue(journal, "a")
    task = taken(journal, seq)
    strike(recorder, task)
    assert (task.unwanted, journal.assignments([seq])[seq].strikes) == (False, 1)
    recorder.remove_strikes([seq], 10)
    assert journal.assignments([seq])[seq].strikes == 0
    strike(recorder, task)
    recorder.remove_strike(task)
    recorder.remove_strikes([seq + 1], 10)
    assert journal.assignments([seq])[seq].strikes == 0


def test_a_suspect_that_has_ended_since_it_was_taken_is_unwanted_and_has_no_strike(
    journal: Repository, recorder: Recorder
) -> None:
    end(journal, "other")
    (seq,) = queue(journal, "a")
    task = taken(journal, seq)
    store_outcomes(journal, outcome(seq))
    strike(recorder, task)
    assert (task.unwanted, journal.assignments([seq])[seq].strikes) == (True, 0)


def test_each_commit_tells_the_generation_of_the_queue_before_it_acknowledges(
    tmp_path: Path, journal: Repository
) -> None:
    tasks = [taken(journal, seq) for seq in queue(journal, "a", "b")]
    calls: list[object] = []
    recorder = Recorder(
        Journal("resultados.db", tmp_path).open, lambda done: calls.append(len(done)), calls.append, calls.append
    )
    with journal.transaction():
        journal.redispatch()
    recorder.start()
    recorder.finish(tasks[0], outcome(tasks[0].assignment.seq))
    recorder.stop(10)
    assert calls == [1, 1]
    again = Recorder(
        Journal("resultados.db", tmp_path).open, lambda _: calls.append("done"), calls.append, calls.append
    )
    again.redispatch()
    again.finish(tasks[1], outcome(tasks[1].assignment.seq))
    again.start()
    again.stop(10)
    assert calls[2:] == [2, "done"]


def test_outcomes_that_come_while_the_recorder_waits_for_the_journal_join_the_transaction(
    tmp_path: Path, journal: Repository
) -> None:
    busy = BusyRepository(tmp_path / "resultados.db")
    tasks = [taken(journal, seq) for seq in queue(journal, *[f"t{number}" for number in range(2502)])]
    acknowledged: list[list[int]] = []
    deaths: list[BaseException] = []
    generations: list[int] = []
    came = threading.Event()

    def acknowledge(tasks: Sequence[InFlightTask]) -> None:
        acknowledged.append([task.assignment.seq for task in tasks])

    recorder = Recorder(lambda: busy, acknowledge, generations.append, deaths.append)

    def meanwhile() -> None:
        recorder.drop(tasks[1])
        for each in tasks[2:]:
            recorder.finish(each, outcome(each.assignment.seq))
        came.set()

    busy.meanwhile = meanwhile
    recorder.finish(tasks[0], outcome(tasks[0].assignment.seq))
    recorder.start()
    assert came.wait(10)
    recorder.stop(10)
    assert busy.stored == [MAX_BATCH - 1, MAX_BATCH, 502]
    assert [len(seqs) for seqs in acknowledged] == [MAX_BATCH, MAX_BATCH, 502]
    assert sorted(seq for seqs in acknowledged for seq in seqs) == sorted(each.assignment.seq for each in tasks)
    assert journal.counts()["done"] == 2501
    assert (recorder.counters.done, recorder.counters.discarded) == (2501, 1)
    assert deaths == []
