"""The log files of the processes: one for each process, rotated when it has grown large.

A process appends to its own file, with nothing in between: it never waits for a reader, and goes on when the supervisor
is gone. The files of one process are bounded: at most `MAX_ROTATED` times `FLOOD_SIZE`, plus what is written within a
second. Of a file that has grown beyond `FLOOD_SIZE`, only the last `MAX_SIZE` bytes are kept, and about as many of
those that arrive while they are copied.
"""

import contextlib
import os
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from core.errors import SupervisorError
from core.logs import printable

MAX_SIZE = 10 * 1024 * 1024
"""Bytes beyond which a file is rotated."""

FLOOD_SIZE = 2 * MAX_SIZE
"""Bytes beyond which a rotation keeps only the last `MAX_SIZE`."""

MAX_ROTATED = 3
"""Rotated files that are kept."""

LAST_LINES = 15
_LAST_BYTES = 8192
_BLOCK = 1024 * 1024
_HALF = "half"


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, readable by its owner only. A large one is rotated first."""
    with contextlib.suppress(SupervisorError):
        rotate_by_renaming(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def last_lines(path: Path, since: int = 0, limit: int = LAST_LINES) -> list[str]:
    """Return the last lines of a log, made printable.

    Args:
        path: the file.
        since: the byte to begin at.
        limit: the most lines to return.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            start = max(since, stream.tell() - _LAST_BYTES)
            stream.seek(start)
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.splitlines()
    if start > since:
        lines = lines[1:]
    return [printable(line, 1000) for line in lines if line.strip()][-limit:]


def rotate_by_renaming(path: Path) -> bool:
    """Rotate a large file by renaming it. Returns whether it was rotated; then its writer must reopen it.

    Raises:
        SupervisorError: the file can't be rotated, for example because the disk is full.
    """
    try:
        if not _is_large(path):
            return False
        if path.stat().st_size > FLOOD_SIZE:
            _copy_and_truncate(path, path.with_name(f"{path.name}.{_HALF}"))
            return True
        _shift_rotated(path)
        os.replace(path, _rotated_file(path, 1))
    except PermissionError:
        # On Windows a file that is being read can't be moved. It grows on, and is rotated later.
        return False
    except OSError as error:
        raise SupervisorError(f"can't rotate {path}: {error.strerror or error}") from error
    return True


def rotate_by_copying(path: Path) -> bool:
    """Rotate a large file that a process goes on appending to. Returns whether it was rotated.

    The content is copied, then the file is truncated. What is written in the few microseconds between the last read and
    the truncation is lost, so that the writer never waits. A rotation that fails half-way has truncated nothing.

    Raises:
        SupervisorError: the file can't be rotated, for example because the disk is full.
    """
    half = path.with_name(f"{path.name}.{_HALF}")
    try:
        if not _is_large(path):
            return False
        _copy_and_truncate(path, half)
    except PermissionError:
        _discard(half)
        return False
    except OSError as error:
        _discard(half)
        raise SupervisorError(f"can't rotate {path}: {error.strerror or error}") from error
    return True


def _copy_and_truncate(path: Path, half: Path) -> None:
    with path.open("r+b", buffering=0) as source:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as copy:
            _skip_flood(source, copy)
            _copy(source, copy, FLOOD_SIZE - copy.tell())
        # Readers must find the copy before anything is truncated.
        _shift_rotated(path)
        os.replace(half, _rotated_file(path, 1))
        with _rotated_file(path, 1).open("ab", buffering=0) as copy:
            _copy(source, copy, FLOOD_SIZE - copy.tell())
            lost = os.fstat(source.fileno()).st_size - source.tell()
            source.truncate(0)
            if lost > 0:
                _write(copy, b"\n(%d bytes after this were written too quickly to be kept)\n" % lost)


def _skip_flood(source: RawIOBase, copy: RawIOBase) -> None:
    """Skip the beginning of a flooded file up to the end of a line, and note that in the copy."""
    size = source.seek(0, os.SEEK_END)
    offset = source.seek(size - MAX_SIZE if size > FLOOD_SIZE else 0)
    if offset:
        # Text without line breaks is cut anywhere.
        found = source.read(_BLOCK).find(b"\n")
        offset = source.seek(offset + found + 1)
        _write(copy, b"(%d bytes before this were written too quickly to be kept)\n" % offset)


def _copy(source: RawIOBase, copy: RawIOBase, limit: int) -> None:
    """Copy at most `limit` bytes, including those that arrive meanwhile: the writer may be faster than the copy."""
    while limit > 0 and (block := source.read(min(limit, _BLOCK))):
        _write(copy, block)
        limit -= len(block)


def _discard(half: Path) -> None:
    """Remove an unfinished copy, which would take up a full disk."""
    with contextlib.suppress(OSError):
        half.unlink(missing_ok=True)


def _write(stream: RawIOBase, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > MAX_SIZE
    except FileNotFoundError:
        return False


def _rotated_file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def rotated_files(path: Path) -> list[Path]:
    """Return the rotated files that still exist, the oldest first."""
    return [each for number in range(MAX_ROTATED, 0, -1) if (each := _rotated_file(path, number)).exists()]


def _shift_rotated(path: Path) -> None:
    """Number the rotated files one higher, and drop the oldest."""
    for number in range(MAX_ROTATED - 1, 0, -1):
        if _rotated_file(path, number).exists():
            os.replace(_rotated_file(path, number), _rotated_file(path, number + 1))
