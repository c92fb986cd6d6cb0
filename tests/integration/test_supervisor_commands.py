"""Operations on single processes, interrupts of commands that wait, and declared processes."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.addresses import Address
from core.monitor.snapshot import Presence
from core.supervisor import commands
from core.supervisor.processes import process_identity
from core.supervisor.status import StopResult, SystemStatus, UnitState, UnitStatus
from tests.integration import kinds
from tests.integration.commanding import Command
from tests.integration.programs import find
from tests.integration.supervised import Supervised, kill, pid_of, presences, settled, submit
from tests.integration.wire import once
from tests.services.ports import free_port
from tests.services.waiting import wait_until

PATIENCE = 60.0
OPERATIONS = ("start", "stop", "restart", "kill")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


class GatedTask:
    """A task that ends when the test opens its gate.

    Args:
        directory: the data directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trace = directory / "trace"
        self._gate = directory / "gate"

    def start(self, report: SystemStatus) -> None:
        """Submit the task and wait until it runs."""
        payload = {"trace": str(self._trace), "gate": str(self._gate)}
        once(Address.parse(report.listen), "submit", id="held", kind="gated", payload=payload)
        wait_until(lambda: self.runs == 1, "the task to run", PATIENCE)

    def open_gate(self) -> None:
        """Let the task end."""
        self._gate.touch()

    @property
    def runs(self) -> int:
        """The number of attempts that have started."""
        return self._trace.read_text("utf-8").count("\n") if self._trace.exists() else 0

    @property
    def state(self) -> str:
        """The state of the task."""
        found = find(self._directory, "held")
        return "" if found is None else str(found.state)


@pytest.fixture
def held(tmp_path: Path) -> GatedTask:
    return GatedTask(tmp_path)


def unit_of(system: Supervised, name: str) -> UnitStatus:
    """Return the status of a unit, without the delay of a command."""
    report = commands.status(system.home)
    assert report is not None
    return next(unit for unit in report.processes if unit.name == name)


def becomes(system: Supervised, name: str, state: UnitState) -> Callable[[], bool]:
    return lambda: unit_of(system, name).state is state


def pids(report: SystemStatus | None) -> dict[str, int | None]:
    assert report is not None
    return {unit.name: unit.pid for unit in report.processes}


# Start, stop, restart, kill.


def test_single_processes_and_kinds_of_them_are_stopped_started_restarted_and_killed(system: Supervised) -> None:
    first = system.up(1, 2)
    before = pids(first)

    stopped = system.run("stop", "w2", "--json").report
    assert pids(stopped) == {**before, "w2": None}
    assert unit_of(system, "w2").state is UnitState.STOPPED
    # A process that an operator has stopped is not a problem.
    assert system.run("status").code == 0

    started = system.run("start", "w2", "--json").report
    assert settled(started)
    assert {**pids(started), "w2": None} == {**before, "w2": None}
    assert pids(started)["w2"] not in {None, before["w2"]}

    restarted = system.run("restart", "servers", "w1", "--json").report
    assert settled(restarted)
    assert pids(restarted)["w2"] == pids(started)["w2"]
    assert {pids(restarted)["s1"], pids(restarted)["w1"]}.isdisjoint({before["s1"], before["w1"], None})
    assert restarted.servers == first.servers
    assert submit(restarted.listen, "echo", "still there") == "still there"

    killed = system.run("kill", "w1", "--json").report
    assert pids(killed)["w1"] != pids(restarted)["w1"]
    wait_until(becomes(system, "w1", UnitState.READY), "the worker to come back by itself", PATIENCE)
    assert unit_of(system, "w1").restarts == 1

    assert set(pids(system.run("stop", "all", "--json").report).values()) == {None}
    assert process_identity.processes_of(system.home) == []
    again = system.run("start", "workers", "servers", "--json").report
    assert settled(again)
    assert None not in pids(again).values()


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(system: Supervised) -> None:
    for operation in OPERATIONS:
        ended = system.run(operation, "w1")
        assert ended.code == 1
        assert "no supervisor runs in" in ended.errors
        assert system.run(operation).code == 2
    assert list(system.home.directory.iterdir()) == []

    before = pids(system.up(1, 1))
    for operation in OPERATIONS:
        # The processes with valid names are not touched.
        ended = system.run(operation, "w1", "w9")
        assert ended.code == 1
        assert ended.output == ""
        assert ended.errors == "core.supervisor: there is no process w9; there are: s1, w1\n"
    ended = system.run("stop", "\x1b[2Jw1")
    assert ended.code == 1
    assert "\x1b" not in ended.errors
    assert pids(system.status()) == before


