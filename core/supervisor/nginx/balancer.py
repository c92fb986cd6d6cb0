"""Keeps NGINX's configuration equal to the wanted servers. NGINX tests each change, which is logged as a diff."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from core.addresses import Address
from core.errors import SupervisorError
from core.supervisor.nginx import executable
from core.supervisor.nginx.configuration import render

UNREAD = "unread"
"""A file beside the configuration, which exists while the running NGINX may not have read the configuration yet."""

_log = logging.getLogger("cauce.supervisor")


class Balancer:
    """The configuration of one NGINX.

    Args:
        program: the path of NGINX.
        directory: the prefix directory of NGINX.
        listen: the address for clients.
        max_per_client: the most connections that one client address may have; 0 for any number.
    """

    def __init__(self, program: Path, directory: Path, listen: Address, max_per_client: int = 0) -> None:
        self._max_per_client = max_per_client
        self._program = program
        self._directory = directory
        self._listen = listen
        self._unread = directory / UNREAD
        self.change = ""
        """The last change of the configuration, as a unified diff."""

    def configure(self, servers: Sequence[Address]) -> bool:
        """Write the configuration for these servers and let NGINX test it. Returns whether it has changed.

        Raises:
            SupervisorError: NGINX refuses the configuration, and the former one stays.
            ConfigurationError: there is no server.
        """
        former = self._read()
        text = render(self._listen, servers, self._max_per_client)
        if text == former:
            return False
        self._mark_unread()
        executable.prepare_prefix(self._program, self._directory, text)
        try:
            executable.check(self._program, self._directory)
        except SupervisorError:
            if former:
                executable.prepare_prefix(self._program, self._directory, former)
            raise
        self.change = difference(former, text)
        if former:
            _log.info("NGINX's configuration changes:\n%s", self.change)
        return True

    def reload(self) -> None:
        """Let the running NGINX read its configuration, if that has changed since NGINX last read it.

        Raises:
            SupervisorError: NGINX can't be reached. The next call tries again.
        """
        if self._unread.exists():
            executable.control(self._program, self._directory, "reload")
            self._unread.unlink(missing_ok=True)

    def test(self) -> None:
        """Let NGINX test the configuration on the disk, before NGINX is started.

        Raises:
            SupervisorError: NGINX refuses the configuration.
        """
        executable.check(self._program, self._directory)
        self._unread.unlink(missing_ok=True)

    def _mark_unread(self) -> None:
        """Record, for a later supervisor too, that NGINX has not read the configuration on the disk."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._unread.touch()
        except OSError as error:
            raise SupervisorError(f"can't write {self._unread}: {error.strerror or error}") from error

    def rotate(self) -> None:
        """Rotate a large access log, and let NGINX open a new one."""
        with contextlib.suppress(SupervisorError):
            if executable.rotate_access_log(self._directory):
                executable.control(self._program, self._directory, "reopen")

    def _read(self) -> str:
        try:
            return (self._directory / executable.CONFIGURATION).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""


def difference(former: str, text: str) -> str:
    """Return the changes between two configurations as a unified diff with one line of context."""
    import difflib  # only when the configuration changes

    lines = difflib.unified_diff(
        former.splitlines(), text.splitlines(), "nginx.conf, before", "nginx.conf, now", n=1, lineterm=""
    )
    return "\n".join(lines)
