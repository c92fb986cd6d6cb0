"""Keeps the logs from growing without end, while those who write them go on."""

import logging
from collections.abc import Callable
from pathlib import Path

from core.errors import SupervisorError
from core.supervisor.logs.log_files import rotate

LOOK_EVERY = 1.0
"""Seconds between two looks at the sizes."""

_log = logging.getLogger("cauce.supervisor")


class LogRotation:
    """Looks at the logs, from the supervisor's main thread.

    Args:
        logs: lists the log files as they are now.
        also: called at each look, for logs of another kind.
    """

    def __init__(self, logs: Callable[[], list[Path]], also: Callable[[], None]) -> None:
        self._logs = logs
        self._also = also
        self._looked_at = float("-inf")
        self._troubled = False

    def look(self, now: float) -> None:
        """Set aside what has grown large; it does nothing most of the time."""
        if now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        try:
            for path in self._logs():
                rotate(path)
            self._also()
            self._troubled = False
        except SupervisorError as error:
            # A full disk is a reason to say so once, and none to end anything.
            if not self._troubled:
                _log.warning("a log can't be set aside: %s", error)
            self._troubled = True
