"""The context of a running task: which task it is, until when it may run, and whether it must stop.

Python can't stop a thread from outside. So a long-running function calls `wait` instead of `time.sleep`, and
`check` from time to time in a loop.
This module knows neither worker nor queue: the creator of a context provides its clock and its interruption.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from core.errors import TaskTimeout
from core.tasks import reports
from core.tasks.reports import NoReporter, Reporter

_MAX_WAIT = 3600.0
"""Seconds. Each platform limits how long a thread can wait at once; longer waits are split."""


class Interruption(Protocol):
    """The signal that a task must stop before its time."""

    @property
    def error(self) -> Exception | None:
        """The reason why it must stop, or None."""
        ...

    def wait(self, timeout: float) -> None:
        """Wait for the signal, up to `timeout` seconds."""
        ...


class TaskContext(msgspec.Struct, frozen=True, kw_only=True):
    """The task that a function runs for.

    Attributes:
        id: the task's id.
        kind: the task's kind.
        attempt: the number of this attempt, 1 for the first.
        deadline: the time at which the attempt must have ended, by `clock`; None for no limit.
        files_root: the directory whose files tasks may read, or None when they may read none.
        interruption: the signal that the task must stop: it was cancelled, or its worker must stop at once.
        reporter: takes what the task says of itself.
        clock: returns the present time in seconds.
    """

    id: str
    kind: str
    attempt: int
    deadline: float | None = None
    files_root: Path | None = None
    interruption: Interruption
    reporter: Reporter = NoReporter()
    clock: Callable[[], float] = time.monotonic

    def check(self) -> None:
        """Check that the task may go on.

        Raises:
            TaskCancelled: the task was cancelled.
            TaskInterrupted: the worker must stop at once. The task will run again elsewhere.
            TaskTimeout: the deadline has passed.
        """
        error = self.interruption.error
        if error is not None:
            raise error
        if self.deadline is not None and self.clock() >= self.deadline:
            raise TaskTimeout("the task ran longer than its time-out allows")

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell how far the task is, for people who look at it: `context.progress(3, 10, "resizing")`.

        Only the newest is shown, and it may be called as often as is convenient: others see it a few times a second.

        Raises:
            ValueError: a number is none, or not finite.
        """
        self.reporter.set_progress(reports.progress(done, total, text))

    def log(self, text: str) -> None:
        """Note something, for people who look at the task. The last 20 notes of an attempt are kept."""
        self.reporter.add_note(reports.storable(text))

    def wait(self, seconds: float) -> None:
        """Sleep for a number of seconds, at most until the deadline or until the task must stop.

        Raises:
            TaskCancelled: the task was cancelled.
            TaskInterrupted: the worker must stop at once. The task will run again elsewhere.
            TaskTimeout: the deadline has passed.
        """
        if math.isnan(seconds):
            raise ValueError("the seconds to wait must be a number, not NaN")
        end = self.clock() + seconds
        limit = math.inf if self.deadline is None else self.deadline
        while True:
            self.check()
            left = min(end, limit) - self.clock()
            if left > 0:
                self.interruption.wait(min(left, _MAX_WAIT))
            elif end <= limit:
                return
