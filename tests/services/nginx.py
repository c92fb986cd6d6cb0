"""A real NGINX for a test: in its own directory, on its own port, in its own session."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from core.addresses import LOOPBACK, Address
from core.supervisor.nginx.configuration import render
from core.supervisor.nginx.executable import ACCESS_LOG, PID_FILE, check, command, control_command, prepare_prefix
from tests.services.ports import free_port
from tests.services.waiting import wait_until

_GRACE = 5.0
_STOPPING = 60.0


def free_address() -> Address:
    """Find a free address on this machine."""
    return Address(LOOPBACK, free_port())


def accepts(address: Address) -> bool:
    """Return whether a program listens there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(address.pair) == 0


class NginxProcess:
    """NGINX balancing `address` over some servers.

    Attributes:
        owner: the user to run as, when the test runs as root; the test's own user when None.
    """

    def __init__(self, program: Path, directory: Path, servers: Sequence[Address], owner: str | None = None) -> None:
        self.program = program
        self.directory = directory
        self.address = free_address()
        self.servers = list(servers)
        self.owner = owner
        self._master: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The master's process id, which is its group's too."""
        assert self._master is not None
        return self._master.pid

    @property
    def access_log(self) -> str:
        """The log of the connections that have ended."""
        return (self.directory / ACCESS_LOG).read_text(encoding="utf-8")

    def start(self) -> None:
        """Start NGINX and wait until it accepts connections."""
        assert self._master is None
        self._configure()
        with (self.directory / "output").open("wb") as output:
            self._master = subprocess.Popen(
                command(self.program, self.directory),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.owner,
            )
        try:
            # It writes its id once it listens. A test connection would go to one of the servers, which would then get
            # less than its share for a moment.
            wait_until(lambda: self._ended() or self._listens(), "NGINX to listen")
            assert not self._ended(), (self.directory / "output").read_text(encoding="utf-8")
        except BaseException:
            self.stop()
            raise

    def reload(self, servers: Sequence[Address]) -> None:
        """Put other servers behind the running NGINX."""
        self.servers = list(servers)
        self._configure()
        subprocess.run(control_command(self.program, self.directory, "reload"), check=True, timeout=_STOPPING)

    def kill_master(self) -> None:
        """End the master alone, as a crash would."""
        assert self._master is not None
        self._master.kill()
        self._master.wait(_STOPPING)

    def workers(self) -> list[int]:
        """The live processes of the group, except for the master."""
        return [process.pid for process in self._group() if process.pid != self.pid]

    def stop(self) -> None:
        """End every process of the group and wait for their end. A second call does nothing."""
        if self._master is None:
            return
        self._signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(self._group(), _GRACE)
        if alive:
            self._signal(signal.SIGKILL)
        self._master.wait(_STOPPING)
        wait_until(lambda: not self._group(), "the processes of NGINX to go")
        self._master = None

    def _configure(self) -> None:
        prepare_prefix(self.program, self.directory, render(self.address, self.servers))
        check(self.program, self.directory)
        if self.owner is not None:
            for path in (self.directory, *self.directory.rglob("*")):
                if not path.is_symlink():
                    shutil.chown(path, self.owner)

    def _listens(self) -> bool:
        written = self.directory / PID_FILE
        return written.exists() and written.read_text(encoding="utf-8").strip() == str(self.pid)

    def _ended(self) -> bool:
        return self._master is None or self._master.poll() is not None

    def _group(self) -> list[psutil.Process]:
        """The live processes of the master's group, which outlive it when it is killed."""
        return [process for process in psutil.process_iter() if _is_live_member(process, self.pid)]

    def _signal(self, number: signal.Signals) -> None:
        # No other group can have the master's id while this group has a member or was not waited for.
        if self._group():
            os.killpg(self.pid, number)


def _is_live_member(process: psutil.Process, group: int) -> bool:
    try:
        # The first process of a machine may not collect orphans, which then stay as zombies.
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False
