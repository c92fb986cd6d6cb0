"""Logging of the programs: one line for each event, as text or as JSON.

A message may hold untrusted text. Neither format lets a line break or a terminal's escape sequence through.
"""

import datetime
import json
import logging
import sys
from typing import TextIO

from core.safe_text import MAX_LENGTH
from core.safe_text import printable as printable

ROOT = "cauce"
"""The name of the project's top logger."""


def set_up(level: str, log_format: str, name: str, stream: TextIO | None = None) -> None:
    """Set up the project's loggers.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        log_format: `text` or `json`.
        name: the process's name, on each line.
        stream: the output; by default standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(name) if log_format == "json" else TextLines(name))
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


class LogThrottle:
    """A limit on the rate at which a recurring message is logged.

    Args:
        interval: seconds between two messages.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether to log the message now. The next is due an interval after one that was logged."""
        if now < self._next:
            return False
        self._next = now + self._interval
        return True


class TextLines(logging.Formatter):
    """Log lines such as `2026-11-25 10:00:00.123+0100 INFO    w1 cauce.worker: message`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = printable(name)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a log record."""
        at = datetime.datetime.fromtimestamp(record.created).astimezone()
        message = printable(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            message += f" | {printable(self.formatException(record.exc_info))}"
        return (
            f"{at:%Y-%m-%d %H:%M:%S}.{int(record.msecs):03}{at:%z} {record.levelname:7} {self._name} {record.name}:"
            f" {message}"
        )


class JsonLines(logging.Formatter):
    """Log lines that are JSON objects in ASCII."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = printable(name)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a log record."""
        event = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._name,
            "logger": record.name,
            "message": record.getMessage()[:MAX_LENGTH],
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["traceback"] = self.formatException(record.exc_info)[: 4 * MAX_LENGTH]
        return json.dumps(event)
