"""Finds the processes that a killed supervisor has left running, and ends them in order."""

import time
from collections.abc import Sequence

from core.supervisor import state
from core.supervisor.home import Home
from core.supervisor.plan import STOP_ORDER, ProcessKind
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.stopping import KILL_TIMEOUT, StopDeadline, stop_in_order
from core.supervisor.state import ChildRecords
from core.supervisor.status import StopResult

POLL_INTERVAL = 0.05
"""Seconds between two checks of processes that are ending."""


class Orphan:
    """A process without a supervisor.

    Args:
        name: the recorded name, or one made from the process id.
        kind: the kind of process, or None when it is not recorded.
        identity: its id and start time.
        home: the paths of the data directory that it works for.
    """

    def __init__(self, name: str, kind: ProcessKind | None, identity: ProcessIdentity, home: Home) -> None:
        self.name = name
        self.kind = kind
        self.identity = identity
        self.stop_timeout: float | None = None
        self._home = home

    def terminate(self) -> None:
        """Ask the process to end in good order."""
        process_identity.terminate(self.identity, self.kind)

    def kill(self) -> None:
        """Kill the process and its group."""
        process_identity.kill(self.identity)
        self.kill_leftovers()

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return not process_identity.is_alive(self.identity)

    def kill_leftovers(self) -> None:
        """Kill what is left of the process's group."""
        for member in process_identity.group_members(self.identity.pid, self._home):
            process_identity.kill(member)


def find(home: Home) -> list[Orphan]:
    """Find the processes that work for a directory. Those that a supervisor recorded have their recorded names.

    The runners of a worker, and other children of these processes that are not recorded, belong to their parents.
    """
    records = state.load(home.children, ChildRecords) or ChildRecords()
    recorded = {record.identity.pid: record for record in records.children}
    found = []
    identities = process_identity.processes_of(home)
    for identity in identities:
        # The records only give names: what does not work for the directory is left alone, whatever they say.
        record = recorded.get(identity.pid)
        if record is None and process_identity.has_parent_among(identity, identities):
            continue
        name = record.name if record else f"pid {identity.pid}"
        found.append(Orphan(name, record.kind if record else None, identity, home))
    return found


def sweep(home: Home, timeout: float) -> StopResult:
    """End everything that works for a data directory. Call it only while no supervisor runs, with the lock held.

    Args:
        home: the paths of the data directory.
        timeout: seconds until what still runs is killed.
    """
    orphans = find(home)
    if not orphans:
        return StopResult()
    killed = stop(orphans, timeout)
    left = kill_rest(home)
    names = [orphan.name for orphan in orphans if orphan.has_ended()]
    return StopResult(
        stopped=tuple(name for name in names if name not in killed),
        killed=tuple(name for name in names if name in killed),
        left=left,
    )


def stop(orphans: Sequence[Orphan], timeout: float) -> list[str]:
    """End these processes in order. Returns the names of those that had to be killed.

    Args:
        orphans: the processes to end.
        timeout: seconds until what still runs is killed.
    """
    stages = [[orphan for orphan in orphans if orphan.kind is kind] for kind in STOP_ORDER]
    # Unrecorded processes are mostly children of the others and end with them. epmd must not end before its node.
    stages.insert(-1, [orphan for orphan in orphans if orphan.kind is None])
    return stop_in_order(stages, StopDeadline(timeout, time.monotonic()), _pause, time.monotonic)


def kill_rest(home: Home) -> tuple[int, ...]:
    """Kill every process that still works for a directory. Returns the ids of those that could not be killed."""
    deadline = time.monotonic() + KILL_TIMEOUT
    rest: Sequence[ProcessIdentity] = process_identity.processes_of(home)
    while rest and time.monotonic() < deadline:
        for identity in rest:
            process_identity.kill(identity)
        _pause()
        rest = process_identity.processes_of(home)
    return tuple(identity.pid for identity in rest)


def _pause() -> None:
    time.sleep(POLL_INTERVAL)