def test_a_stop_beats_a_restart_that_is_due(system: Supervised) -> None:
    report = system.up(1, 1)
    kill(pid_of(report, "w1"))
    wait_until(becomes(system, "w1", UnitState.RESTARTING), "the death to be noticed", PATIENCE)
    now = commands.operate(system.home, "stop", ["w1"])
    assert pids(now)["w1"] is None
    assert presences(system)["w1"] is Presence.LEFT
    # By now it would have been restarted.
    for _ in range(2):
        commands.operate(system.home, "restart", ["s1"])
    assert unit_of(system, "w1").state is UnitState.STOPPED
    assert unit_of(system, "w1").pid is None


def test_a_stop_beats_a_restart_that_is_under_way(system: Supervised, held: GatedTask) -> None:
    report = system.up(1, 1, "--tasks", kinds.__name__)
    held.start(report)
    with Command(system, "restart", "w1") as restarting:
        wait_until(becomes(system, "w1", UnitState.STOPPING), "the worker to be asked to end", PATIENCE)
        with Command(system, "stop", "w1", "--timeout", "30") as stopping:
            wait_until(lambda: kill_in(system) <= 30.0, "the stop to be asked for", PATIENCE)
            held.open_gate()
            assert stopping.end().code == 0
        ended = restarting.end()
    assert ended.code == 1
    assert "w1 was stopped before" in ended.errors
    assert unit_of(system, "w1").state is UnitState.STOPPED
    assert unit_of(system, "w1").pid is None
    assert held.state == "done"
    assert held.runs == 1


def test_what_was_to_be_restarted_when_the_supervisor_was_killed_is_not_left_stopped(
    system: Supervised, held: GatedTask
) -> None:
    flags = ("--tasks", kinds.__name__)
    report = system.up(1, 1, *flags)
    held.start(report)
    with Command(system, "restart", "w1") as restarting:
        wait_until(becomes(system, "w1", UnitState.STOPPING), "the worker to be asked to end", PATIENCE)
        # The file is written in the same tick or the next one, which ends before a later reply.
        commands.operate(system.home, "start", ["s1"])
        system.kill_supervisor()
        assert restarting.end().code == 1
    held.open_gate()
    again = system.up(1, 1, *flags)
    assert pid_of(again, "s1") == pid_of(report, "s1")
    # The former one may be adopted for the moment that it takes to end.
    wait_until(lambda: unit_of(system, "w1").pid not in {None, pid_of(report, "w1")}, "another worker", PATIENCE)
    wait_until(becomes(system, "w1", UnitState.READY), "the worker to come", PATIENCE)


def kill_in(system: Supervised) -> float:
    left = unit_of(system, "w1").kill_in
    return PATIENCE if left is None else left


# An interrupt of a command that waits.


def test_an_interrupt_of_down_skips_the_waiting_and_nothing_is_left(system: Supervised, held: GatedTask) -> None:
    report = system.up(1, 1, "--tasks", kinds.__name__)
    held.start(report)
    with Command(system, "down", "--json") as down:
        wait_until(becomes(system, "w1", UnitState.STOPPING), "the worker to be asked to end", PATIENCE)
        wait_until(becomes(system, "s1", UnitState.STOPPED), "the server to end before", PATIENCE)
        assert down.process.poll() is None
        down.interrupt()
        stopped = down.end().stopped
    assert (stopped.stopped, stopped.killed) == (("s1",), ("w1",))
    system.assert_nothing_left(report)
    # The task waits for another worker.
    assert held.state in {"queued", "running"}


def test_the_stop_timeout_is_that_of_the_system_or_of_the_commands_settings(
    system: Supervised, held: GatedTask
) -> None:
    system.up(1, 1, "--tasks", kinds.__name__, "--stop-timeout", "3600")
    report = system.status()
    assert report is not None
    held.start(report)
    system.environment["CAUCE_SUPERVISOR_STOP_TIMEOUT"] = "1800"
    with Command(system, "stop", "w1") as stopping:
        wait_until(becomes(system, "w1", UnitState.STOPPING), "the worker to be asked to end", PATIENCE)
        assert PATIENCE < kill_in(system) <= 1800.0
        del system.environment["CAUCE_SUPERVISOR_STOP_TIMEOUT"]
        with Command(system, "down", "--json") as down:
            wait_until(lambda: kill_in(system) > 1800.0, "the system's own timeout", PATIENCE)
            held.open_gate()
            assert down.end().stopped == StopResult(stopped=("s1", "w1"))
        assert stopping.end().code == 1
    assert held.state == "done"


