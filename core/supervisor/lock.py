"""The lock of a data directory. The process that holds it is the supervisor; the file is empty."""

import time
from contextlib import suppress
from pathlib import Path

from core.closeable import Closeable
from core.errors import AlreadyRunning, SupervisorError
from core.locks import FileLock

ATTEMPTS = 5
PAUSE = 0.02
"""How often to try to take a lock, and the seconds in between: `is_held` has it for a moment while it looks."""


class Lock(Closeable):
    """A lock file, held until it is closed.

    Raises:
        AlreadyRunning: another process holds it.
        SupervisorError: the file can't be opened or locked.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._lock = FileLock(path)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another process holds {path}") from error
        except OSError as error:
            raise SupervisorError(f"can't lock {path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Free the lock. The file stays: otherwise two processes could lock two files of the same name."""
        self._lock.close()


def take(path: Path) -> Lock:
    """Take the lock, although somebody may look at this moment whether it is held.

    Raises:
        AlreadyRunning: another process holds it.
        SupervisorError: the file can't be opened or locked.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(AlreadyRunning):
            return Lock(path)
        time.sleep(PAUSE)
    return Lock(path)


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock. Creates no file."""
    if not path.exists():
        return False
    try:
        Lock(path).close()
    except AlreadyRunning:
        return True
    return False
