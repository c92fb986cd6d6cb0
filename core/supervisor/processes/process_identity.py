"""Finds the processes of this machine that work for a directory, and signals them. It signals no other process.

A process works for a directory when the mark is in its environment, which its children inherit.
NGINX clears its environment, and is identified by its name and its working directory, which no other process has.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from core.process_identity import TOLERANCE as TOLERANCE
from core.process_identity import ProcessIdentity as ProcessIdentity
from core.process_identity import identify as identify
from core.process_identity import is_alive as is_alive
from core.signals import REBALANCE
from core.supervisor.home import Home
from core.supervisor.plan import MARK, ProcessKind


def processes_of(home: Home) -> list[ProcessIdentity]:
    """Find all processes that work for a data directory, except the calling one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _works_for(process, home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(ProcessIdentity(process.pid, process.create_time()))
    return found


def has_parent_among(identity: ProcessIdentity, others: Iterable[ProcessIdentity]) -> bool:
    """Return whether a process is a child of one of the others."""
    try:
        parent = psutil.Process(identity.pid).ppid()
    except psutil.Error:
        return False
    return any(other.pid == parent for other in others)


def terminate(identity: ProcessIdentity, kind: ProcessKind | None) -> None:
    """Ask a process to end in good order, with the signal of its kind."""
    if is_alive(identity):
        with _ignore_ended():
            _send_terminate(identity.pid, kind)


def terminate_child(pid: int, kind: ProcessKind) -> None:
    """Ask a child of this process to end in good order. The child must not have been waited for yet."""
    with _ignore_ended():
        _send_terminate(pid, kind)


def request_rebalance(identity: ProcessIdentity) -> None:
    """Ask a ready server to let its clients reconnect. Does nothing where the system has no such signal."""
    if REBALANCE is not None and is_alive(identity):
        with _ignore_ended():
            os.kill(identity.pid, REBALANCE)


def kill(identity: ProcessIdentity) -> None:
    """Kill a process."""
    if is_alive(identity):
        with _ignore_ended():
            psutil.Process(identity.pid).kill()


def kill_holder(identity: ProcessIdentity, file: Path) -> None:
    """Kill a process if it has a file open. A record that names another process by mistake ends nothing."""
    if not is_alive(identity):
        return
    with _ignore_ended(), contextlib.suppress(psutil.AccessDenied):
        # Windows does not tell reliably which files are open.
        if sys.platform == "win32" or str(file) in {each.path for each in psutil.Process(identity.pid).open_files()}:
            kill(identity)


def group_members(leader: int, home: Home) -> list[ProcessIdentity]:
    """Find the directory's processes in the group that a child led. They outlive the child when it is killed."""
    if not _has_group_id(leader):
        return []
    return [member for member in processes_of(home) if _group_id(member.pid) == leader]


def kill_tree(leader: int) -> None:
    """Kill a child of this process, with all that belongs to it. The child must not have been waited for yet."""
    with _ignore_ended():
        if sys.platform == "win32":
            process = psutil.Process(leader)
            for member in [*process.children(recursive=True), process]:
                with _ignore_ended():
                    member.kill()
        else:
            os.killpg(leader, signal.SIGKILL)


def _works_for(process: psutil.Process, home: Home) -> bool:
    if process.name().startswith("nginx"):
        return Path(process.cwd()) == home.nginx
    return process.environ().get(MARK) == str(home.directory)


if sys.platform == "win32":

    def pids_of(pid: int) -> frozenset[int]:
        """Return the ids that a child may report as its own.

        The interpreter of a virtual environment is a launcher here, and the program is the launcher's child.
        """
        try:
            return frozenset({pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))})
        except psutil.Error:
            return frozenset({pid})

    def _send_terminate(pid: int, kind: ProcessKind | None) -> None:
        """Send Ctrl-Break, or end the process where there is no console to send it through."""
        try:
            os.kill(pid, signal.CTRL_BREAK_EVENT)
        except OSError:
            psutil.Process(pid).kill()

    def _group_id(pid: int) -> int:
        return 0

    def _has_group_id(leader: int) -> bool:
        return False

else:

    def pids_of(pid: int) -> frozenset[int]:
        """Return the ids that a child may report as its own."""
        return frozenset({pid})

    def _send_terminate(pid: int, kind: ProcessKind | None) -> None:
        os.kill(pid, signal.SIGQUIT if kind is ProcessKind.NGINX else signal.SIGTERM)

    def _group_id(pid: int) -> int:
        try:
            return os.getpgid(pid)
        except OSError:
            return 0

    def _has_group_id(leader: int) -> bool:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@contextlib.contextmanager
def _ignore_ended() -> Iterator[None]:
    """Ignore that a process has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        yield
