"""A process's presence in the journal: its own heartbeat, and who else is alive.

A process is alive while its beat moves. The observer watches the numbers by its own monotonic clock,
so neither a jump of a clock nor two machines' disagreement about the time makes anybody look dead.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from core.errors import JournalError
from core.model import ProcessPhase, ProcessRecord
from core.repository.base import OpenRepository, Repository
from core.threads import OnDeath, vital_thread

INTERVAL = 0.5
"""Seconds between two heartbeats."""

SILENCE = 5.0
"""Seconds without a heartbeat after which a process counts as dead."""

_log = logging.getLogger("cauce.presence")


class Liveness:
    """Tells who is dead from what their records say. Pure: the time is an argument."""

    def __init__(self, silence: float = SILENCE) -> None:
        self._silence = silence
        self._moved: dict[int, tuple[int, float]] = {}

    def observe(self, records: Iterable[ProcessRecord], now: float) -> None:
        """Take in the records as they are at `now`, of a monotonic clock."""
        seen = {record.number: record.beat for record in records}
        self._moved = {
            number: self._moved[number] if self._moved.get(number, (-1, 0.0))[0] == beat else (beat, now)
            for number, beat in seen.items()
        }

    def is_alive(self, record: ProcessRecord, now: float) -> bool:
        """Whether this process has shown a sign of life lately and hasn't said that it leaves.

        One that was never observed before counts as alive until it has been silent long enough.
        """
        if record.phase is ProcessPhase.LEFT:
            return False
        _, moved = self._moved.get(record.number, (record.beat, now))
        return now - moved < self._silence


class Heartbeat:
    """Writes a process's record, twice a second, from a thread of its own.

    Args:
        open_repository: opens the journal; the heartbeat has a connection of its own.
        describe: makes the record of this moment; called from the heartbeat's thread.
        number: the process's number.
        on_death: called when the thread dies of an error.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        describe: Callable[[], ProcessRecord],
        number: int,
        on_death: OnDeath,
    ) -> None:
        self._open = open_repository
        self._describe = describe
        self._number = number
        self._beat = 0
        self._leaving = threading.Event()
        self._shown = threading.Event()
        self._thread = vital_thread("heartbeat", self._run, on_death)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait_shown(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until the first record is written; whether it is."""
        return self._shown.wait(timeout)

    def stop(self) -> None:
        """Write that the process has left, and end."""
        self._leaving.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        troubled = False
        while True:
            try:
                with self._open() as repository:
                    while not self._leaving.is_set():
                        self._write(self._describe(), repository)
                        self._shown.set()
                        troubled = False
                        self._leaving.wait(INTERVAL)
                    self._write(replace(self._describe(), phase=ProcessPhase.LEFT, troubles=(), in_hand=()), repository)
            except JournalError as error:
                if not troubled:
                    _log.warning("no heartbeat can be written: %s", error)
                troubled = True
                if self._leaving.wait(1.0):
                    return
            else:
                return

    def _write(self, record: ProcessRecord, repository: Repository) -> None:
        self._beat += 1
        with repository.transaction():
            repository.record_heartbeat(replace(record, number=self._number, beat=self._beat, seen_at=time.time()))
