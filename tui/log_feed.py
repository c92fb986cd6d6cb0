"""The feed of the logs: reads back what processes have written and what they go on to write, in its own thread."""

import threading
from collections.abc import Callable, Sequence

import msgspec

from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.logs import log_reading
from core.supervisor.logs.log_reading import Follower, LogFilter, LogLine

FIRST_LINES = 2000
"""How many lines are read back."""

READ_EVERY = 0.1
"""Seconds between two looks at what was written."""

RETRY_EVERY = 1.0
"""Seconds between two looks for a log that is not there yet."""


class LogBatch(msgspec.Struct, frozen=True):
    """Lines of logs."""

    number: int
    """Of the choice that they belong to."""
    lines: tuple[LogLine, ...]
    anew: bool
    """They are the beginning of another choice: what was shown before goes."""
    trouble: str = ""


class LogFeed:
    """Owns the thread.

    Args:
        home: of the data directory.
        hand_over: takes what is read; may be called from any thread.
    """

    def __init__(self, home: Home, hand_over: Callable[[LogBatch], object]) -> None:
        self._home = home
        self._hand_over = hand_over
        self._wake = threading.Event()
        self._leaving = False
        self._following = False
        self._number = 0
        self._names: tuple[str, ...] | None = None
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End."""
        self._leaving = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def choose(self, names: Sequence[str] | None) -> int:
        """Read the logs of these processes from now on, of all when None; the number of this choice."""
        self._names = None if names is None else tuple(names)
        self._number += 1
        self._wake.set()
        return self._number

    def follow(self, following: bool) -> None:
        """Go on reading, or rest: nobody is looking."""
        self._following = following
        self._wake.set()

    def _run(self) -> None:
        shown, follower = 0, None
        while not self._leaving:
            self._wake.wait(self._pause(shown, follower))
            self._wake.clear()
            number, names = self._number, self._names
            if self._leaving or not self._following or not number:
                continue
            if number != shown or follower is None:
                follower = self._begin(number, names, told=number == shown)
                shown = number
            elif lines := follower.read():
                self._hand_over(LogBatch(number, tuple(lines), anew=False))

    def _pause(self, shown: int, follower: Follower | None) -> float | None:
        if not self._following or not shown:
            return None
        return READ_EVERY if follower else RETRY_EVERY

    def _begin(self, number: int, names: tuple[str, ...] | None, *, told: bool) -> Follower | None:
        try:
            follower = Follower(self._home, names)
            lines = log_reading.tail(self._home, names, FIRST_LINES, LogFilter())
        except SupervisorError as error:
            if not told:
                self._hand_over(LogBatch(number, (), anew=True, trouble=str(error)))
            return None
        self._hand_over(LogBatch(number, tuple(lines), anew=True))
        return follower
