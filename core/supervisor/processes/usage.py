"""Measures the processor time and the memory of processes, with all that they have started.

A meter belongs to one thread.
"""

import contextlib
from collections.abc import Sequence

import msgspec
import psutil

from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.readiness import ProbeTarget

_WITH_CHILDREN = frozenset({ProcessKind.NGINX, ProcessKind.RABBITMQ, ProcessKind.DECLARED})
"""The kinds whose work is done by child processes. Finding those means listing all processes."""


class Usage(msgspec.Struct, frozen=True):
    """The processor share and the memory of a process."""

    cpu: float | None
    """Share of one processor, 1.0 for all of it; None at the first measurement."""
    memory: int
    """Resident bytes."""


class UsageMeter:
    """Measures the use of processor and memory since the previous measurement."""

    def __init__(self) -> None:
        self._before: dict[ProcessIdentity, tuple[float, float]] = {}

    def measure(self, targets: Sequence[ProbeTarget], now: float) -> dict[ProcessIdentity, Usage]:
        """Measure these processes, except those that can't be read.

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
            # The sum falls when a child ends: its time is no longer counted.
            cpu = max(0.0, spent - former) / (now - then) if now > then else None
            found[target.identity] = Usage(cpu, memory)
        self._before = seen
        return found


def _measure(target: ProbeTarget) -> tuple[float, int] | None:
    """Return the processor seconds and resident bytes of a process and, for some kinds, its children."""
    spent, memory = 0.0, 0
    try:
        leader = psutil.Process(target.identity.pid)
        processes = [leader, *(leader.children(recursive=True) if target.kind in _WITH_CHILDREN else ())]
    except psutil.Error:
        return None
    for process in processes:
        with contextlib.suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            spent += times.user + times.system
            memory += process.memory_info().rss
    return spent, memory
