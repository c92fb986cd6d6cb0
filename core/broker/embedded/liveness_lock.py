"""How the consumers of one queue see at once that another's process has died: each holds a lock while it lives.

The lease stays what counts wherever this can't tell: a file system without locks, a process that hangs, one that has
left its descriptors to a child.
"""

import contextlib
from pathlib import Path

from core.closeable import Closeable
from core.locks import FileLock


class LivenessLocks:
    """The lock files of all consumers of a queue.

    Args:
        path: of the queue's file; they are in a directory beside it.
    """

    def __init__(self, path: Path) -> None:
        self._directory = path.with_name(f"{path.stem}-alive")

    def tie(self, number: int) -> Closeable | None:
        """Make one for the consumer of this number, which is cut when it is closed or the process dies.

        None when it can't be made here; nobody ever takes such a consumer for dead.
        """
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            return FileLock(self._path(number))
        except OSError:
            return None

    def is_cut(self, number: int) -> bool:
        """Whether the process that held this one is gone for certain."""
        try:
            FileLock(self._path(number), create=False).close()
        except OSError:  # it is held, or not there, or can't be told
            return False
        return True

    def remove(self, number: int) -> None:
        """Forget one that is cut."""
        with contextlib.suppress(OSError):
            self._path(number).unlink()

    def _path(self, number: int) -> Path:
        return self._directory / str(number)
