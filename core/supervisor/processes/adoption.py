"""What a supervisor that was killed has left running: what of it can go on, and what has to end first.

A process goes on when it runs just what is wanted now. Whatever the files say, only a process that is ours is touched.
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


class Survivors(msgspec.Struct, frozen=True):
    """The processes of a directory whose supervisor is gone."""

    known: tuple[ChildRecord, ...] = ()
    """Those that the former supervisor has written down."""
    all: tuple[Orphan, ...] = ()
    """All that are ours, those known and whatever they have started."""

    @property
    def addresses(self) -> dict[str, Address]:
        """Where the known ones listen, by their names."""
        found = {}
        for record in self.known:
            with contextlib.suppress(ConfigurationError):
                if record.address:
                    found[record.name] = Address.parse(record.address)
        return found

    def runs(self, kind: ProcessKind) -> bool:
        """Whether a process of this kind runs."""
        return any(record.kind is kind for record in self.known)


def look(home: Home) -> Survivors:
    """Find what runs. Call it only while no supervisor runs, holding the lock."""
    found = tuple(orphans.find(home))
    records = state.load(home.children, ChildRecords) or ChildRecords()
    return Survivors(known_among(records.children, [orphan.identity for orphan in found]), found)


def known_among(records: Iterable[ChildRecord], alive: Sequence[ProcessIdentity]) -> tuple[ChildRecord, ...]:
    """Those of the records whose very process is alive: the same id, and the same start."""
    started = {identity.pid: identity.started for identity in alive}
    return tuple(
        record
        for record in records
        if abs(started.get(record.identity.pid, float("-inf")) - record.identity.started) <= TOLERANCE
    )


def match(survivors: Survivors, specs: Sequence[ProcessSpec]) -> dict[str, ChildRecord]:
    """The processes that go on, by the names of what they run."""
    wanted = {spec.name: spec.fingerprint for spec in specs}
    return {
        record.name: record
        for record in survivors.known
        if record.fingerprint and wanted.get(record.name) == record.fingerprint
    }


def end_others(home: Home, survivors: Survivors, adopted: Collection[ChildRecord], timeout: float) -> tuple[int, ...]:
    """End what does not go on, in order; the ids of what can't be ended."""
    leaders = {record.identity.pid for record in adopted}
    others = [orphan for orphan in survivors.all if not _belongs_to(orphan.identity.pid, leaders)]
    if not others:
        return ()
    names = ", ".join(f"{orphan.name} (pid {orphan.identity.pid})" for orphan in others)
    _log.warning("a former supervisor was killed; what it left and is not wanted so is ended: %s", names)
    orphans.stop(others, timeout)
    return tuple(orphan.identity.pid for orphan in others if process_identity.is_alive(orphan.identity))


def _belongs_to(pid: int, leaders: Collection[int]) -> bool:
    """Whether a process is one of these, or was started by one."""
    if pid in leaders:
        return True
    with contextlib.suppress(OSError, AttributeError):
        if os.getsid(pid) in leaders:
            return True
    with contextlib.suppress(psutil.Error):
        return any(parent.pid in leaders for parent in psutil.Process(pid).parents())
    return False
