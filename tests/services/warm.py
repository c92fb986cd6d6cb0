"""Our programs as processes of their own, without an interpreter's start and the import of all modules for each.

They are forked from one process that has loaded the modules (`warm_server`), which this module starts once.
Tests of how a program is started, or of what it imports, start it themselves.
"""

import atexit
import contextlib
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import msgspec

from tests.services.warm_server import HEADER, Request

PATIENCE = 60.0
_TOP = Path(__file__).resolve().parents[2]


class Running(Protocol):
    """A process, as `subprocess` has it."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal, or None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Returns its exit code."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


def start(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: IO[bytes] | int,
    errors: IO[bytes] | int,
    *,
    directory: Path = _TOP,
    new_session: bool = False,
) -> Running:
    """Start a program.

    Args:
        module: as in `python -m`.
        arguments: its arguments.
        environment: its environment.
        output: its standard output, as `subprocess` takes it.
        errors: its standard error.
        directory: its current directory.
        new_session: whether it leads a session of its own.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environment,
            cwd=directory,
            start_new_session=new_session,
        )
    request = Request(module, arguments, environment, str(directory), _umask(), new_session)
    with open(os.devnull, "r+b", buffering=0) as null:
        return _server().start(request, null.fileno(), _descriptor(output, null), _descriptor(errors, null))


def _umask() -> int:
    """Return this process's mask of permissions, which is told only when it is set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _descriptor(target: IO[bytes] | int, null: IO[bytes]) -> int:
    if target == subprocess.DEVNULL:
        return null.fileno()
    return target if isinstance(target, int) else target.fileno()


def run(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], *, directory: Path = _TOP
) -> tuple[int, str, str]:
    """Run a program to its end. Returns its exit code, its output and its errors."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        code = start(module, arguments, environment, output, errors, directory=directory).wait(PATIENCE)
        return code, _text(output), _text(errors)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class _Forked:
    """A process that the server has made.

    Args:
        status: the descriptor from which its id and its exit code are read.
    """

    def __init__(self, status: int) -> None:
        self._status = os.fdopen(status, "rb", buffering=0)
        self._code: int | None = None
        line = self._status.readline()
        if not line:
            raise RuntimeError("the server of processes has died")
        self.pid = int(line)

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal, or None while it runs."""
        return self._read(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Returns its exit code."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout: float | None) -> int | None:
        if self._code is None and select.select([self._status], [], [], timeout)[0]:
            line = self._status.readline()
            self._status.close()
            if not line:
                raise RuntimeError(f"how process {self.pid} ended is not known")
            self._code = int(line)
        return self._code


class _Server:
    """The process that makes the others. It ends when this one does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.services.warm_server", str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                cwd=_TOP,
            )
        atexit.register(self._close)

    def start(self, request: Request, *streams: int) -> Running:
        """Have a process made."""
        body = msgspec.json.encode(request)
        reading, writing = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._connection, [HEADER.pack(len(body))], [*streams, writing])
                self._connection.sendall(body)
        finally:
            os.close(writing)
        return _Forked(reading)

    def _close(self) -> None:
        self._connection.close()
        self._process.wait()


_server = functools.cache(_Server)
