"""Opens a file that a task's payload names, if it is in the directory that tasks may read.

The name is not trusted. After all links are followed it must lead to a regular file in the directory. Outside it, a
file that exists is refused with the same message as one that does not.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from core.tasks.definition import InvalidPayload

# Neither follow a link nor wait for a writer if the name has become a link or a pipe since it was checked.
# Windows has no such flags and needs none.
_FLAGS: int = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_NO_SUCH_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})


def open_inside(root: Path | None, name: str) -> BinaryIO:
    """Open a file for reading.

    Args:
        root: the directory that tasks may read, or None when there is none.
        name: the path of the file, relative to `root`.

    Raises:
        InvalidPayload: the name leads out of the directory, or not to a regular file.
        OSError: the file exists and can't be read.
    """
    if root is None:
        raise InvalidPayload("this worker has no directory of files for tasks: start it with --files-root")
    shown = ascii(name)[:200]
    if not name or "\0" in name or Path(name).anchor:
        raise InvalidPayload(f"{shown} must be a path within the directory of files")
    try:
        return _open(os.path.realpath(root), name, shown)
    except OSError as error:
        if error.errno not in _NO_SUCH_FILE:
            raise
        raise InvalidPayload(f"there is no file {shown}") from error


def _open(root: str, name: str, shown: str) -> BinaryIO:
    path = _inside(root, name, shown)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise InvalidPayload(f"{shown} is not a regular file")
    descriptor = os.open(path, _FLAGS)
    try:
        _confirm(os.fstat(descriptor), root, name, shown)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _confirm(opened: os.stat_result, root: str, name: str, shown: str) -> None:
    """Check once more, now that the file is open: a directory of its path may have become a link meanwhile."""
    now = os.lstat(_inside(root, name, shown))
    if not (os.path.samestat(opened, now) and stat.S_ISREG(opened.st_mode)):
        raise InvalidPayload(f"{shown} changed while it was opened")


def _inside(root: str, name: str, shown: str) -> str:
    path = os.path.realpath(os.path.join(root, name))
    try:
        inside = os.path.commonpath([root, path]) == root
    except ValueError:  # on another drive
        inside = False
    if not inside:
        raise InvalidPayload(f"{shown} leads out of the directory of files")
    return path
