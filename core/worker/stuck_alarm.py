"""Notices that a worker is stuck: tasks keep all its threads busy, and none has ended for much longer than usual."""

import logging
import time
from collections.abc import Callable, Sequence

from core.formatting import coarse_duration
from core.model import MAX_KINDS, RunningTask
from core.worker import policy

CHECK_INTERVAL = 0.5
"""Seconds between two checks."""

_NAMED = 3
"""How many of the tasks the trouble names."""

_log = logging.getLogger("cauce.worker")


class StuckAlarm:
    """Watches the tasks of a worker. It belongs to the thread of the runners.

    Args:
        concurrency: how many tasks run at once.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._usual: dict[str, float] = {}
        """The seconds that a task of a kind takes on average."""
        self._seen: object = None
        """Which tasks ran at the last check, and what they had said."""
        self._silent = 0.0
        """The seconds for which all threads were busy without a sign of life. Seconds of suspension don't count."""
        self._next_check = 0.0
        self.trouble = ""
        """What keeps the worker from working, or an empty string."""

    def note_end(self, kind: str, seconds: float) -> None:
        """Note that a task has ended, and how long it took."""
        known = self._usual.get(kind)
        if known is not None or len(self._usual) < MAX_KINDS:
            self._usual[kind] = policy.moving_average(known, seconds)

    def check(self, now: float, running: Callable[[], Sequence[RunningTask]]) -> None:
        """Raise the alarm, or take it back.

        Args:
            now: a time of the monotonic clock.
            running: returns the tasks that run.
        """
        if now < self._next_check:
            return
        self._next_check = now + CHECK_INTERVAL
        tasks = running()
        seen = {(task.id, task.since, task.progress, task.notes) for task in tasks}
        goes_on = seen != self._seen or len(tasks) < self._concurrency
        self._seen = seen
        self._silent = 0.0 if goes_on else self._silent + CHECK_INTERVAL
        if self._silent <= policy.stuck_after([self._usual.get(task.kind) for task in tasks]):
            self._clear()
        else:
            self._raise(sorted(tasks, key=lambda task: task.since))

    def _clear(self) -> None:
        if self.trouble:
            self.trouble = ""
            _log.warning("no longer stuck: a task has ended, or has told how far it is")

    def _raise(self, tasks: Sequence[RunningTask]) -> None:
        is_new = not self.trouble
        names = ", ".join(task.id for task in tasks[:_NAMED])
        self.trouble = (
            f"stuck: nothing has ended for {coarse_duration(self._silent)} "
            f"while tasks keep all threads busy ({len(tasks)}), such as {names}"
        )
        if is_new:
            _log.error("%s", self.trouble)
            for task in tasks[: policy.MAX_STACKS_TOLD]:
                _log.error("%s", _describe(task))


def _describe(task: RunningTask) -> str:
    where = f":\n{task.stack.text.rstrip()}" if task.stack is not None else "; where it is, is not known"
    return f"task {task.id} ({task.kind}) has run for {coarse_duration(time.time() - task.since)}{where}"
