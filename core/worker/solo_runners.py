"""Runs suspects and the tasks of isolated kinds, each alone in a runner with one thread.

So a suspect which kills its runner harms no other task, and an isolated one can be ended at once.
"""

import time
from collections import deque
from collections.abc import Callable

import msgspec

from core.model import Beginning
from core.repository.base import STRIKE_LIMIT
from core.repository.beginnings import WorkerBeginnings
from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunRules, RunSettings
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import RunnerProcess
from core.worker.task_callbacks import Callbacks
from core.worker.waiting_tasks import WaitingTasks

MAX_SUSPECTS = 4
"""The most suspects that run at once."""

MAX_STARTING = 4
"""The most runners that start at once."""

SOLO_IDLE_TIMEOUT = 5.0
"""Seconds after which a runner for one task at a time that has none is ended."""


class SoloRunners:
    """Gives tasks to the runners that run one at a time. It belongs to the thread of the runners.

    Args:
        settings: the worker's settings.
        rules: decide about each task.
        group: the runners.
        beginnings: where the runners note what begins.
        waiting: the tasks that wait.
        callbacks: store the strikes.
        post: lets the thread of the runners call a function. Thread-safe.
    """

    def __init__(
        self,
        settings: RunSettings,
        rules: RunRules,
        group: RunnerGroup,
        beginnings: WorkerBeginnings,
        waiting: WaitingTasks,
        callbacks: Callbacks,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._group = group
        self._beginnings = beginnings
        self._waiting = waiting
        self._callbacks = callbacks
        self._post = post

    @property
    def places(self) -> int:
        """How many tasks run alone, or will as soon as fewer others run."""
        busy = sum(not runner.idle for runner in self._group.solo)
        suspects = min(self._busy_suspects + len(self._waiting.suspects), MAX_SUSPECTS)
        wanted = suspects + busy - self._busy_suspects + len(self._waiting.isolated)
        return max(busy, min(wanted, self._share))

    @property
    def _busy_suspects(self) -> int:
        return sum(runner.has_suspect for runner in self._group.solo)

    @property
    def _share(self) -> int:
        """How many tasks may begin alone: half of those that run at once, while there are others."""
        concurrency = self._settings.concurrency
        others = self._waiting.shared or any(runner.load for runner in self._group.shared)
        return max(1, concurrency // 2) if others or self._waiting.suspects else concurrency

    def begin(self) -> None:
        """Begin tasks, each in a runner of its own, as long as there are places."""
        while self._beginnings.has_room and (waiting := self._next_queue()):
            running = sum(runner.load + runner.reserved for runner in self._group.all)
            if running and running >= self._settings.concurrency:
                return
            runner = next((one for one in self._group.solo if one.ready and one.idle), None)
            if runner is None:
                ready = sum(one.ready for one in self._group.solo)
                self._group.start_solo(min(self.places, ready + MAX_STARTING))
                return
            if sum(not one.idle for one in self._group.solo) >= self._share:
                return
            task = waiting.popleft()
            if self._waiting.may_begin(task):
                if task.suspect:
                    self._begin_suspect(task, runner)
                else:
                    self._run(task, runner)

    def _next_queue(self) -> "deque[InFlightTask]":
        """Return the queue from which the next task comes. It may be empty."""
        if self._waiting.suspects and self._busy_suspects < MAX_SUSPECTS:
            return self._waiting.suspects
        return self._waiting.isolated

    def _run(self, task: InFlightTask, runner: RunnerProcess) -> None:
        runner.run([(task, self._rules.limits(task))])
        self._group.watch(runner)

    def _begin_suspect(self, task: InFlightTask, runner: RunnerProcess) -> None:
        """Store a strike, and run a suspect then."""
        if task.assignment.strikes >= STRIKE_LIMIT:
            self._callbacks.give_up(task)
            return
        runner.reserved = True
        task.runner, task.report = runner.number, None
        self._add_strike(task, time.time(), lambda: self._run_suspect(task, runner))

    def _run_suspect(self, task: InFlightTask, runner: RunnerProcess) -> None:
        """Run a suspect, whose strike is stored."""
        runner.reserved = False
        if not self._was_struck(task):
            return
        if runner not in self._group.solo or self._waiting.closed:
            self._waiting.take_back([task])
        else:
            self._run(task, runner)

    def strike(self, task: InFlightTask, started_at: float) -> None:
        """Store a strike for a task that had begun in a runner which died, and let it wait then."""

        def go_on() -> None:
            if self._was_struck(task):
                self._waiting.run_again(task)

        self._add_strike(task, started_at, go_on)

    def _add_strike(self, task: InFlightTask, started_at: float, go_on: Callable[[], None]) -> None:
        beginning = Beginning(
            seq=task.assignment.seq,
            worker=self._settings.worker,
            queued_at=task.reference.at,
            taken_at=task.taken_at,
            started_at=started_at,
            runner=task.runner,
            report=task.report,
        )
        self._callbacks.add_strike(task, beginning, lambda: self._post(go_on))

    def _was_struck(self, task: InFlightTask) -> bool:
        """Note that a strike was stored. Returns False for a task that is unwanted, which is then forgotten."""
        if task.unwanted:
            self._callbacks.drop(task)
            return False
        task.assignment = msgspec.structs.replace(task.assignment, strikes=task.assignment.strikes + 1)
        return True

    def end_idle(self, now: float) -> None:
        """End the runners that have had no task for a while, and those that are to be replaced."""
        for runner in self._group.solo:
            if runner.outdated and not runner.load and not runner.reserved:
                runner.leaving = True
            elif not runner.ready or not runner.idle:
                runner.idle_since = now
            elif now - runner.idle_since > SOLO_IDLE_TIMEOUT:
                runner.leaving = True
