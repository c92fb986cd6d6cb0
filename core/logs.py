"""What programs log: one line an event, as text for people or as JSON for machines.

Text of strangers may be in a message. Neither format lets a line break or a terminal's escape sequence through.
"""

import datetime
import json
import logging
import sys
from typing import TextIO

ROOT = "cauce"
"""The logger above all others of this project."""

LONGEST = 4096
"""A message is cut to this many characters."""


def set_up(level: str, form: str, name: str, stream: TextIO | None = None) -> None:
    """Make the project's loggers write to `stream` (standard error when left out).

    Args:
        level: `debug`, `info`, `warning` or `error`.
        form: `text` or `json`.
        name: of the process, on each line.
        stream: where to.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(name) if form == "json" else TextLines(name))
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def printable(text: str, longest: int = LONGEST) -> str:
    """The text with every character that a terminal could take for a command written as an escape, and cut.

    Line breaks and tabs are escaped too, and so are the characters that turn the direction of writing around.
    """
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class LogThrottle:
    """Limits how often a message that may come at any rate is logged.

    Args:
        interval: seconds between two messages.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether to log it at this time; if so, the next message is due an interval later."""
        if now < self._next:
            return False
        self._next = now + self._interval
        return True


class TextLines(logging.Formatter):
    """`2026-11-25 10:00:00.123 INFO  w1 cauce.worker: message`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = printable(name)

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.datetime.fromtimestamp(record.created).astimezone()
        message = printable(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            message += f" | {printable(self.formatException(record.exc_info))}"
        return (
            f"{at:%Y-%m-%d %H:%M:%S}.{int(record.msecs):03} {record.levelname:7} {self._name} {record.name}: {message}"
        )


class JsonLines(logging.Formatter):
    """One JSON object a line, all ASCII."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = printable(name)

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        event = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._name,
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["traceback"] = self.formatException(record.exc_info)[: 4 * LONGEST]
        return json.dumps(event)
