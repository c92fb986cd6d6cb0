"""Liveness, as a table of times; and a heartbeat that writes to a real journal."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.heartbeat import LIVENESS_TIMEOUT, Heartbeat, Liveness
from core.model import Counters, ProcessPhase, ProcessRecord, Role, RunningTask
from core.repository.base import OpenRepository, Repository
from core.repository.sqlite import open_sqlite
from tests.services.waiting import wait_until


def record(number: int = 1, beat: int = 0, phase: ProcessPhase = ProcessPhase.READY) -> ProcessRecord:
    """Make the record of a process."""
    return ProcessRecord(
        number=number, role=Role.WORKER, name="w1", host="here", pid=1, started_at=1.0, beat=beat, phase=phase
    )


# Liveness.

Moments = list[tuple[float, int]]
"""The times at which the record was read, with the beats in it."""


@pytest.mark.parametrize(
    ("seen", "now", "alive"),
    [
        ([], 0.0, True),  # observed for the first time: it counts as alive until the timeout
        ([], 1e9, True),
        ([(0, 1)], 0.0, True),
        ([(0, 1)], LIVENESS_TIMEOUT - 0.1, True),
        ([(0, 1)], LIVENESS_TIMEOUT, False),
        ([(0, 1), (1, 1), (2, 1)], LIVENESS_TIMEOUT, False),  # observing it often does not make it alive
        ([(0, 1), (3, 2)], LIVENESS_TIMEOUT + 2.9, True),
        ([(0, 1), (3, 2)], LIVENESS_TIMEOUT + 3, False),
        ([(0, 1), (100, 2)], 100.0, True),  # it was suspended and resumed
        ([(0, 7), (1, 3)], LIVENESS_TIMEOUT + 0.5, True),  # any other number is a sign of life
        ([(-50, 1), (-49, 2)], -48.0, True),  # a monotonic clock may begin anywhere
    ],
)
def test_a_process_is_alive_while_its_beat_changes(seen: Moments, now: float, alive: bool) -> None:
    liveness = Liveness()
    last = 0
    for at, last in seen:
        liveness.observe([record(beat=last)], at)
    assert liveness.is_alive(record(beat=last), now) is alive


def test_a_process_that_left_is_not_alive() -> None:
    liveness = Liveness()
    liveness.observe([record(beat=1, phase=ProcessPhase.LEFT)], 0.0)
    assert not liveness.is_alive(record(beat=1, phase=ProcessPhase.LEFT), 0.0)


def test_each_process_has_its_own_liveness() -> None:
    liveness = Liveness(timeout=2.0)
    liveness.observe([record(1, beat=1), record(2, beat=1)], 0.0)
    liveness.observe([record(1, beat=2), record(2, beat=1)], 1.5)
    assert liveness.is_alive(record(1, beat=2), 2.0)
    assert not liveness.is_alive(record(2, beat=1), 2.0)


def test_a_process_that_is_not_listed_any_more_is_forgotten() -> None:
    liveness = Liveness(timeout=2.0)
    liveness.observe([record(1, beat=1)], 0.0)
    liveness.observe([], 1.0)
    liveness.observe([record(1, beat=1)], 5.0)
    assert liveness.is_alive(record(1, beat=1), 5.0)


@pytest.mark.parametrize(
    ("seen", "now", "silence"),
    [
        ([], 9.0, None),
        ([(0, 7)], 9.0, None),  # it may have died long ago
        ([(0, 7), (1, 7)], 9.0, None),
        ([(0, 7), (1, 8)], 1.0, 0.0),
        ([(0, 7), (1, 8), (4, 8)], 9.0, 8.0),
        ([(0, 7), (1, 8), (9, 9)], 9.0, 0.0),
    ],
)
def test_nothing_is_known_of_a_process_before_its_second_beat(seen: Moments, now: float, silence: float | None) -> None:
    liveness = Liveness()
    last = 0
    for at, last in seen:
        liveness.observe([record(beat=last)], at)
    assert liveness.silence(record(beat=last), now) == silence


# Heartbeat.


@pytest.fixture
def open_journal(tmp_path: Path) -> OpenRepository:
    """Open connections with a short lock timeout, so that a locked journal is noticed at once."""
    return lambda: open_sqlite(tmp_path / "resultados.db", durable=False, lock_timeout=0.02)


@pytest.fixture
def journal(open_journal: OpenRepository) -> Iterator[Repository]:
    """The test's own connection."""
    with open_journal() as repository:
        yield repository


