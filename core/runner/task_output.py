"""The standard streams of a runner: each line that a task writes begins with the task's id.

Only what Python writes to `sys.stdout` and `sys.stderr` does, with `print` or `logging`; what other programs and
libraries write to the descriptors stays as it is.
"""

import io
import sys
from collections import deque
from contextlib import suppress
from contextvars import ContextVar
from typing import TextIO

MAX_BROKEN = 100
"""Incomplete lines that others have ended, and that are remembered: those of tasks that ended so are never gone on."""

task_id: ContextVar[str] = ContextVar("task_id", default="")
"""The id of the task that runs in this context, or an empty text."""


class TaskOutput(io.TextIOBase):
    """A stream that marks the lines of tasks, over another one. What is written goes out at once, as before.

    It has no lock: an exception that stops a task may be raised in the middle of any method. Two tasks that write at
    once may break each other's lines, but each part keeps its mark.

    Args:
        stream: the stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open: str | None = None
        """The task whose line is not complete; None when the last line is."""
        self._broken: deque[str] = deque(maxlen=MAX_BROKEN)
        """The tasks whose incomplete lines others have ended."""

    def write(self, text: str) -> int:
        """Write a text. Returns its length.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"write() takes a text, not {type(text).__name__}")
        if text:
            self._stream.write(self._marked(text, task_id.get()))
        return len(text)

    def _marked(self, text: str, task: str) -> str:
        """Return a text with the marks of a task at the beginnings of its lines."""
        rest, before = text, ""
        if self._open is not None and self._open != task:
            self._broken.append(self._open)
            self._open, before = None, "\n"
        if task in self._broken:
            with suppress(ValueError):  # another thread of the task was faster
                self._broken.remove(task)
            rest = rest.removeprefix("\n")  # the end of the line that another one has ended
        *whole, last = rest.split("\n")
        parts = [*(f"{line}\n" for line in whole), *([last] if last else [])]
        if not parts:
            return before
        mark = f"[{task}] " if task else ""
        marked = mark + mark.join(parts)
        if self._open is not None:
            marked = marked[len(mark) :]  # the first part goes on with a line that is not complete
        self._open = task if last else None
        return before + marked

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def writable(self) -> bool:
        """Return True."""
        return True

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # it can not be set
        """The encoding of the stream."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # it can not be set
        """How the stream treats what it can't encode."""
        return self._stream.errors

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()


def mark_streams() -> None:
    """Mark what tasks write to the standard streams of this process from now on. One that is closed stays so."""
    out: TextIO | None = sys.stdout
    err: TextIO | None = sys.stderr
    if out is not None:
        sys.stdout = TaskOutput(out)
    if err is not None:
        sys.stderr = TaskOutput(err)
