"""Makes processes of our programs by forking one that has loaded all their modules. `warm` starts it and asks it.

A request is the length of a `Request` as JSON, with four descriptors, and then that JSON. The descriptors become the
new process's standard streams; to the last one it writes its id, and this server its exit code at its end.
This server ends with the connection. It has one thread, as a process that forks must.
"""

import contextlib
import gc
import importlib
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

LOADED = (
    *("core.supervisor.launching", "core.supervisor.output", "core.supervisor.waiting", "core.supervisor.drawing"),
    *("core.supervisor.doctor", "core.supervisor.logs.logs_command", "core.broker.embedded.broker"),
    *("core.server.program", "core.worker.program", "core.client.prompt", "core.client.submit_command"),
    *("core.client.load_command", "core.client.query_commands", "core.monitor.depth", "core.monitor.observer"),
)
"""Most of the modules that our programs import."""

HEADER = struct.Struct("!Q")
DESCRIPTORS = 4


class Request(msgspec.Struct, frozen=True):
    """What a new process does."""

    module: str
    """As in `python -m`."""
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    umask: int
    new_session: bool


class Fork(msgspec.Struct, frozen=True):
    """A request in the new process, with the descriptors for it."""

    request: Request
    descriptors: Sequence[int]


def serve(connection: socket.socket) -> Fork | None:
    """Make processes until the connection ends. Returns in each of them too, with its request."""
    ends: dict[int, int] = {}
    waking, woken = os.pipe()
    os.set_blocking(waking, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == waking:
                    os.read(waking, 4096)
                    _report_ends(ends)
                    continue
                fork = _receive(connection)
                if fork is None:
                    return None
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (*ends.values(), waking, woken):
                        os.close(descriptor)
                    connection.close()
                    return fork
                *streams, ends[pid] = fork.descriptors
                for descriptor in streams:
                    os.close(descriptor)


def _receive(connection: socket.socket) -> Fork | None:
    """Return the next request, or None when the connection has ended."""
    header, descriptors, _, _ = socket.recv_fds(connection, HEADER.size, DESCRIPTORS)
    if not header:
        return None
    (left,) = HEADER.unpack(header)
    body = bytearray()
    while len(body) < left:
        body += connection.recv(left - len(body))
    return Fork(msgspec.json.decode(body, type=Request), descriptors)


def _report_ends(ends: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while pair := os.waitpid(-1, os.WNOHANG):
            pid, status = pair
            if not pid:
                return
            with os.fdopen(ends.pop(pid), "w") as end, contextlib.suppress(BrokenPipeError):
                end.write(f"{os.waitstatus_to_exitcode(status)}\n")


def become(fork: Fork) -> None:
    """Run the program of a request in this process, to its end."""
    request = fork.request
    *streams, status = fork.descriptors
    with contextlib.suppress(BrokenPipeError):
        os.write(status, f"{os.getpid()}\n".encode())
    os.close(status)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request.new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(request.environment)
    os.umask(request.umask)
    os.chdir(request.directory)
    sys.path[0] = request.directory
    sys.argv[1:] = request.arguments
    gc.enable()
    try:
        runpy.run_module(request.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int):
            _exit(end.code)
        raise


def _exit(code: int) -> NoReturn:
    """End this process, as an interpreter does, but without the release of every object that was loaded."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Load the modules, and serve the connection whose descriptor is the only argument."""
    for module in LOADED:
        importlib.import_module(module)
    # A collection would write to the memory that all processes share.
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        fork = serve(socket.socket(fileno=int(sys.argv[1])))
    except KeyboardInterrupt:
        return
    if fork is not None:
        become(fork)


if __name__ == "__main__":
    main()
