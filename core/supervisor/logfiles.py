"""The files that hold what the processes print: one each, set aside when it has grown large."""

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from core.logs import printable

LARGEST = 10 * 1024 * 1024
"""Bytes beyond which a file is set aside at the next start of its process."""

KEPT = 3
"""How many former files are kept."""

LAST_LINES = 15
_LAST_BYTES = 8192


def open_log(path: Path) -> BinaryIO:
    """Open a log to write at its end, for its owner only; one that is too large is set aside before."""
    if path.exists() and path.stat().st_size > LARGEST:
        # On Windows a file that somebody reads can't be moved: it grows on, and is set aside another time.
        with contextlib.suppress(PermissionError):
            _set_aside(path)
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


def _set_aside(path: Path) -> None:
    former = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
    for older, newer in zip(reversed(former), reversed(former[:-1]), strict=False):
        if newer.exists():
            os.replace(newer, older)
