"""Which processes of this machine are ours, and how they are told to leave. Nobody else is ever signalled.

A process is known by its id and the time of its start, never by the id alone, which the system gives out again.
It is ours when our mark is in its environment, which its children inherit.
NGINX wipes its environment; it is known by its name and the directory that it runs in, which nobody else has.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from core.signals import REBALANCE
from core.supervisor.home import Home
from core.supervisor.plan import MARK, ProcessKind

TOLERANCE = 1.0
"""Seconds by which two readings of one process's start may differ: both are made of the clock, which is set."""


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process, and no later one that has the same id."""

    pid: int
    started: float


def identify(pid: int) -> ProcessIdentity | None:
    """Tell which process has this id now; None when none has, or only what is left of a dead one."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessIdentity(pid, process.create_time())
    except psutil.Error:
        return None


def is_alive(identity: ProcessIdentity) -> bool:
    """Tell whether this very process still runs."""
    now = identify(identity.pid)
    return now is not None and abs(now.started - identity.started) <= TOLERANCE


def ours(home: Home) -> list[ProcessIdentity]:
    """Find all processes that work for a data directory, except for the one that asks."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and _is_ours(process, home):
                found.append(ProcessIdentity(process.pid, process.create_time()))
    return found


def ask_to_leave(identity: ProcessIdentity, kind: ProcessKind | None) -> None:
    """Ask a process to end in good order."""
    if is_alive(identity):
        with _gone_is_fine():
            _signal_polite(identity.pid, kind)


def ask_child_to_leave(pid: int, kind: ProcessKind) -> None:
    """Ask a child of this process, not waited for yet, to end in good order."""
    with _gone_is_fine():
        _signal_polite(pid, kind)


def ask_to_rebalance(identity: ProcessIdentity) -> None:
    """Ask a server that is ready to have its clients connect anew; nothing where there is no such signal."""
    if REBALANCE is not None and is_alive(identity):
        with _gone_is_fine():
            os.kill(identity.pid, REBALANCE)


def kill(identity: ProcessIdentity) -> None:
    """End a process at once."""
    if is_alive(identity):
        with _gone_is_fine():
            psutil.Process(identity.pid).kill()


def group_of(leader: int, home: Home) -> list[ProcessIdentity]:
    """Find our processes in the group that a child led, and which outlive it when it is killed."""
    if not _group_exists(leader):
        return []
    return [member for member in ours(home) if _group(member.pid) == leader]


def kill_tree(leader: int) -> None:
    """End a child of this process, not waited for yet, with all that belongs to it."""
    with _gone_is_fine():
        if sys.platform == "win32":
            process = psutil.Process(leader)
            for member in [*process.children(recursive=True), process]:
                with _gone_is_fine():
                    member.kill()
        else:
            os.killpg(leader, signal.SIGKILL)


def _is_ours(process: psutil.Process, home: Home) -> bool:
    if process.name().startswith("nginx"):
        return Path(process.cwd()) == home.nginx
    return process.environ().get(MARK) == str(home.directory)


if sys.platform == "win32":

    def family(pid: int) -> frozenset[int]:
        """The ids under which a child may know itself.

        The interpreter of a virtual environment is a launcher here: the program itself is the launcher's child.
        """
        try:
            return frozenset({pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))})
        except psutil.Error:
            return frozenset({pid})

    def _signal_polite(pid: int, kind: ProcessKind | None) -> None:
        """Ctrl-Break; where there is no console to send it through, nothing politer than an end is left."""
        try:
            os.kill(pid, signal.CTRL_BREAK_EVENT)
        except OSError:
            psutil.Process(pid).kill()

    def _group(pid: int) -> int:
        return 0

    def _group_exists(leader: int) -> bool:
        return False

else:

    def family(pid: int) -> frozenset[int]:
        """The ids under which a child may know itself."""
        return frozenset({pid})

    def _signal_polite(pid: int, kind: ProcessKind | None) -> None:
        os.kill(pid, signal.SIGQUIT if kind is ProcessKind.NGINX else signal.SIGTERM)

    def _group(pid: int) -> int:
        try:
            return os.getpgid(pid)
        except OSError:
            return 0

    def _group_exists(leader: int) -> bool:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    """What has ended meanwhile need not be ended."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        yield
