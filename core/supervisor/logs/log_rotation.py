"""Rotates the logs while the processes go on writing them."""

import logging
from collections.abc import Callable
from pathlib import Path

from core.errors import SupervisorError
from core.supervisor.logs.log_files import rotate_by_copying

ROTATION_INTERVAL = 1.0
"""Seconds between two checks of the sizes."""

_log = logging.getLogger("cauce.supervisor")


class LogRotation:
    """Rotates logs that have grown large. It belongs to the supervisor's main thread.

    Args:
        list_logs: returns the log files that exist.
        rotate_others: called at each check, to rotate logs of another kind.
    """

    def __init__(self, list_logs: Callable[[], list[Path]], rotate_others: Callable[[], None]) -> None:
        self._list_logs = list_logs
        self._rotate_others = rotate_others
        self._checked_at = float("-inf")
        self._has_failed = False

    def rotate_if_due(self, now: float) -> None:
        """Rotate the logs that have grown large, unless the last check was a moment ago."""
        if now - self._checked_at < ROTATION_INTERVAL:
            return
        self._checked_at = now
        try:
            for path in self._list_logs():
                rotate_by_copying(path)
            self._rotate_others()
            self._has_failed = False
        except SupervisorError as error:
            # A full disk is logged once, and ends nothing.
            if not self._has_failed:
                _log.warning("a log grows on: %s", error)
            self._has_failed = True
