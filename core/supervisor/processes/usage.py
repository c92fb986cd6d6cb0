"""How much of the processor and the memory a process takes, with all that it has started.

It belongs to one thread.
"""

import contextlib
from collections.abc import Sequence

import msgspec
import psutil

from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.readiness import ProbeTarget

_WITH_CHILDREN = frozenset({ProcessKind.NGINX, ProcessKind.RABBITMQ, ProcessKind.DECLARED})
"""Those whose work is done by processes that they start. To find these means to look at all processes."""


class Usage(msgspec.Struct, frozen=True):
    """What a process takes."""

    cpu: float | None
    """Share of one processor, 1.0 for all of one; None at the first look."""
    memory: int
    """Resident bytes."""


class UsageMeter:
    """Measures, each time it looks, what was used since the last look."""

    def __init__(self) -> None:
        self._before: dict[ProcessIdentity, tuple[float, float]] = {}

    def look(self, targets: Sequence[ProbeTarget], now: float) -> dict[ProcessIdentity, Usage]:
        """Measure these processes; one that can't be looked at is left out.

        Args:
            targets: the processes.
            now: the monotonic time.
        """
        found = {}
        seen = {}
        for target in targets:
            measured = _measure(target)
            if measured is None:
                continue
            spent, memory = measured
            seen[target.identity] = (spent, now)
            former, then = self._before.get(target.identity, (spent, now))
            # A child that has ended takes what it has spent out of the sum.
            cpu = max(0.0, spent - former) / (now - then) if now > then else None
            found[target.identity] = Usage(cpu, memory)
        self._before = seen
        return found


def _measure(target: ProbeTarget) -> tuple[float, int] | None:
    """Processor seconds and resident bytes of a process and its family."""
    spent, memory = 0.0, 0
    try:
        leader = psutil.Process(target.identity.pid)
        family = [leader, *(leader.children(recursive=True) if target.kind in _WITH_CHILDREN else ())]
    except psutil.Error:
        return None
    for process in family:
        with contextlib.suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            spent += times.user + times.system
            memory += process.memory_info().rss
    return spent, memory
