"""A system that is run by a supervisor, for tests: its commands, and a check that nothing is left of it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

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
from core.supervisor.arguments import MODULE
from core.supervisor.home import Home
from core.supervisor.lock import is_held
from core.supervisor.logs.log_files import open_log
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import SupervisorState
from core.supervisor.status import Phase, StopResult, SystemStatus
from tests.services import warm
from tests.services.waiting import wait_until
from tests.services.warm import Running

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
        self.python: str | None = None
        """The interpreter that runs its commands, or None for processes without an interpreter's start of their own."""
        self._started: list[Start] = []

    def run(self, command: str, *flags: str) -> Ended:
        """Run one command to its end."""
        if self.python is not None:
            ended = subprocess.run(
                [self.python, "-m", MODULE, *self._arguments(command, *flags)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                env=self.environment,
                cwd=self.current_directory,
                timeout=PATIENCE,
                check=False,
            )
            return Ended(ended.returncode, ended.stdout, ended.stderr)
        return Ended(
            *warm.run(MODULE, self._arguments(command, *flags), self.environment, directory=self.current_directory)
        )

    def up(self, servers: int = 1, workers: int = 1, *flags: str) -> SystemStatus:
        """Start it in the background, on free ports, or attach to what runs."""
        arguments = ("--json", *self.sizes(servers, workers), *flags)
        if self.python is not None or is_held(self.home.lock):
            ended = self.run("up", "--detach", *arguments)
            assert ended.code == 0, ended.errors
            return ended.report
        self.home.create()
        with open_log(self.home.log("supervisor")) as errors:
            self._started.append(Start(self, errors, "--no-attach", *arguments))
        return self._started[-1].report()

    def begin(self, servers: int = 1, workers: int = 1, *flags: str) -> "Start":
        """Begin a start in the foreground, as the leader of a session."""
        return Start(self, subprocess.DEVNULL, "--json", *self.sizes(servers, workers), *flags)

    def start_in_front(self, servers: int = 1, workers: int = 1) -> SystemStatus:
        """Start it in the foreground, as the leader of a session, or attach to it. Returns when it is ready."""
        self._started.append(self.begin(servers, workers))
        return self._started[-1].report()

    def interrupt(self) -> None:
        """Send Ctrl-C to the supervisor in the foreground only."""
        self._started[-1].process.send_signal(signal.SIGINT)

    def end_of_foreground(self) -> int:
        """Wait until the supervisor in the foreground has ended. Returns its exit code."""
        return self._started.pop().end()

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
        # The last of its threads closes its files.
        wait_until(lambda: not is_held(self.home.lock), "its lock to be free")

    def programs(self) -> list[ProcessIdentity]:
        """Return the processes of the system, without the runners of its workers."""
        found = process_identity.processes_of(self.home)
        return [each for each in found if not process_identity.has_parent_among(each, found)]

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
        for start in self._started:
            start.close()
        rest = process_identity.processes_of(self.home)
        for identity in rest:
            process_identity.kill(identity)
        if rest:
            wait_until(lambda: not process_identity.processes_of(self.home), "everything to end")

    def _arguments(self, command: str, *flags: str) -> list[str]:
        return [command, "--dir", str(self.home.directory), *flags]

    def start(
        self, output: IO[bytes] | int, errors: IO[bytes] | int, command: str, *flags: str, new_session: bool = False
    ) -> Running:
        """Start a command, which writes to these files."""
        return warm.start(
            MODULE,
            self._arguments(command, *flags),
            self.environment,
            output,
            errors,
            directory=self.current_directory,
            new_session=new_session,
        )


class Start(Closeable):
    """A start of a system, as the leader of a session: a supervisor, or a command that attaches to one.

    Args:
        system: what it starts.
        errors: the file that it writes messages to.
        flags: those of `up`.
    """

    def __init__(self, system: Supervised, errors: IO[bytes] | int, *flags: str) -> None:
        self._log = system.home.log("supervisor")
        reading, writing = os.pipe()
        self._output = os.fdopen(reading, encoding="utf-8")
        try:
            self.process = system.start(writing, errors, "up", *flags, new_session=True)
        finally:
            os.close(writing)

    def report(self) -> SystemStatus:
        """Wait until everything is ready. Returns the status that it printed."""
        line = self._output.readline()
        assert line, f"it ended with {self.process.wait(PATIENCE)}: {self._reason()}"
        return msgspec.json.decode(line, type=SystemStatus)

    def _reason(self) -> str:
        """Return the end of the supervisor's log, if it has one."""
        return self._log.read_text("utf-8", "replace")[-2000:] if self._log.exists() else "it has no log"

    def end(self) -> int:
        """Wait for its end. Returns its exit code."""
        code = self.process.wait(PATIENCE)
        self._output.close()
        return code

    def close(self) -> None:
        """End it at once, if it still runs."""
        self.process.kill()
        self.end()


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
