"""Replaces runners between tasks: each goes on until a new one is ready, and then ends what it has begun."""

import logging
from collections.abc import Callable

from core.worker.run_outcomes import RunSettings
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import RunnerProcess
from core.worker.source_watch import SourceWatch

MEMORY_INTERVAL = 1.0
"""Seconds between two measurements of the runners' memory."""


_log = logging.getLogger("cauce.worker")


class Recycling:
    """Decides which runners to replace, and lets them go. It belongs to the thread of the runners.

    Args:
        settings: the worker's settings.
        group: the runners.
        memory: returns the bytes of memory that the process with a number has.
    """

    def __init__(self, settings: RunSettings, group: RunnerGroup, memory: Callable[[int], int]) -> None:
        self._settings = settings
        self._group = group
        self._memory = memory
        self._next_measurement = 0.0
        self._sources = SourceWatch()
        for runner in group.all:
            self.note_ready(runner)

    def note_ready(self, runner: RunnerProcess) -> None:
        """Let the runners go in whose place a new one is ready."""
        self._sources.take(runner.sources)
        self._let_go()

    def check(self, now: float) -> None:
        """Find the runners that have run too many tasks, that hold too much, or whose modules have changed."""
        most = self._settings.max_tasks_per_runner
        if most:
            for runner in self._group.all:
                runner.outdated = runner.outdated or runner.ended_tasks >= most
        if self._settings.max_memory_per_runner and now >= self._next_measurement:
            self._next_measurement = now + MEMORY_INTERVAL
            for runner in self._group.all:
                runner.outdated = runner.outdated or self._is_large(runner)

        if self._settings.reload and (changed := self._sources.changed(now)):
            _log.info("%s has changed: the runners are replaced", changed[0])
            for runner in self._group.all:
                runner.outdated = True
            self._group.start_at_once()

    def _let_go(self) -> None:
        serving = [runner for runner in self._group.shared if runner.ready and not runner.leaving]
        outdated = [runner for runner in serving if runner.outdated]
        for runner in outdated[: max(0, len(serving) - self._group.count)]:
            self._group.let_go(runner)

    def _is_large(self, runner: RunnerProcess) -> bool:
        return runner.ready and self._memory(runner.pid) > self._settings.max_memory_per_runner
