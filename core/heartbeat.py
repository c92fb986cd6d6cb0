"""The heartbeat of a process in the journal, and the liveness of the others.

A process is alive while its beat changes. The observer measures that with its own monotonic clock, so that neither
a clock that jumps nor two machines' different clocks make a process look dead.
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
        self._moved: dict[int, tuple[int, float]] = {}

    def observe(self, records: Iterable[ProcessRecord], now: float) -> None:
        """Take the records as they are at `now`, a time of the monotonic clock."""
        beats = {record.number: record.beat for record in records}
        self._moved = {
            number: self._moved[number] if self._moved.get(number, (-1, 0.0))[0] == beat else (beat, now)
            for number, beat in beats.items()
        }

    def is_alive(self, record: ProcessRecord, now: float) -> bool:
        """Return whether the process has written a heartbeat lately and has not left.

        A process that is observed for the first time counts as alive until the timeout.
        """
        if record.phase is ProcessPhase.LEFT:
            return False
        _, moved = self._moved.get(record.number, (record.beat, now))
        return now - moved < self._timeout


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
