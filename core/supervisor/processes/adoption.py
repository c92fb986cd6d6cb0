"""Sorts out what a killed supervisor has left running: what can go on under a new one, and what must end first.

A process goes on when it runs exactly what is wanted now. Only a process that works for the directory is touched,
whatever the files say.
"""

import contextlib
import logging
import os
from collections.abc import Collection, Iterable, Sequence

import msgspec
import psutil

from core.addresses import Address
from core.errors import ConfigurationError
from core.supervisor import state
from core.supervisor.home import Home
from core.supervisor.plan import ProcessKind, ProcessSpec
from core.supervisor.processes import orphans, process_identity
from core.supervisor.processes.orphans import Orphan
from core.supervisor.processes.process_identity import TOLERANCE, ProcessIdentity
from core.supervisor.state import ChildRecord, ChildRecords

_log = logging.getLogger("cauce.supervisor")


class OrphanedSystem(msgspec.Struct, frozen=True):
    """The processes of a directory whose supervisor is gone."""

    records: tuple[ChildRecord, ...] = ()
    """The live processes that the former supervisor had recorded."""
    processes: tuple[Orphan, ...] = ()
    """All live processes: the recorded ones and those that they have started."""

    @property
    def addresses(self) -> dict[str, Address]:
        """The addresses of the recorded processes, by name."""
        found = {}
        for record in self.records:
            with contextlib.suppress(ConfigurationError):
                if record.address:
                    found[record.name] = Address.parse(record.address)
        return found

    def runs(self, kind: ProcessKind) -> bool:
        """Return whether a process of this kind runs."""
        return any(record.kind is kind for record in self.records)


def find_orphaned(home: Home) -> OrphanedSystem:
    """Find the processes without a supervisor. Call it only while no supervisor runs, with the lock held."""
    found = tuple(orphans.find(home))
    records = state.load(home.children, ChildRecords) or ChildRecords()
    return OrphanedSystem(live_records(records.children, [orphan.identity for orphan in found]), found)


def live_records(records: Iterable[ChildRecord], alive: Sequence[ProcessIdentity]) -> tuple[ChildRecord, ...]:
    """Return the records of live processes: those whose id and start time both match."""
    started = {identity.pid: identity.started for identity in alive}
    return tuple(
        record
        for record in records
        if abs(started.get(record.identity.pid, float("-inf")) - record.identity.started) <= TOLERANCE
    )


def find_adoptable(
    orphaned: OrphanedSystem, specs: Sequence[ProcessSpec], *, servers: bool = True
) -> dict[str, ChildRecord]:
    """Return the records of the processes that can go on, by the names of their specifications.

    Args:
        orphaned: what runs.
        specs: what is wanted.
        servers: whether servers can go on; they can't when they require another token.
    """
    wanted = {spec.name: spec.fingerprint for spec in specs}
    return {
        record.name: record
        for record in orphaned.records
        if record.fingerprint
        and wanted.get(record.name) == record.fingerprint
        and (servers or record.kind is not ProcessKind.SERVER)
    }


def stop_others(orphaned: OrphanedSystem, adopted: Collection[ChildRecord], timeout: float) -> tuple[int, ...]:
    """End, in order, what was not adopted. Returns the ids of the processes that could not be ended."""
    leaders = {record.identity.pid for record in adopted}
    others = [orphan for orphan in orphaned.processes if not _belongs_to(orphan.identity.pid, leaders)]
    if not others:
        return ()
    names = ", ".join(f"{orphan.name} (pid {orphan.identity.pid})" for orphan in others)
    _log.warning("ending what a killed supervisor has left and is not wanted any more: %s", names)
    orphans.stop(others, timeout)
    return tuple(orphan.identity.pid for orphan in others if process_identity.is_alive(orphan.identity))


def _belongs_to(pid: int, leaders: Collection[int]) -> bool:
    """Return whether a process is one of these or was started by one."""
    if pid in leaders:
        return True
    with contextlib.suppress(OSError, AttributeError):
        if os.getsid(pid) in leaders:
            return True
    with contextlib.suppress(psutil.Error):
        return any(parent.pid in leaders for parent in psutil.Process(pid).parents())
    return False
