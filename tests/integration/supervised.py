"""A system that is run by a supervisor, for tests: its commands, and a check that nothing is left of it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from core.addresses import Address
from core.closeable import Closeable
from core.jsontext import Json
from core.monitor.observer import Observer
from core.monitor.snapshot import Presence
from core.protocol import ClientConnection, Reply
from core.repository.journal import Journal
from core.supervisor import commands, state
from core.supervisor.home import Home
from core.supervisor.processes import process_identity
from core.supervisor.state import SupervisorState
from core.supervisor.status import Phase, StopResult, SystemStatus
from tests.services.waiting import wait_until

PATIENCE = 60.0
_TOP = Path(__file__).resolve().parents[2]


class Ended(msgspec.Struct, frozen=True):
    """The outcome of a command."""

    code: int
    output: str
    errors: str

    @property
    def report(self) -> SystemStatus:
        """The status that it printed."""
        assert self.code in {0, 1}, self.errors
        return msgspec.json.decode(self.output, type=SystemStatus)

    @property
    def stopped(self) -> StopResult:
        """The result that `down` printed."""
        assert self.code == 0, self.errors
        return msgspec.json.decode(self.output, type=StopResult)


class Supervised(Closeable):
    """The system of one directory, on free ports.

    Args:
        directory: the data directory.
    """

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CAUCE_")}
        self.current_directory = _TOP
        """Where its commands are run."""
        self.python = sys.executable
        """The interpreter that runs its commands."""
        self._foreground: subprocess.Popen[str] | None = None

    def run(self, command: str, *flags: str) -> Ended:
        """Run one command to its end."""
        ended = subprocess.run(
            self._arguments(command, *flags),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env=self.environment,
            cwd=self.current_directory,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def up(self, servers: int = 1, workers: int = 1, *flags: str) -> SystemStatus:
        """Start it in the background, on free ports."""
        ended = self.run("up", "--detach", "--json", *self.sizes(servers, workers), *flags)
        assert ended.code == 0, ended.errors
        return ended.report

    def start_in_front(self, servers: int = 1, workers: int = 1) -> SystemStatus:
        """Start it in the foreground, as the leader of a session, or attach to it. Returns when it is ready."""
        self._foreground = subprocess.Popen(
            self._arguments("up", "--json", *self.sizes(servers, workers)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=self.environment,
            cwd=_TOP,
            start_new_session=True,
        )
        assert self._foreground.stdout is not None
        return msgspec.json.decode(self._foreground.stdout.readline(), type=SystemStatus)

    def interrupt(self) -> None:
        """Send Ctrl-C to the supervisor in the foreground only."""
        assert self._foreground is not None
        self._foreground.send_signal(signal.SIGINT)

    def end_of_foreground(self) -> int:
        """Wait until the supervisor in the foreground has ended. Returns its exit code."""
        assert self._foreground is not None
        assert self._foreground.stdout is not None
        code = self._foreground.wait(PATIENCE)
        self._foreground.stdout.close()
        self._foreground = None
        return code

    def down(self, *flags: str) -> StopResult:
        """Take it down."""
        return self.run("down", "--json", *flags).stopped

    def status(self) -> SystemStatus | None:
        """Return the status as the command reads it, without starting a program for each look."""
        return commands.status(self.home, PATIENCE)

    def kill_supervisor(self) -> None:
        """End the supervisor as a crash would."""
        supervisor = state.load(self.home.state, SupervisorState)
        assert supervisor is not None
        process_identity.kill(supervisor.identity)
        wait_until(lambda: not process_identity.is_alive(supervisor.identity), "the supervisor to die")

    def assert_nothing_left(self, report: SystemStatus) -> None:
        """Check that no process of the system runs and that no program listens on its ports."""
        assert process_identity.processes_of(self.home) == []
        assert process_identity.identify(report.pid) is None
        for text in {report.listen, *report.servers} - {""}:
            with socket.socket() as probe:
                assert probe.connect_ex(Address.parse(text).pair) != 0, text
        assert not self.home.state.exists()
        assert not self.home.system.exists()
        assert not self.home.children.exists()

    def sizes(self, servers: int, workers: int) -> list[str]:
        """Return the flags for that many servers and workers, on free ports."""
        return [
            *("--servers", str(servers), "--workers", str(workers), "-c", "2"),
            *("--listen", "127.0.0.1:0", "--server-port", "0"),
        ]

    def close(self) -> None:
        """End all processes that the test has left."""
        supervisor = state.load(self.home.state, SupervisorState)
        if supervisor is not None:
            process_identity.kill(supervisor.identity)
        if self._foreground is not None:
            self._foreground.kill()
            self.end_of_foreground()
        for identity in process_identity.processes_of(self.home):
            process_identity.kill(identity)
        wait_until(lambda: not process_identity.processes_of(self.home), "everything to end")

    def _arguments(self, command: str, *flags: str) -> list[str]:
        return [self.python, "-m", "core.supervisor", command, "--dir", str(self.home.directory), *flags]


def pid_of(report: SystemStatus | None, name: str) -> int | None:
    """Return the process id of one unit, or None when it has no process."""
    found = [unit.pid for unit in report.processes if unit.name == name] if report else []
    return found[0] if found else None


def presences(system: Supervised) -> dict[str, Presence]:
    """Return what a view that is opened now shows of each process, by name: of the last one with that name."""
    journal = Journal("resultados.db", system.home.directory)
    with contextlib.closing(Observer(journal.open_readonly)) as observer:
        snapshot = observer.take_snapshot(time.monotonic(), time.time(), None)
    return {process.name: process.presence for process in snapshot.processes}


def kill(pid: int | None) -> None:
    """End a process of the tested system as a crash would."""
    assert pid is not None
    psutil.Process(pid).kill()


def settled(report: SystemStatus | None) -> bool:
    """Return whether everything runs and is ready."""
    return report is not None and report.phase is Phase.RUNNING and report.ready


def submit(address: str, kind: str, payload: Json, wait: float = 30.0) -> Json:
    """Submit a task over the socket and wait for it. Returns its result, or its state when it has not ended."""
    client = ClientConnection()
    with socket.create_connection(Address.parse(address).pair, 10.0) as stream:
        stream.settimeout(wait + 10.0)
        stream.sendall(client.submit(1, payload, task_id="only", kind=kind))
        accepted = _reply(client, stream)
        assert accepted.ok is not None, accepted.error
        stream.sendall(client.result(2, "only", wait))
        ended = _reply(client, stream)
        assert ended.ok is not None, ended.error
        return ended.ok.get("result", ended.ok["state"])


def _reply(client: ClientConnection, stream: socket.socket) -> Reply:
    while True:
        received = stream.recv(65_536)
        assert received, "the server closed the connection"
        with contextlib.suppress(StopIteration):
            return next(event for event in client.receive(received) if isinstance(event, Reply))
