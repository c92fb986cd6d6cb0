"""What this machine says of itself and of its user, on every platform."""

import contextlib
import os
import sys
from pathlib import Path

from core.supervisor.doctor import remedies
from core.supervisor.doctor.remedies import Platform

_OS_RELEASES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


def this_platform() -> Platform:
    """What the commands that mend something have to suit here."""
    told = ""
    for path in _OS_RELEASES:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            told = told or path.read_text("utf-8")
    return remedies.recognise(sys.platform, told, root=user_id() == 0)


if sys.platform == "win32":

    def user_id() -> int | None:
        """None: users have no numbers here, and files no such rights."""
        return None

    def files_limit() -> tuple[int, int] | None:
        """None: there is no such limit here."""
        return None

else:
    import resource

    def user_id() -> int | None:
        """Who this user is; None where users have no numbers, and files no such rights."""
        return os.geteuid()

    def files_limit() -> tuple[int, int] | None:
        """How many files a process may have open, and up to where the user may raise that; None without a limit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return _finite(soft), _finite(hard)

    def _finite(limit: int) -> int:
        return sys.maxsize if limit == resource.RLIM_INFINITY else limit
