"""The feed of the logs: a thread that reads the last lines of processes and follows new ones."""

import threading
from collections.abc import Callable, Sequence

import msgspec

from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.logs import log_reading
from core.supervisor.logs.log_reading import Follower, LogFilter, LogLine

TAIL_LINES = 2000
"""Lines read from the end of the logs at first."""

READ_INTERVAL = 0.1
"""Seconds between two reads of new lines."""

RETRY_INTERVAL = 1.0
"""Seconds between two attempts to open the logs."""


class LogBatch(msgspec.Struct, frozen=True):
    """Log lines that were read together."""

    number: int
    """The number of the choice of processes that they belong to."""
    lines: tuple[LogLine, ...]
    anew: bool
    """Whether they are the first of a choice, which replace the lines shown."""
    trouble: str = ""


class LogFeed:
    """The thread that reads the logs.

    Args:
        home: the paths of the data directory.
        hand_over: takes the lines; called from the thread.
    """

    def __init__(self, home: Home, hand_over: Callable[[LogBatch], object]) -> None:
        self._home = home
        self._hand_over = hand_over
        self._wake = threading.Event()
        self._stopping = False
        self._following = False
        self._number = 0
        self._names: tuple[str, ...] | None = None
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def choose(self, names: Sequence[str] | None) -> int:
        """Read the logs of these processes from now on; None means all. Returns the number of this choice."""
        self._names = None if names is None else tuple(names)
        self._number += 1
        self._wake.set()
        return self._number

    def follow(self, following: bool) -> None:
        """Go on reading, or pause while the lines are not shown."""
        self._following = following
        self._wake.set()

    def _run(self) -> None:
        shown, follower = 0, None
        while not self._stopping:
            self._wake.wait(self._pause(shown, follower))
            self._wake.clear()
            number, names = self._number, self._names
            if self._stopping or not self._following or not number:
                continue
            if number != shown or follower is None:
                follower = self._begin(number, names, trouble_shown=number == shown)
                shown = number
            elif lines := follower.read():
                self._hand_over(LogBatch(number, tuple(lines), anew=False))

    def _pause(self, shown: int, follower: Follower | None) -> float | None:
        if not self._following or not shown:
            return None
        return READ_INTERVAL if follower else RETRY_INTERVAL

    def _begin(self, number: int, names: tuple[str, ...] | None, *, trouble_shown: bool) -> Follower | None:
        try:
            follower = Follower(self._home, names)
            lines = log_reading.tail(self._home, names, TAIL_LINES, LogFilter())
        except SupervisorError as error:
            if not trouble_shown:
                self._hand_over(LogBatch(number, (), anew=True, trouble=str(error)))
            return None
        self._hand_over(LogBatch(number, tuple(lines), anew=True))
        return follower
