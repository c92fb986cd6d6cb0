"""A lock that the operating system holds for a process and frees when it dies, however it dies.

It is the one proof that a supervisor runs: a file with a process id proves nothing.
Child processes don't inherit it.
"""

import os
import sys
from pathlib import Path

from core.closing import Closing
from core.errors import AlreadyRunning, SupervisorError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock(Closing):
    """Holds a lock file until it is closed.

    Raises:
        AlreadyRunning: another process holds it.
        SupervisorError: the file can't be opened or locked.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SupervisorError(f"can't open {path}: {error.strerror or error}") from error
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError) as error:
            # Windows says "permission denied" where others say "would block".
            self.close()
            raise AlreadyRunning(f"another process holds {path}") from error
        except OSError as error:
            self.close()
            raise SupervisorError(f"can't lock {path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Free the lock. The file stays: removing it would let two processes lock two files of the same name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_held(path: Path) -> bool:
    """Tell whether a process holds the lock now; makes no file where there is none."""
    if not path.exists():
        return False
    try:
        Lock(path).close()
    except AlreadyRunning:
        return True
    return False