def busy() -> ProcessRecord:
    """Make the record of the tests' process."""
    return ProcessRecord(
        role=Role.WORKER,
        name="w1",
        host="here",
        pid=1,
        started_at=1.0,
        phase=ProcessPhase.READY,
        counters=Counters(done=3),
        in_hand=(RunningTask("a", "echo", 2.0),),
    )


@pytest.fixture
def number(journal: Repository) -> int:
    """The process's number in the journal."""
    with journal.transaction():
        return journal.register(busy())


def shown(journal: Repository) -> ProcessRecord:
    """Return the record in the journal."""
    (found,) = journal.processes()
    return found


def test_a_heartbeat_is_written_again_and_again_and_ends_as_left(
    journal: Repository, open_journal: OpenRepository, number: int
) -> None:
    deaths: list[BaseException] = []
    heartbeat = Heartbeat(open_journal, busy, number, deaths.append)
    heartbeat.start()
    try:
        wait_until(lambda: shown(journal).beat >= 2, "a second beat")
        found = shown(journal)
        assert (found.number, found.status, found.in_hand) == (number, "ready", busy().in_hand)
        assert found.counters == Counters(done=3)
        assert found.seen_at > found.started_at
    finally:
        heartbeat.stop()
    last = shown(journal)
    assert (last.phase, last.in_hand) == (ProcessPhase.LEFT, ())
    assert last.beat > found.beat
    assert [sample.number for sample in journal.samples(0)] == [number] * len(journal.samples(0))
    assert journal.samples(0)


def test_a_heartbeat_continues_after_the_journal_was_locked(
    journal: Repository, open_journal: OpenRepository, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked = threading.Semaphore(0)

    def describe() -> ProcessRecord:
        asked.release()
        return busy()

    deaths: list[BaseException] = []
    heartbeat = Heartbeat(open_journal, describe, number, deaths.append)
    with caplog.at_level(logging.WARNING, "cauce.presence"):
        with journal.transaction():
            heartbeat.start()
            for _ in range(3):  # it tries again while it can't be written
                assert asked.acquire(timeout=60)
            wait_until(lambda: "the heartbeat can't be written" in caplog.text, "a warning")
            assert shown(journal).beat == 0
        try:
            wait_until(lambda: shown(journal).beat > 0, "a beat after the lock")
        finally:
            heartbeat.stop()
    assert caplog.text.count("the heartbeat can't be written") == 1
    assert shown(journal).phase is ProcessPhase.LEFT


def test_a_heartbeat_that_cannot_be_written_can_be_stopped(
    journal: Repository, open_journal: OpenRepository, number: int
) -> None:
    asked = threading.Event()

    def describe() -> ProcessRecord:
        asked.set()
        return busy()

    deaths: list[BaseException] = []
    heartbeat = Heartbeat(open_journal, describe, number, deaths.append)
    with journal.transaction():
        heartbeat.start()
        assert asked.wait(10)
        heartbeat.stop()
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}
    assert shown(journal).beat == 0
    assert deaths == []


def test_a_heartbeat_that_dies_calls_on_death(open_journal: OpenRepository, number: int) -> None:
    def describe() -> ProcessRecord:
        raise ZeroDivisionError

    died = threading.Event()
    heartbeat = Heartbeat(open_journal, describe, number, lambda error: died.set())
    heartbeat.start()
    assert died.wait(10)
    heartbeat.stop()
