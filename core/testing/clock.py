"""The clock of a system under test."""

import heapq
import time


class Clock:
    """A clock that moves when it is told to, and when a task waits: it is the interruption of tasks, which never comes.

    Attributes:
        now: seconds since the epoch.
    """

    def __init__(self) -> None:
        self.now = time.time()
        self._alarms: list[float] = []

    def __call__(self) -> float:
        """Return the present time."""
        return self.now

    @property
    def error(self) -> None:
        """The reason why the running task must stop: there is none."""

    def wait(self, timeout: float) -> None:
        """Let time pass."""
        self.now += timeout

    def add_alarm(self, at: float | None) -> None:
        """Note that something becomes due; None for nothing."""
        if at is not None:
            heapq.heappush(self._alarms, at)

    def move_to_alarm(self, end: float) -> bool:
        """Let time pass until something is due, at most until `end`. Returns whether something is due."""
        if self._alarms and self._alarms[0] <= end:
            self.now = max(self.now, heapq.heappop(self._alarms))
            return True
        self.now = max(self.now, end)
        return False
