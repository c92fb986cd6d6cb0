"""The platform, the user and the limits of this machine."""

import contextlib
import os
import sys
from pathlib import Path

from core.supervisor.doctor import remedies
from core.supervisor.doctor.remedies import Platform

_OS_RELEASES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


def this_platform() -> Platform:
    """Return the platform that remedies are written for."""
    text = ""
    for path in _OS_RELEASES:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = text or path.read_text("utf-8")
    return remedies.recognise(sys.platform, text, root=user_id() == 0)


if sys.platform == "win32":

    def user_id() -> int | None:
        """Return None: users have no numbers here, and files no Unix permissions."""
        return None

    def files_limit() -> tuple[int, int] | None:
        """Return None: there is no such limit here."""
        return None

else:
    import resource

    def user_id() -> int | None:
        """Return the number of this user. Returns None where users have no numbers and files no Unix permissions."""
        return os.geteuid()

    def files_limit() -> tuple[int, int] | None:
        """Return the limit of open files and the highest that the user may set. Returns None without a limit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return _finite(soft), _finite(hard)

    def _finite(limit: int) -> int:
        return sys.maxsize if limit == resource.RLIM_INFINITY else limit
