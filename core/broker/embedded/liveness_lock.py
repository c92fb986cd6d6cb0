"""How the consumers of one queue notice at once that the process of another has died: each holds a lock while it lives.

The lease still decides where a lock proves nothing: on a file system without locks, for a process that hangs,
or for one whose child inherited its descriptors.
"""

import contextlib
from pathlib import Path

from core.closeable import Closeable
from core.locks import FileLock


class LivenessLocks:
    """The lock files of all consumers of a queue, one for each lease.

    Args:
        path: the queue's file; the locks are in a directory beside it.
    """

    def __init__(self, path: Path) -> None:
        self._directory = path.with_name(f"{path.stem}-alive")

    def acquire(self, number: int) -> Closeable | None:
        """Acquire the lock of this lease. Closing it, or the death of the process, releases it.

        Returns None when it can't be acquired. Other consumers then notice a death only when the lease expires.
        """
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            return FileLock(self._path(number))
        except OSError:
            return None

    def is_released(self, number: int) -> bool:
        """Return whether the process that held this lock is certainly gone."""
        try:
            FileLock(self._path(number), create=False).close()
        except OSError:  # it is held, or missing, or locks don't work here
            return False
        return True

    def remove(self, number: int) -> None:
        """Remove the file of a released lock."""
        with contextlib.suppress(OSError):
            self._path(number).unlink()

    def _path(self, number: int) -> Path:
        return self._directory / str(number)
