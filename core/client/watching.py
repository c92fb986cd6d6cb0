"""Shows how far a task is while a command waits for it: one line of a terminal, which is written again and again."""

import shutil
import threading
import time
from contextlib import suppress
from typing import TextIO

from core.client import display
from core.client.client import Client
from core.client.values import TaskOutcome
from core.errors import CauceError

INTERVAL = 1.0
"""Seconds between two looks at the task."""

_CLEAR = "\r\x1b[K"


class TaskWatch:
    """Shows how far one task is, if the stream is a terminal. Thread-safe.

    Args:
        client: reads the task.
        task_id: its id.
        stream: where to write, standard error.
    """

    def __init__(self, client: Client, task_id: str, stream: TextIO) -> None:
        self._client = client
        self._task_id = task_id
        self._stream = stream
        self._lock = threading.Lock()
        self._shows = stream.isatty()
        self._next_look = 0.0

    def wait(self, timeout: float) -> TaskOutcome:
        """Wait up to `timeout` seconds for the outcome of the task. Returns it, or the state of the task then."""
        end = time.monotonic() + timeout
        try:
            while True:
                left = max(0.0, end - time.monotonic())
                outcome = self._client.outcome(self._task_id, min(left, INTERVAL) if self._shows else left)
                if outcome.state.ended or left <= INTERVAL or not self._shows:
                    return outcome
                self._show(outcome)
        finally:
            self.close()

    def look(self) -> None:
        """Show how far the task is, at most once in a while."""
        now = time.monotonic()
        if self._shows and now >= self._next_look:
            self._next_look = now + INTERVAL
            with suppress(CauceError):  # who waits for the outcome reports it
                self._show(self._client.outcome(self._task_id))

    def close(self) -> None:
        """Remove the line, and write no other."""
        with self._lock:
            if self._shows:
                self._shows = False
                self._write(_CLEAR)

    def _show(self, outcome: TaskOutcome) -> None:
        columns = shutil.get_terminal_size().columns
        with self._lock:
            if self._shows and outcome.running is not None:
                line = display.running_line(outcome.id, outcome.running, time.time())
                self._write(f"{_CLEAR}{line[: columns - 1]}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
