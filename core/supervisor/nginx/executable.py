"""NGINX as a program: its path, its build, its prefix directory and its command lines.

This module starts and stops no NGINX: the supervisor does. The text of the configuration is in `configuration`.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from core.errors import SupervisorError, reason_of
from core.supervisor.logs.log_files import rotate_by_renaming

Control = Literal["reload", "reopen", "quit", "stop"]
"""Signals to a running NGINX: read the configuration again, reopen the logs, end gracefully, end at once."""

CONFIGURATION = "nginx.conf"
ACCESS_LOG = Path("logs", "access.log")
"""The log of the connections, relative to the prefix directory."""

PID_FILE = "nginx.pid"
"""The file with the master's process id, relative to the prefix directory. NGINX writes it once it listens."""

_BOOT_LOG = "logs/boot.log"
_TIMEOUT = 10.0
# An ordinary user's PATH on Debian lacks /usr/sbin.
_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/local/nginx/sbin")
_HINTS = {
    'unknown directive "stream"': "NGINX lacks its stream module (Debian: apt-get install libnginx-mod-stream)",
    "ngx_stream_module.so": "NGINX lacks its stream module (Debian: apt-get install libnginx-mod-stream)",
    'unknown directive "proxy_half_close"': "NGINX 1.21.4 or newer is needed",
}


class NginxBuild(msgspec.Struct, frozen=True):
    """The version of an NGINX, and where its stream module is."""

    version: str
    stream: bool
    """Whether it was built with the stream module."""
    modules: Path | None
    """The directory of the loadable stream module, or None when the module is compiled in or missing."""


def find_nginx() -> Path | None:
    """Find the program on PATH or where packages install it. Returns None when there is none."""
    found = shutil.which("nginx")
    for directory in _DIRECTORIES:
        found = found or shutil.which("nginx", path=directory)
    return Path(found) if found else None


def parse_build(text: str) -> NginxBuild:
    """Parse what `nginx -V` prints."""
    version = re.search(r"^nginx version: [^/\s]+/(\S+)", text, re.MULTILINE)
    stream = re.search(r"\s--with-stream(=dynamic)?(?=\s|$)", text)
    prefix = re.search(r"\s--prefix=(\S+)", text)
    modules = re.search(r"\s--modules-path=(\S+)", text)
    # NGINX's defaults, where a path is missing or relative.
    directory = Path(prefix[1] if prefix else "/usr/local/nginx", modules[1] if modules else "modules")
    return NginxBuild(
        version=version[1] if version else "unknown",
        stream=stream is not None,
        modules=directory if stream is not None and stream[1] else None,
    )


def read_build(nginx: Path) -> NginxBuild:
    """Ask NGINX how it was built.

    Raises:
        SupervisorError: NGINX can't be run.
    """
    return parse_build(_run([str(nginx), "-V"]).stderr)


def prepare_prefix(nginx: Path, directory: Path, configuration: str) -> None:
    """Create the prefix directory of NGINX, or bring it up to date. Nothing outside it is changed.

    Raises:
        SupervisorError: NGINX can't be run, or the directory can't be written.
    """
    modules = read_build(nginx).modules
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "logs").mkdir(mode=0o700, exist_ok=True)
        if modules is not None:
            _link(directory / "modules", modules)
        _replace(directory / CONFIGURATION, configuration)
    except OSError as error:
        raise SupervisorError(f"can't prepare {directory} for NGINX: {reason_of(error)}") from error


def check(nginx: Path, directory: Path) -> None:
    """Let NGINX test the configuration of a prepared directory. Do this before every start and reload.

    Raises:
        SupervisorError: NGINX refuses it; the message holds NGINX's text.
    """
    ended = _run([*_base(nginx, directory), "-t"])
    if ended.returncode:
        text = ended.stderr.strip()
        hints = [f"\n{hint}" for sign, hint in _HINTS.items() if sign in text]
        raise SupervisorError(f"NGINX refuses {directory / CONFIGURATION}:\n{text}{''.join(hints[:1])}")


def command(nginx: Path, directory: Path) -> list[str]:
    """Return the command line that runs NGINX in the foreground.

    Start NGINX as the leader of a new session: when the master is killed, the workers go on and hold the port, so the
    whole group must be ended before the next start.
    """
    return [*_base(nginx, directory), "-g", "daemon off;"]


def control_command(nginx: Path, directory: Path, control: Control) -> list[str]:
    """Return the command line that sends a signal to the NGINX of a directory."""
    return [*_base(nginx, directory), "-s", control]


def control(nginx: Path, directory: Path, what: Control) -> None:
    """Send a signal to the NGINX of a directory.

    Raises:
        SupervisorError: NGINX can't be reached; the message holds NGINX's text.
    """
    ended = _run(control_command(nginx, directory, what))
    if ended.returncode:
        raise SupervisorError(f"NGINX can't {what}:\n{ended.stderr.strip()}")


def rotate_access_log(directory: Path) -> bool:
    """Rotate a large access log. Returns whether it was rotated; then NGINX must reopen its logs."""
    return rotate_by_renaming(directory / ACCESS_LOG)


def _base(nginx: Path, directory: Path) -> list[str]:
    # Without -e, early errors go to a compiled-in path that may not be writable.
    return [str(nginx), "-p", str(directory.absolute()), "-c", CONFIGURATION, "-e", _BOOT_LOG]


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - no shell, and the arguments are our own
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except OSError as error:
        raise SupervisorError(f"can't run {arguments[0]}: {reason_of(error)}") from error
    except subprocess.TimeoutExpired as error:
        raise SupervisorError(f"{shlex.join(arguments)} did not end within {_TIMEOUT:g} seconds") from error


def _link(link: Path, target: Path) -> None:
    """Create `link` to `target`, or correct its target."""
    if link.is_symlink():
        if link.readlink() == target:
            return
        link.unlink()
    link.symlink_to(target, target_is_directory=True)


def _replace(path: Path, text: str) -> None:
    """Write a file atomically: a reader finds the old text or the new one."""
    half = path.with_suffix(".half")
    half.write_text(text, encoding="utf-8", newline="\n")
    os.replace(half, path)
