"""What a file is like, to see whether it has changed."""

from pathlib import Path

import msgspec


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """A file at one moment."""

    path: str
    changed_at: int = 0
    """Nanoseconds since the epoch."""
    size: int = -1
    """Bytes; -1 for one that can't be found."""


def state_of(path: str) -> FileState:
    """Return what a file is like now."""
    try:
        status = Path(path).stat()
    except OSError:
        return FileState(path)
    return FileState(path, status.st_mtime_ns, status.st_size)
