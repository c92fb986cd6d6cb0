"""The heartbeat of a process in the journal, and the liveness of the others.

A process is alive while its beat changes. The observer measures that with its own monotonic clock, so that neither
a clock that jumps nor two machines' different clocks make a process look dead.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from core.errors import JournalError
from core.model import ProcessPhase, ProcessRecord
from core.repository.base import OpenRepository, Repository
from core.threads import OnDeath, vital_thread

HEARTBEAT_INTERVAL = 0.5
"""Seconds between two heartbeats."""

LIVENESS_TIMEOUT = 5.0
"""Seconds without a heartbeat after which a process counts as dead."""

RETRY_DELAY = 1.0
"""Seconds before the next try after the journal failed."""

_log = logging.getLogger("cauce.presence")


class Liveness:
    """The liveness of processes, by their records. Pure: the time is an argument.

    Args:
        timeout: seconds without a heartbeat after which a process counts as dead.
    """

    def __init__(self, timeout: float = LIVENESS_TIMEOUT) -> None:
        self._timeout = timeout
        self._seen: dict[int, _Beat] = {}

    def observe(self, records: Iterable[ProcessRecord], now: float) -> None:
        """Take the records as they are at `now`, a time of the monotonic clock."""
        self._seen = {record.number: self._beat_of(record, now) for record in records}

    def is_alive(self, record: ProcessRecord, now: float) -> bool:
        """Return whether the process has written a heartbeat lately and has not left.

        A process that is observed for the first time counts as alive until the timeout.
        """
        if record.phase is ProcessPhase.LEFT:
            return False
        seen = self._seen.get(record.number)
        return seen is None or now - seen.since < self._timeout

    def silence(self, record: ProcessRecord, now: float) -> float | None:
        """Return the seconds since the process's last heartbeat, or None when none was seen yet.

        A record that is observed for the first time proves nothing: its process may have died long ago.
        """
        seen = self._seen.get(record.number)
        return now - seen.since if seen is not None and seen.has_moved else None

    def _beat_of(self, record: ProcessRecord, now: float) -> "_Beat":
        seen = self._seen.get(record.number)
        if seen is not None and seen.number == record.beat:
            return seen
        return _Beat(record.beat, now, has_moved=seen is not None)


class _Beat(msgspec.Struct, frozen=True):
    """The last beat of a process."""

    number: int
    since: float
    """The time at which it was first observed."""
    has_moved: bool
    """Whether another beat was observed before it."""


class Heartbeat:
    """A thread that writes the record of this process into the journal.

    Args:
        open_repository: opens the thread's own connection to the journal.
        describe: makes the current record; called from the thread.
        number: the process's number in the journal.
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
        self._stopping = threading.Event()
        self._written = threading.Event()
        self._thread = vital_thread("heartbeat", self._run, on_death)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_written(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the first record. Returns whether it is written."""
        return self._written.wait(timeout)

    def stop(self) -> None:
        """Write that the process has left, and end the thread."""
        self._stopping.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        failing = False
        while True:
            try:
                with self._open() as repository:
                    while not self._stopping.is_set():
                        self._write(self._describe(), repository)
                        self._written.set()
                        failing = False
                        self._stopping.wait(HEARTBEAT_INTERVAL)
                    self._write(replace(self._describe(), phase=ProcessPhase.LEFT, troubles=(), in_hand=()), repository)
            except JournalError as error:
                if not failing:
                    _log.warning("the heartbeat can't be written: %s", error)
                failing = True
                if self._stopping.wait(RETRY_DELAY):
                    return
            else:
                return

    def _write(self, record: ProcessRecord, repository: Repository) -> None:
        self._beat += 1
        with repository.transaction():
            repository.record_heartbeat(replace(record, number=self._number, beat=self._beat, seen_at=time.time()))
