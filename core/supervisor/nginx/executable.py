"""NGINX as the balancer before the servers: its configuration, its directory and its command lines.

It starts and stops nothing: the supervisor does, as with every other process.
The text of the configuration is in `core.supervisor.nginx.configuration`.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from core.errors import SupervisorError
from core.supervisor.logs.log_files import rotate_by_renaming

Control = Literal["reload", "reopen", "quit", "stop"]
"""What can be asked of a running NGINX: read the configuration again, open new log files, end politely, end at once."""

CONFIGURATION = "nginx.conf"
ACCESS_LOG = Path("logs", "access.log")
"""Which server got which connection, relative to the prefix directory."""

PID_FILE = "nginx.pid"
"""Holds the master's process id, relative to the prefix directory; written once it listens."""

_BOOT_LOG = "logs/boot.log"
_PATIENCE = 10.0
# An ordinary user's PATH on Debian lacks /usr/sbin.
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/local/nginx/sbin")
_HINTS = {
    'unknown directive "stream"': "NGINX lacks its stream module (Debian: apt-get install libnginx-mod-stream)",
    "ngx_stream_module.so": "NGINX lacks its stream module (Debian: apt-get install libnginx-mod-stream)",
    'unknown directive "proxy_half_close"': "NGINX 1.21.4 or newer is needed",
}


class NginxBuild(msgspec.Struct, frozen=True):
    """How an NGINX was compiled, as far as it matters here."""

    version: str
    stream: bool
    """Whether it has the stream module at all."""
    modules: Path | None
    """Where the stream module is to be loaded from; None when it is compiled in, or missing."""


def find_nginx() -> Path | None:
    """Find the program on PATH or where the usual packages put it."""
    found = shutil.which("nginx")
    for place in _PLACES:
        found = found or shutil.which("nginx", path=place)
    return Path(found) if found else None


def parse_build(text: str) -> NginxBuild:
    """Read what `nginx -V` prints."""
    version = re.search(r"^nginx version: [^/\s]+/(\S+)", text, re.MULTILINE)
    stream = re.search(r"\s--with-stream(=dynamic)?(?=\s|$)", text)
    prefix = re.search(r"\s--prefix=(\S+)", text)
    modules = re.search(r"\s--modules-path=(\S+)", text)
    # A relative path and a missing one are NGINX's own defaults.
    directory = Path(prefix[1] if prefix else "/usr/local/nginx", modules[1] if modules else "modules")
    return NginxBuild(
        version=version[1] if version else "unknown",
        stream=stream is not None,
        modules=directory if stream is not None and stream[1] else None,
    )


def read_build(nginx: Path) -> NginxBuild:
    """Ask a program how it was compiled.

    Raises:
        SupervisorError: it can't be run.
    """
    return parse_build(_run([str(nginx), "-V"]).stderr)


def prepare_prefix(nginx: Path, directory: Path, configuration: str) -> None:
    """Make the directory that NGINX runs in, or bring it up to date; nothing outside it is touched.

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
        raise SupervisorError(f"can't prepare {directory} for NGINX: {error}") from error


def check(nginx: Path, directory: Path) -> None:
    """Let NGINX test the configuration of a prepared directory, as should be done before every start and reload.

    Raises:
        SupervisorError: NGINX refuses it; the message holds NGINX's own text.
    """
    ended = _run([*_base(nginx, directory), "-t"])
    if ended.returncode:
        text = ended.stderr.strip()
        hints = [f"\n{hint}" for sign, hint in _HINTS.items() if sign in text]
        raise SupervisorError(f"NGINX refuses {directory / CONFIGURATION}:\n{text}{''.join(hints[:1])}")


def command(nginx: Path, directory: Path) -> list[str]:
    """Write the command line that runs NGINX in the foreground.

    Start it as the leader of a session of its own: when its master is killed, the workers go on and hold the port,
    so that the whole group has to be ended before the next start.
    """
    return [*_base(nginx, directory), "-g", "daemon off;"]


def control_command(nginx: Path, directory: Path, control: Control) -> list[str]:
    """Write the command line that asks something of the NGINX running in a directory."""
    return [*_base(nginx, directory), "-s", control]


def control(nginx: Path, directory: Path, what: Control) -> None:
    """Ask something of the NGINX running in a directory.

    Raises:
        SupervisorError: it can't be asked; the message holds NGINX's own text.
    """
    ended = _run(control_command(nginx, directory, what))
    if ended.returncode:
        raise SupervisorError(f"NGINX can't be told to {what}:\n{ended.stderr.strip()}")


def rotate_access_log(directory: Path) -> bool:
    """Set the access log aside when it has grown large; whether it was. NGINX has to be told to reopen it then."""
    return rotate_by_renaming(directory / ACCESS_LOG)


def _base(nginx: Path, directory: Path) -> list[str]:
    # Without -e, errors before the configuration is read go to a compiled-in path that may not be writable.
    return [str(nginx), "-p", str(directory.absolute()), "-c", CONFIGURATION, "-e", _BOOT_LOG]


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - no shell, and the arguments are our own
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except OSError as error:
        raise SupervisorError(f"can't run {arguments[0]}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise SupervisorError(f"{shlex.join(arguments)} gave no answer in {_PATIENCE:g} seconds") from error


def _link(link: Path, target: Path) -> None:
    """Make `link` point to `target`, also when it pointed elsewhere before."""
    if link.is_symlink():
        if link.readlink() == target:
            return
        link.unlink()
    link.symlink_to(target, target_is_directory=True)


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new one, never a part."""
    half = path.with_suffix(".half")
    half.write_text(text, encoding="utf-8", newline="\n")
    os.replace(half, path)
