"""The files that hold what the processes print: one each, set aside when it has grown large.

A process writes to its own file at its end, and nobody stands between the two: it never waits for a reader,
and goes on when the supervisor is gone. What all files of one process may take is bounded: `KEPT` times `TOO_LARGE`,
and what is written within a second. Of a flood, with which a file has become `TOO_LARGE` by then, the last `LARGEST`
bytes are kept, and of what comes while they are copied no more than that.
"""

import contextlib
import os
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from core.errors import SupervisorError
from core.logs import printable

LARGEST = 10 * 1024 * 1024
"""Bytes beyond which a file is set aside."""

TOO_LARGE = 2 * LARGEST
"""Bytes beyond which only the last `LARGEST` of a file are kept when it is set aside."""

KEPT = 3
"""How many former files are kept."""

LAST_LINES = 15
_LAST_BYTES = 8192
_BLOCK = 1024 * 1024
_HALF = "half"


def open_log(path: Path) -> BinaryIO:
    """Open a log to write at its end, for its owner only; one that is too large is set aside before."""
    with contextlib.suppress(SupervisorError):
        set_aside(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def last_lines(path: Path, since: int = 0, most: int = LAST_LINES) -> list[str]:
    """The last lines of a log, fit to be shown.

    Args:
        path: the file.
        since: nothing before this byte.
        most: how many lines.
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
    return [printable(line, 1000) for line in lines if line.strip()][-most:]


def set_aside(path: Path) -> bool:
    """Set a file aside when it has grown large; whether it was. Whoever writes to it has to open it anew then.

    Raises:
        SupervisorError: it can't be, such as for a full disk.
    """
    try:
        if not _is_large(path):
            return False
        if path.stat().st_size > TOO_LARGE:
            _copy_and_cut(path, path.with_name(f"{path.name}.{_HALF}"))
            return True
        _make_room(path)
        os.replace(path, _aside(path, 1))
    except PermissionError:
        # On Windows a file that somebody reads can't be moved: it grows on, and is set aside another time.
        return False
    except OSError as error:
        raise SupervisorError(f"can't set {path} aside: {error.strerror or error}") from error
    return True


def rotate(path: Path) -> bool:
    """Set aside what is in a file that a process goes on writing to at its end; whether that was necessary.

    It is copied and then cut off. What is written between the last look at the file and the cut, a few microseconds,
    is lost; a log may lose that, and its writer never waits. A rotation that dies on its way has cut nothing off.

    Raises:
        SupervisorError: it can't be done, such as for a full disk.
    """
    half = path.with_name(f"{path.name}.{_HALF}")
    try:
        if not _is_large(path):
            return False
        _copy_and_cut(path, half)
    except PermissionError:
        _discard(half)
        return False
    except OSError as error:
        _discard(half)
        raise SupervisorError(f"can't set {path} aside: {error.strerror or error}") from error
    return True


def _copy_and_cut(path: Path, half: Path) -> None:
    with path.open("r+b", buffering=0) as source:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as copy:
            _skip_to_the_end(source, copy)
            _copy(source, copy, TOO_LARGE - copy.tell())
        # The copy is where readers look for it before anything is cut off.
        _make_room(path)
        os.replace(half, _aside(path, 1))
        with _aside(path, 1).open("ab", buffering=0) as copy:
            _copy(source, copy, TOO_LARGE - copy.tell())
            lost = os.fstat(source.fileno()).st_size - source.tell()
            source.truncate(0)
            if lost > 0:
                _write(copy, b"\n(%d bytes after this were written too quickly to be kept)\n" % lost)


def _skip_to_the_end(source: RawIOBase, copy: RawIOBase) -> None:
    """Leave out the beginning of what is too large, up to the end of a line, with a word about it."""
    size = source.seek(0, os.SEEK_END)
    place = source.seek(size - LARGEST if size > TOO_LARGE else 0)
    if place:
        # What has no line breaks is cut anywhere.
        found = source.read(_BLOCK).find(b"\n")
        place = source.seek(place + found + 1)
        _write(copy, b"(%d bytes before this were written too quickly to be kept)\n" % place)


def _copy(source: RawIOBase, copy: RawIOBase, most: int) -> None:
    """Copy what there is, and what arrives meanwhile; no more than so many bytes: the writer may be the quicker one."""
    while most > 0 and (block := source.read(min(most, _BLOCK))):
        _write(copy, block)
        most -= len(block)


def _discard(half: Path) -> None:
    """A copy that can't be ended takes no room on a full disk."""
    with contextlib.suppress(OSError):
        half.unlink(missing_ok=True)


def _write(stream: RawIOBase, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > LARGEST
    except FileNotFoundError:
        return False


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def former(path: Path) -> list[Path]:
    """The files that were set aside and are still there, the oldest first."""
    return [each for number in range(KEPT, 0, -1) if (each := _aside(path, number)).exists()]


def _make_room(path: Path) -> None:
    """Number the files that were set aside one higher; the oldest goes."""
    for number in range(KEPT - 1, 0, -1):
        if _aside(path, number).exists():
            os.replace(_aside(path, number), _aside(path, number + 1))
