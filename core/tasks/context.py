"""What a task function may ask while it runs: which task it is, how long it has, whether it must stop.

Python can't stop a thread from outside, so a function that takes long asks by itself: `wait` in place of
`time.sleep`, and `check` now and then in a loop.
It knows neither worker nor queue, and takes its clock and its interruption from whoever makes it.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from core.errors import TaskInterrupted, TaskTimeout

_LONGEST_WAIT = 3600.0
"""One wait of a thread has an upper limit on each platform; a longer one is made of several."""


class Interruption(Protocol):
    """What tells a function that the worker must leave at once; a `threading.Event` does."""

    def is_set(self) -> bool:
        """Whether the worker must leave."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait for it to be set, up to `timeout` seconds; whether it is."""
        ...


class TaskContext(msgspec.Struct, frozen=True, kw_only=True):
    """The task that a function works on, and its time."""

    id: str
    kind: str
    attempt: int
    """1 for the first attempt."""
    deadline: float | None = None
    """When the attempt is to be over, by `clock`; never when None."""
    files_root: Path | None = None
    """The directory of which tasks may read files; None when they may read none."""
    interruption: Interruption
    clock: Callable[[], float] = time.monotonic

    def check(self) -> None:
        """Go on only if there is time.

        Raises:
            TaskInterrupted: the worker must leave at once; the task will run again elsewhere.
            TaskTimeout: the deadline is over.
        """
        if self.interruption.is_set():
            raise TaskInterrupted("the worker had to leave while the task ran; it will run again")
        if self.deadline is not None and self.clock() >= self.deadline:
            raise TaskTimeout(f"the task ran longer than the time-out of its kind, {self.kind}, allows")

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up at the deadline or when the worker must leave.

        Raises:
            TaskInterrupted: the worker must leave at once; the task will run again elsewhere.
            TaskTimeout: the deadline is over.
        """
        if math.isnan(seconds):
            raise ValueError("can't wait for a number of seconds that is not a number")
        end = self.clock() + seconds
        limit = math.inf if self.deadline is None else self.deadline
        while True:
            self.check()
            left = min(end, limit) - self.clock()
            if left > 0:
                self.interruption.wait(min(left, _LONGEST_WAIT))
            elif end <= limit:
                return
