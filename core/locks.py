"""A file lock, which the operating system releases when its process ends in any way.

Only the lock proves that a process is alive: a file with a process id proves nothing.
Started child processes don't inherit the lock; a fork of the process does.
"""

import os
import sys
from pathlib import Path

from core.closeable import Closeable

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            # Windows reports "permission denied" where other systems report "would block".
            raise BlockingIOError(*error.args) from error

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock(Closeable):
    """A locked file. Closing it releases the lock.

    Args:
        path: the file.
        create: whether to create the file when it is missing.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file can't be opened, or can't be locked where it is.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            _lock(self._descriptor)
        except BaseException:
            self.close()
            raise

    def is_at(self, path: Path) -> bool:
        """Return whether the locked file is still the one at this path: it may have been deleted or replaced."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(path))
        except OSError:
            return False

    def close(self) -> None:
        """Release the lock. The file stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
