"""The suspects of a worker, which begin one at a time."""

import threading
from collections import deque
from collections.abc import Callable

from core.worker.in_flight import InFlightTask


class SuspectQueue:
    """The suspects that wait. One at a time begins, so that only that one gets a strike when the worker dies.

    Args:
        begin: called with the suspect that may begin; must not block.
    """

    def __init__(self, begin: Callable[[InFlightTask], None]) -> None:
        self._begin = begin
        self._waiting: deque[InFlightTask] = deque()
        self._current: InFlightTask | None = None
        self._lock = threading.Lock()

    def add(self, task: InFlightTask) -> None:
        """Add a suspect. It begins now if no other is under way."""
        with self._lock:
            self._waiting.append(task)
        self._begin_next()

    def finish(self, task: InFlightTask) -> None:
        """Let the next suspect begin. Does nothing when `task` is not the one under way, as on a second call."""
        if self._current is not task:
            return
        with self._lock:
            if self._current is task:
                self._current = None
        self._begin_next()

    def clear(self) -> None:
        """Remove the suspects that wait."""
        with self._lock:
            self._waiting.clear()

    def _begin_next(self) -> None:
        with self._lock:
            if self._current is None and self._waiting:
                self._current = self._waiting.popleft()
                self._begin(self._current)