@pytest.mark.parametrize("command", [("stop", "w1"), ("scale", "workers=0")], ids=["stop", "scale"])
def test_an_interrupt_kills_only_what_is_to_stop(system: Supervised, held: GatedTask, command: tuple[str, ...]) -> None:
    report = system.up(1, 1, "--tasks", kinds.__name__)
    held.start(report)
    with Command(system, *command, "--json") as waiting:
        wait_until(becomes(system, "w1", UnitState.STOPPING), "the worker to be asked to end", PATIENCE)
        waiting.interrupt()
        now = waiting.end().report
    assert {name: pid for name, pid in pids(now).items() if pid is not None} == {"s1": pid_of(report, "s1")}
    assert settled(now)
    assert [identity.pid for identity in process_identity.processes_of(system.home)] == [pid_of(report, "s1")]
    # It could not write so itself.
    assert presences(system)["w1"] is Presence.LEFT


# What users declare.

DECLARED = """
[process.website]
command = [{python}, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
ready = "127.0.0.1:{port}"
directory = "pages"

[process.diary]
command = [{python}, "-c", {program}]
environment = {{ GREETING = "good morning" }}
ready-after = 0.2
stop-timeout = 30

[process.late]
command = [{python}, "-c", {program}]
start = false
"""

PRINTS_ITS_START_AND_END = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: (print("good night", flush=True), exit(0)))
print(os.environ.get("GREETING", "nothing"), flush=True)
signal.pause()
"""


def declare(directory: Path) -> Address:
    """Declare three processes. Returns the address of the one that listens."""
    port = free_port()
    text = DECLARED.format(python=quoted(sys.executable), program=quoted(PRINTS_ITS_START_AND_END), port=port)
    (directory / "cauce.toml").write_text(text, "utf-8")
    (directory / "pages").mkdir()
    return Address("127.0.0.1", port)


def quoted(text: str) -> str:
    """Quote a string for the settings file."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def test_declared_processes_run_with_the_others(system: Supervised, tmp_path: Path) -> None:
    address = declare(tmp_path)
    report = system.up(1, 1)
    assert [unit.name for unit in report.processes] == ["s1", "w1", "diary", "late", "website"]
    assert report.ready
    website = unit_of(system, "website")
    assert (website.state, website.address) == (UnitState.READY, str(address))
    assert psutil.Process(website.pid).cwd() == str(tmp_path / "pages")
    assert unit_of(system, "late").state is UnitState.STOPPED
    started = {name: unit_of(system, name).started_at or 0.0 for name in ("s1", "w1", "diary", "website")}
    assert max(started["s1"], started["w1"]) < min(started["diary"], started["website"])
    assert "good morning" in system.run("logs", "diary").output

    kill(website.pid)
    wait_until(lambda: unit_of(system, "website").pid not in {None, website.pid}, "it to be started again", PATIENCE)
    wait_until(becomes(system, "website", UnitState.READY), "it to be ready", PATIENCE)
    assert unit_of(system, "website").restarts == 1

    assert settled(system.run("start", "late", "--json").report)
    assert unit_of(system, "late").state is UnitState.READY
    assert set(pids(system.run("stop", "declared", "--json").report)) == {"s1", "w1", "diary", "late", "website"}
    assert unit_of(system, "website").pid is None
    assert settled(system.run("start", "declared", "--json").report)

    stopped = system.down()
    # It stops before the processes that it may need.
    assert set(stopped.stopped[:3]) == {"diary", "late", "website"}
    assert stopped.stopped[3:] == ("s1", "w1")
    assert stopped.killed == ()
    # Each was asked to end, at the stop and at the end, and was not killed.
    assert system.home.log("diary").read_text("utf-8") == "good morning\ngood night\n" * 2
    system.assert_nothing_left(report)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[process.website]\ncommand = "python3 -m http.server"', "process.website.command must be a list of strings"),
        ('[process.website]\ncommand = ["true"]\nredy = "127.0.0.1:1"', "do you mean 'ready'?"),
        ('[process.s1]\ncommand = ["true"]', "process.s1 is the name of a part of the system"),
    ],
    ids=["no list", "slip", "name of a unit"],
)
@pytest.mark.parametrize("flags", [[], ["--detach"]], ids=["in front", "detached"])
def test_an_invalid_declaration_is_an_error_before_anything_starts(
    system: Supervised, tmp_path: Path, table: str, message: str, flags: list[str]
) -> None:
    file = tmp_path / "cauce.toml"
    file.write_text(table, "utf-8")
    ended = system.run("up", *system.sizes(1, 1), *flags)
    assert ended.code == 2
    assert f"core.supervisor: {file}: process." in ended.errors
    assert message in ended.errors
    assert process_identity.processes_of(system.home) == []
    assert not system.home.log("s1").exists()


def test_a_declared_process_that_cannot_run_fails_the_start(system: Supervised, tmp_path: Path) -> None:
    (tmp_path / "cauce.toml").write_text('[process.website]\ncommand = ["no-such-program"]\n', "utf-8")
    ended = system.run("up", "--detach", *system.sizes(1, 1))
    assert ended.code == 1
    assert "can't start website" in ended.errors
    assert "no-such-program" in ended.errors
    assert process_identity.processes_of(system.home) == []
