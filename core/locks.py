"""A lock that the operating system holds for a process and frees when it dies, however it dies.

It is the one proof that a process lives: a file with a process id proves nothing.
Child processes that are started don't inherit it; a fork of the process does.
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
            # Windows says "permission denied" where others say "would block".
            raise BlockingIOError(*error.args) from error

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock(Closeable):
    """Holds a lock file until it is closed.

    Args:
        path: the file.
        create: whether to make it when it is missing.

    Raises:
        BlockingIOError: it is held already.
        OSError: the file can't be opened, or can't be locked where it is.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            _lock(self._descriptor)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the lock. The file stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
