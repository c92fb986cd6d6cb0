"""The permissions of our files: only their owner can read them, whatever the umask is.

On Windows a file inherits the permissions of its directory, so there is nothing to check.
"""

import os
import sys
from pathlib import Path

from core.errors import CauceError

if sys.platform != "win32":
    import pwd


def owner_only(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file. If that creates it, only its owner can read it. For `open(..., opener=owner_only)`."""
    return os.open(path, flags, 0o600)


def foreign_owner(file: str | os.PathLike[str] | int) -> str:
    """Return the name of a file's owner when that is neither this user nor the administrator, or an empty string.

    Args:
        file: a path, or the descriptor of an open file.

    Raises:
        OSError: there is no such file.
    """
    if sys.platform == "win32":
        return ""
    owner = os.stat(file).st_uid
    if owner in {0, os.geteuid()}:
        return ""
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def read_own(path: Path, error: type[CauceError]) -> bytes | None:
    """Return the content of a file, or None when it is missing or can't be read.

    Raises:
        error: the file belongs to another user.
    """
    try:
        with path.open("rb") as stream:
            owner = foreign_owner(stream.fileno())
            content = stream.read()
    except OSError:
        return None
    if owner:
        raise error(describe_foreign(path, owner))
    return content


def describe_foreign(path: str | os.PathLike[str], owner: str) -> str:
    """Describe, for users, why a file of another user is not used, with the remedy."""
    return (
        f"{path} belongs to another user, {owner}, who could send this program anywhere: "
        f"run it as {owner}, or use another directory (--dir)"
    )


def readable_by_others(path: str | os.PathLike[str]) -> bool:
    """Return whether other users can read or write a regular file. Returns False where that is unknown."""
    if os.name != "posix":
        return False
    try:
        # A shell's pipe, or a file passed by a service manager, is not accessible to others.
        return Path(path).is_file() and bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False
