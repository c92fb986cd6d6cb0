"""What a running task says of itself: how far it is, and notes. Pure.

The texts are bounded, and hold only what can be stored.
"""

import math
from typing import Protocol

from core.model import TaskProgress

MAX_TEXT = 500
"""Characters of a text; the rest is cut."""

MAX_NOTES = 20
"""The last notes that are kept of an attempt."""


class Reporter(Protocol):
    """Takes what one run of a task says of itself. Neither method blocks."""

    def set_progress(self, progress: TaskProgress) -> None:
        """Take how far the task is. It replaces what was said before."""
        ...

    def add_note(self, text: str) -> None:
        """Take a note."""
        ...


class NoReporter:
    """Takes nothing, for a task that runs outside a runner."""

    def set_progress(self, progress: TaskProgress) -> None:
        """Do nothing."""

    def add_note(self, text: str) -> None:
        """Do nothing."""


def progress(done: float, total: float | None, text: str) -> TaskProgress:
    """Return how far a task is.

    Raises:
        ValueError: a number is none, or not finite.
    """
    return TaskProgress(_number(done, "done"), None if total is None else _number(total, "total"), storable(text))


def storable(text: object, longest: int = MAX_TEXT) -> str:
    """Return the beginning of a text, with escapes for characters that UTF-8 or a database can't store."""
    cut = str(text)[:longest]
    return cut.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:longest]


def _number(value: float, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the progress needs a number as {name}, not {value!r:.80}") from error
    if not math.isfinite(number):
        raise ValueError(f"the progress needs a finite number as {name}, not {number}")
    return number
