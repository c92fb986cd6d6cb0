"""Whether the broker, the journal and the balancer work: judged by all who use them, not by one complaint. Pure."""

import enum
from collections.abc import Sequence

from core.model import Part
from core.monitor.snapshot import Presence, ProcessView
from core.supervisor.plan import ProcessKind
from core.supervisor.status import UnitState, UnitStatus
from tui.view import View


class PartState(enum.Enum):
    """How a part works."""

    WORKS = enum.auto()
    DOUBTFUL = enum.auto()
    """It works for some, and others complain."""
    BROKEN = enum.auto()
    """Somebody complains, and it works for nobody."""


def state_of(view: View, part: Part) -> PartState:
    """Return the state of the broker, the journal or the balancer."""
    # A process that is starting has not used anything yet.
    users = [
        process
        for process in view.snapshot.processes
        if process.presence.alive and process.presence is not Presence.STARTING
    ]
    complaints = [*view.system_troubles, *(trouble for user in users for trouble in user.troubles)]
    if all(trouble.part is not part for trouble in complaints):
        return PartState.WORKS
    works = _balancer_works(view) if part is Part.BALANCER else _works_for_somebody(view, part, users)
    return PartState.DOUBTFUL if works else PartState.BROKEN


def _works_for_somebody(view: View, part: Part, users: Sequence[ProcessView]) -> bool:
    if part is Part.BROKER and (view.snapshot.depth is not None or _is_ready(view, ProcessKind.RABBITMQ)):
        return True
    # A live process writes its heartbeat into the journal, and lists what it can't use.
    return any(all(trouble.part is not part for trouble in user.troubles) for user in users)


def _balancer_works(view: View) -> bool:
    """Return whether a balancer from which no answer comes may be innocent: it runs, and no server answers either."""
    runs = any(unit.pid is not None for unit in _units(view, ProcessKind.NGINX))
    return runs and not _is_ready(view, ProcessKind.SERVER)


def _is_ready(view: View, kind: ProcessKind) -> bool:
    return any(unit.state is UnitState.READY for unit in _units(view, kind))


def _units(view: View, kind: ProcessKind) -> list[UnitStatus]:
    return [unit for unit in view.report.processes if unit.kind is kind] if view.report else []
