"""Measures the processor time of groups of processes."""

from collections.abc import Mapping, Sequence

import psutil

from tests.benchmarks.case import Group

_BUSY = ("user", "nice", "system", "irq", "softirq")
"""Times that count as work; not every platform has all of them."""


class Meter:
    """Measures the processor time of groups of processes since its creation.

    Args:
        groups: the process ids of each group; the processes must live until the meter is read.
    """

    def __init__(self, groups: Mapping[Group, Sequence[int]]) -> None:
        self._groups = {group: [psutil.Process(pid) for pid in pids] for group, pids in groups.items()}
        self._own = psutil.Process()
        self._before = self._now()

    def read(self) -> dict[Group, float]:
        """Return the seconds of each group since then, and of all else."""
        return {group: max(0.0, now - self._before[group]) for group, now in self._now().items()}

    def _now(self) -> dict[Group, float]:
        taken = {group: sum(map(_seconds, processes)) for group, processes in self._groups.items()}
        elsewhere = _busy_seconds() - sum(taken.values()) - self._own_time()
        return {**taken, Group.ELSEWHERE: elsewhere}

    def _own_time(self) -> float:
        """Return the time of this process and its ended children, which belongs to no group nor to others."""
        own = self._own.cpu_times()
        children = own.children_user + own.children_system
        named = any(self._own in processes for processes in self._groups.values())
        return float(children if named else children + own.user + own.system)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in _BUSY))
