"""The lock of a data directory. The process that holds it is the supervisor; the file is empty."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from core.closeable import Closeable
from core.errors import AlreadyRunning, SupervisorError
from core.locks import FileLock

T = TypeVar("T")

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
        self._path = path
        self._lock = self._take()

    @property
    def lost(self) -> bool:
        """Whether the file was deleted or replaced, so that another process could take the lock."""
        return not self._lock.is_at(self._path)

    def renew(self) -> None:
        """Lock the file that is at the path now, in place of one that was lost.

        Raises:
            AlreadyRunning: another process holds it.
            SupervisorError: the file can't be opened or locked.
        """
        former, self._lock = self._lock, _patiently(self._take)
        former.close()

    def _take(self) -> FileLock:
        try:
            return FileLock(self._path)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another process holds {self._path}") from error
        except OSError as error:
            raise SupervisorError(f"can't lock {self._path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Free the lock. The file stays: otherwise two processes could lock two files of the same name."""
        self._lock.close()


def take(path: Path) -> Lock:
    """Take the lock, although somebody may look at this moment whether it is held.

    Raises:
        AlreadyRunning: another process holds it.
        SupervisorError: the file can't be opened or locked.
    """
    return _patiently(lambda: Lock(path))


def _patiently(take_once: Callable[[], T]) -> T:
    for _ in range(ATTEMPTS - 1):
        with suppress(AlreadyRunning):
            return take_once()
        time.sleep(PAUSE)
    return take_once()


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock. Creates no file."""
    if not path.exists():
        return False
    try:
        Lock(path).close()
    except AlreadyRunning:
        return True
    return False
