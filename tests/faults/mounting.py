"""A small disk for a case: a file system in memory, which can be filled, freed and made read-only."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.closeable import Closeable

PROGRAMS = ("mount", "umount")
BLOCK = b"\0" * 65_536


class Disk(Closeable):
    """A file system mounted over a directory until it is closed.

    Args:
        place: the directory.
        mebibytes: size of the file system.

    Raises:
        PermissionError: this user may not mount file systems.
    """

    def __init__(self, place: Path, mebibytes: int) -> None:
        self._place = place
        self._filler = place / "filler"
        options = f"size={mebibytes}m,mode=0700"
        if not _succeeds("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)):
            raise PermissionError("this user may not mount a disk")

    def fill(self) -> None:
        """Fill the disk until nothing more can be written."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(BLOCK)

    def free(self) -> None:
        """Free the disk again."""
        self._filler.unlink(missing_ok=True)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Make the disk read-only within the block. No file may be open for writing."""
        assert _succeeds("mount", "-o", "remount,ro", str(self._place)), "the disk is in use"
        try:
            yield
        finally:
            assert _succeeds("mount", "-o", "remount,rw", str(self._place))

    def close(self) -> None:
        """Unmount the disk."""
        if os.path.ismount(self._place):
            assert _succeeds("umount", str(self._place)), f"{self._place} is in use"


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
