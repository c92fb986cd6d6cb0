"""Which users of this machine may read a file: files of ours are made for their owner alone, whatever the umask says.

On Windows files have the rights of the directory that they are in; there is nothing to look at there.
"""

import os
from pathlib import Path


def owner_only(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file for its owner alone, if it is made now; for `open(..., opener=private)`."""
    return os.open(path, flags, 0o600)


def readable_by_others(path: str | os.PathLike[str]) -> bool:
    """Whether other users may read or write a regular file that holds a secret; False where that can't be told."""
    if os.name != "posix":
        return False
    try:
        # A pipe of the shell, or a file that a service manager hands over, is nobody else's.
        return Path(path).is_file() and bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False
