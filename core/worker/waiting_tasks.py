"""The tasks of a worker that wait for a runner, and what happens when one leaves them or comes back."""

from collections import deque
from collections.abc import Sequence

import msgspec

from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunRules
from core.worker.task_callbacks import Callbacks


class WaitingTasks:
    """The tasks that wait. They belong to the thread of the runners.

    Args:
        rules: decide about each task.
        callbacks: learn what becomes of a task.
    """

    def __init__(self, rules: RunRules, callbacks: Callbacks) -> None:
        self._rules = rules
        self._callbacks = callbacks
        self.shared: deque[InFlightTask] = deque()
        """The tasks for the runners that run several at once."""
        self.suspects: deque[InFlightTask] = deque()
        """The tasks that may have killed the runner or worker which ran them. Each runs alone."""
        self.isolated: deque[InFlightTask] = deque()
        """The tasks of kinds that have a runner to themselves."""
        self.closed = False
        """Whether no more tasks begin. Those that come are forgotten: they run elsewhere."""

    def add(self, task: InFlightTask) -> None:
        """Let a task wait behind the others."""
        if not self.closed:
            self._queue(task).append(task)

    def take_back(self, tasks: Sequence[InFlightTask]) -> None:
        """Let tasks wait in front of the others, which a runner had and did not begin."""
        for task in reversed(tasks):
            if task.suspect:  # its strike was stored before
                self._callbacks.remove_strike(task)
                task.assignment = msgspec.structs.replace(task.assignment, strikes=task.assignment.strikes - 1)
            self._callbacks.give_back(task)
            if not self.closed:
                self._queue(task).appendleft(task)

    def run_again(self, task: InFlightTask) -> None:
        """Let a task wait for another turn that had begun in a runner which died. Its strike is stored."""
        task.suspect = True
        self._callbacks.give_back(task)
        self.add(task)

    def may_begin(self, task: InFlightTask) -> bool:
        """Mark a task as begun. Returns False for one that must not run, which is then forgotten."""
        if not self._callbacks.begin(task):
            return False
        if task.unwanted:
            self._callbacks.drop(task)
            return False
        if task.cancelling:
            self._callbacks.give_up(task)
            return False
        return True

    def close(self) -> None:
        """Begin no more tasks, and forget all."""
        self.closed = True
        self.shared.clear()
        self.suspects.clear()
        self.isolated.clear()

    def _queue(self, task: InFlightTask) -> "deque[InFlightTask]":
        if task.suspect:
            return self.suspects
        return self.isolated if self._rules.limits(task).isolate else self.shared
