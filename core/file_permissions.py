"""The permissions of our files: only their owner can read them, whatever the umask is.

On Windows a file inherits the permissions of its directory, so there is nothing to check.
"""

import os
from pathlib import Path


def owner_only(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file. If that creates it, only its owner can read it. For `open(..., opener=owner_only)`."""
    return os.open(path, flags, 0o600)


def readable_by_others(path: str | os.PathLike[str]) -> bool:
    """Return whether other users can read or write a regular file. Returns False where that is unknown."""
    if os.name != "posix":
        return False
    try:
        # A shell's pipe, or a file passed by a service manager, is not accessible to others.
        return Path(path).is_file() and bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False
