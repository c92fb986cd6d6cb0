"""Tells from this machine's process table which of its servers and workers have ended."""

import socket
from collections.abc import Iterable

import psutil

from core.model import ProcessPhase, ProcessRecord

CLOCK_SLACK = 2.0
"""Seconds by which a process may appear to have been started after its record says so."""

SPARE_BEATS = 1
"""Heartbeats that a process may have written after its record was read and before it was missed."""


class ProcessTable:
    """The process table of this machine."""

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self._missed: dict[int, int] = {}

    def find_ended(self, records: Iterable[ProcessRecord]) -> frozenset[int]:
        """Return the numbers of the processes that have ended, among those of this machine that have not left.

        A process that is missing and goes on beating is in a container, with a process table of its own and the
        host's name: this table says nothing about it.
        """
        missing = [
            record
            for record in records
            if record.host == self.host and record.phase is not ProcessPhase.LEFT and not _may_run(record)
        ]
        self._missed = {record.number: self._missed.get(record.number, record.beat) for record in missing}
        return frozenset(
            record.number for record in missing if record.beat - self._missed[record.number] <= SPARE_BEATS
        )


def _may_run(record: ProcessRecord) -> bool:
    """Return whether the process table has a process that may be the recorded one."""
    try:
        process = psutil.Process(record.pid)
        started = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and started <= record.started_at + CLOCK_SLACK
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
