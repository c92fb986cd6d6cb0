"""A small disk for a case: a file system in memory of a fixed size, which can be filled, freed and made read-only."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.closeable import Closeable

PROGRAMS = ("mount", "umount")
PIECE = b"\0" * 65_536


class Disk(Closeable):
    """Mounts it over a directory, until it is closed.

    Args:
        place: the directory.
        mebibytes: of room.

    Raises:
        PermissionError: this user may not mount anything.
    """

    def __init__(self, place: Path, mebibytes: int) -> None:
        self._place = place
        self._ballast = place / "ballast"
        options = f"size={mebibytes}m,mode=0700"
        if not _ran("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)):
            raise PermissionError("a disk can't be mounted by this user here")

    def fill(self) -> None:
        """Take all the room that is left, and what is freed meanwhile, until nothing more can be written."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(PIECE)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nothing be written; nobody may have a file open for writing when this begins."""
        assert _ran("mount", "-o", "remount,ro", str(self._place)), "the disk is in use"
        try:
            yield
        finally:
            assert _ran("mount", "-o", "remount,rw", str(self._place))

    def close(self) -> None:
        """Take the mount away."""
        if os.path.ismount(self._place):
            assert _ran("umount", str(self._place)), f"{self._place} is in use"


def _ran(*command: str) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
