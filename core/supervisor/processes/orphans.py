"""What a supervisor that was killed left running: found, and ended in order."""

import time
from collections.abc import Sequence

from core.supervisor import state
from core.supervisor.home import Home
from core.supervisor.plan import STOP_ORDER, ProcessKind
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.stopping import KILLED_WITHIN, StopDeadline, stop_in_order
from core.supervisor.state import ChildRecords
from core.supervisor.status import StopResult

PAUSE = 0.05
"""Seconds between two looks at what is ending."""


class Orphan:
    """A process without a supervisor.

    Args:
        name: what it was called, or what can be said of it.
        kind: the kind of process; None when that isn't known.
        identity: which process it is.
        home: of the data directory that it works for.
    """

    def __init__(self, name: str, kind: ProcessKind | None, identity: ProcessIdentity, home: Home) -> None:
        self.name = name
        self.kind = kind
        self.identity = identity
        self._home = home

    def ask_to_leave(self) -> None:
        """Ask it to end in good order."""
        process_identity.ask_to_leave(self.identity, self.kind)

    def kill(self) -> None:
        """End it at once, with all of its group."""
        process_identity.kill(self.identity)
        self.clean()

    def gone(self) -> bool:
        """Whether it has ended."""
        return not process_identity.is_alive(self.identity)

    def clean(self) -> None:
        """End what is left of its group."""
        for member in process_identity.group_of(self.identity.pid, self._home):
            process_identity.kill(member)


def find(home: Home) -> list[Orphan]:
    """Find the processes that were started and still run, the children of a supervisor by their names."""
    records = state.load(home.children, ChildRecords) or ChildRecords()
    known = {record.identity.pid: record for record in records.children}
    found = []
    for identity in process_identity.ours(home):
        # The records only give names. A process that is not ours is left alone, whatever they say.
        record = known.get(identity.pid)
        name = record.name if record else f"pid {identity.pid}"
        found.append(Orphan(name, record.kind if record else None, identity, home))
    return found


def sweep(home: Home, timeout: float) -> StopResult:
    """End everything that works for a data directory. Call it only while no supervisor runs, holding the lock.

    Args:
        home: of the data directory.
        timeout: how long it may take before what still runs is killed.
    """
    orphans = find(home)
    killed = stop(orphans, timeout)
    left = end_rest(home)
    names = [orphan.name for orphan in orphans if orphan.gone()]
    return StopResult(
        stopped=tuple(name for name in names if name not in killed),
        killed=tuple(name for name in names if name in killed),
        left=left,
    )


def stop(orphans: Sequence[Orphan], timeout: float) -> list[str]:
    """End these in order; the names of those that had to be killed.

    Args:
        orphans: what to end.
        timeout: how long it may take before what still runs is killed.
    """
    stages = [[orphan for orphan in orphans if orphan.kind is kind] for kind in STOP_ORDER]
    # Those without a name are mostly children of the others, and end with them. epmd would end before its node.
    stages.insert(-1, [orphan for orphan in orphans if orphan.kind is None])
    return stop_in_order(stages, StopDeadline(timeout, time.monotonic()), _pause, time.monotonic)


def end_rest(home: Home) -> tuple[int, ...]:
    """Make sure, by looking at all processes, that none works for the directory; those that can't be ended."""
    deadline = time.monotonic() + KILLED_WITHIN
    rest: Sequence[ProcessIdentity] = process_identity.ours(home)
    while rest and time.monotonic() < deadline:
        for identity in rest:
            process_identity.kill(identity)
        _pause()
        rest = process_identity.ours(home)
    return tuple(identity.pid for identity in rest)


def _pause() -> None:
    time.sleep(PAUSE)
