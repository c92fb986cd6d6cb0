"""The operations, step by step, on real units with small processes. The test moves the clock."""

import argparse
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from core import config
from core.addresses import Address
from core.errors import BrokerError, SupervisorError
from core.signals import REBALANCE
from core.supervisor import options, ports
from core.supervisor.home import Home
from core.supervisor.nginx.balancer import Balancer
from core.supervisor.operations import MAX_MOVES, Operations, Steps
from core.supervisor.plan import MARK, Planner, ProcessKind, ProcessSpec
from core.supervisor.processes import process_identity
from core.supervisor.processes.readiness import Condition
from core.supervisor.processes.restart_policy import MAX_DEATHS
from core.supervisor.processes.stopping import StopTimeout
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units
from core.supervisor.status import UnitState
from tests.services.waiting import wait_until

START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0

HERE = "import time; print('here', flush=True); time.sleep(600)"
LIVES = (
    "import signal\n"
    "if hasattr(signal, 'SIGUSR2'): signal.signal(signal.SIGUSR2, lambda *_: print('rebalance', flush=True))\n"
    f"{HERE}"
)
PRINTS_AND_DIES = "print('about to die', flush=True); raise SystemExit(3)"
LISTENS = (
    "import socket, sys; host, port = sys.argv[1].rsplit(':', 1); s = socket.create_server((host, int(port)));" + HERE
)
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
STUBBORN = IGNORES + HERE
STUBBORN_WITH_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {STUBBORN}"

posix = pytest.mark.skipif(os.name != "posix", reason="there is no politer signal to ignore")

PROCESS_KINDS = {"s": ProcessKind.SERVER, "w": ProcessKind.WORKER, "n": ProcessKind.NGINX, "d": ProcessKind.DECLARED}
"""By the first letter of a name."""


class _SmallPlanner(Planner):
    """Plans small programs in the place of servers and workers."""

    def __init__(self, home: Home) -> None:
        flags = argparse.Namespace(directory=home.directory)
        super().__init__(config.load(options.OPTIONS, flags, {}), home, sys.executable)
        self._mark = {MARK: str(home.directory)}
        self.programs: dict[str, str] = {}

    def server(self, number: int, address: Address) -> ProcessSpec:
        return self.small(f"s{number}", address)

    def worker(self, number: int) -> ProcessSpec:
        return self.small(f"w{number}")

    def small(self, name: str, address: Address | None = None) -> ProcessSpec:
        command = (sys.executable, "-c", self.programs.get(name, LIVES), str(address or ""))
        return ProcessSpec(
            name=name, kind=PROCESS_KINDS[name[0]], command=command, environment=self._mark, address=address
        )


class _System:
    """Units with a clock that the test moves. A unit that has printed `here` is ready, unless it is in `unready`."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        self.home.create()
        self.now = 1000.0
        self.planner = _SmallPlanner(self.home)
        self.units = Units(lambda spec: Unit(spec, self.home, os.environ, 0.0, lambda: self.before_start(spec)))
        self.before_start: Callable[[ProcessSpec], None] = lambda _: None
        self.prepare_broker: Callable[[], None] = lambda: None
        self.holder_of: ports.FindHolder = ports.holder_of
        self.unready: set[str] = set()
        self.fixed: dict[str, Address] = {}
        self.operations = self.make_operations()

    def make_operations(self, balancer: Balancer | None = None) -> Operations:
        return Operations(
            self.units,
            self.planner,
            balancer,
            choose_address=lambda name, taken: ports.choose_address(name, 0, taken, self.fixed),
            holder_of=lambda address: self.holder_of(address),
            prepare_broker=lambda: self.prepare_broker(),
            start_timeout=START_TIMEOUT,
            stop_timeout=STOP_TIMEOUT,
            clock=lambda: self.now,
        )

    def add(self, name: str, program: str = LIVES) -> Unit:
        self.planner.programs[name] = program
        address = Address("127.0.0.1", ports.free_port("127.0.0.1")) if name[0] == "s" else None
        return self.units.add(self.planner.small(name, address))

    def unit(self, name: str) -> Unit:
        return self.units.find([name])[0]

    def names(self) -> list[str]:
        return [unit.name for unit in self.units]

    def state(self, name: str) -> UnitState:
        return self.unit(name).state

    def pid(self, name: str) -> int | None:
        return self.unit(name).status(self.now).pid

    def output(self, name: str) -> list[str]:
        process = self.unit(name).process
        return process.last_output() if process else []

    def tick(self) -> None:
        """Do what the supervisor's main thread does in each tick."""
        for unit in self.units:
            unit.tick(self.now)
            target = unit.target()
            if target is not None and unit.name not in self.unready and "here" in self.output(unit.name):
                unit.observe(target, Condition(True), self.now)

    def step(self, steps: Steps) -> bool:
        """Advance an operation by one step. Returns whether it has ended."""
        self.tick()
        try:
            next(steps)
        except StopIteration:
            return True
        return False

    def follow(self, steps: Steps) -> None:
        """Advance an operation to its end."""
        wait_until(lambda: self.step(steps), "the operation to end")

    def follow_until(self, steps: Steps, condition: Callable[[], bool], what: str) -> None:
        """Advance an operation until a condition holds, which must be before its end."""

        def holds() -> bool:
            assert not self.step(steps), f"the operation has ended before {what}"
            return condition()

        wait_until(holds, what)

    def tick_until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            self.tick()
            return condition()

        wait_until(holds, what)

    def crash(self, name: str) -> None:
        """End a process as a crash would, and let its unit notice."""
        process = self.unit(name).process
        assert process is not None
        process_identity.kill(process.identity)
        self.tick_until(lambda: self.unit(name).process is None, f"the end of {name}")

    def give_up(self, name: str) -> None:
        """Let a unit that can't run die until it is given up."""
        self.unit(name).start()

        def given_up() -> bool:
            self.tick()
            self.now += 1.0 if self.unit(name).process is None else 0.0
            return self.state(name) is UnitState.CRASHED

        wait_until(given_up, f"{name} to be given up")

    def close(self) -> None:
        for unit in self.units:
            if unit.process is not None:
                unit.process.kill()
                wait_until(unit.process.has_ended, f"{unit.name} to end")
        wait_until(lambda: not process_identity.processes_of(self.home), "everything to end")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[_System]:
    made = _System(tmp_path)
    try:
        yield made
    finally:
        made.close()


def brought_up(system: _System, *names: str, program: str = LIVES) -> None:
    for name in names:
        system.add(name, program)
    system.follow(system.operations.bring_up())


# Starting.


def test_a_stage_begins_when_everything_before_it_is_ready(system: _System) -> None:
    for name in ("d1", "w1", "s1"):
        system.add(name)
    system.unready.add("w1")
    prepared: list[list[str]] = []
    system.prepare_broker = lambda: prepared.append([unit.name for unit in system.units if unit.process])
    steps = system.operations.bring_up()
    system.follow_until(
        steps, lambda: "here" in system.output("w1") and system.unit("s1").start_completed, "the first stage"
    )
    system.step(steps)
    assert system.state("d1") is UnitState.WAITING
    assert system.state("w1") is UnitState.STARTING
    system.unready.clear()
    system.follow(steps)
    assert [system.state(name) for name in ("s1", "w1", "d1")] == [UnitState.READY] * 3
    assert prepared == [[]]


def test_what_an_operator_has_stopped_is_not_brought_up(system: _System) -> None:
    system.add("w1")
    system.add("w2").stop(STOP_TIMEOUT, system.now)
    system.follow(system.operations.bring_up())
    assert (system.state("w1"), system.state("w2")) == (UnitState.READY, UnitState.STOPPED)


def test_a_failed_start_carries_the_last_lines_of_the_log(system: _System) -> None:
    system.add("w1", PRINTS_AND_DIES)
    with pytest.raises(SupervisorError) as caught:
        system.follow(system.operations.bring_up())
    assert "w1 ended with code 3 before everything was ready" in str(caught.value)
    assert str(system.home.log("w1")) in str(caught.value)
    assert str(caught.value).endswith("about to die")


def test_what_is_not_ready_in_time_is_named_with_its_last_lines(system: _System) -> None:
    system.add("w1")
    system.add("w2")
    system.unready.add("w2")
    steps = system.operations.bring_up()
    system.follow_until(
        steps, lambda: system.unit("w1").start_completed and bool(system.output("w2")), "one of the two"
    )
    system.now += START_TIMEOUT
    assert not system.step(steps)
    system.now += 0.1
    with pytest.raises(SupervisorError, match=r"^w2 was not ready within 20 seconds.*\n.*here$"):
        system.step(steps)


def test_a_lenient_start_goes_on_after_what_cannot_be_started(system: _System) -> None:
    system.add("w1", PRINTS_AND_DIES)
    system.add("d1")
    system.follow(system.operations.bring_up(lenient=True))
    assert system.state("d1") is UnitState.READY


def test_a_broker_that_cannot_be_prepared_stops_the_start_of_the_servers(system: _System) -> None:
    def refuse() -> None:
        raise BrokerError("the queues can't be made")

    system.add("s1")
    system.prepare_broker = refuse
    with pytest.raises(BrokerError, match="the queues"):
        system.follow(system.operations.bring_up())
    assert system.unit("s1").process is None


def test_former_deaths_do_not_count_after_a_start(system: _System) -> None:
    system.add("w1", PRINTS_AND_DIES)
    system.give_up("w1")
    system.now += 1.0
    system.tick()
    assert system.unit("w1").process is None
    system.unit("w1").spec = replace(system.unit("w1").spec, command=(sys.executable, "-c", LIVES))
    system.follow(system.operations.start(["w1"]))
    assert system.state("w1") is UnitState.READY
    system.crash("w1")
    assert system.state("w1") is UnitState.RESTARTING


def test_starting_what_runs_changes_nothing(system: _System) -> None:
    brought_up(system, "w1")
    pid = system.pid("w1")
    system.follow(system.operations.start(["w1"]))
    assert system.pid("w1") == pid


def test_a_refusal_before_a_start_ends_the_operation_and_breaks_nothing_else(system: _System) -> None:
    def refuse(spec: ProcessSpec) -> None:
        if spec.name == "nginx":
            raise SupervisorError("NGINX refuses its configuration")

    brought_up(system, "w1")
    system.before_start = refuse
    system.add("nginx")
    with pytest.raises(SupervisorError, match="refuses"):
        system.follow(system.operations.start(["nginx"]))
    system.crash("w1")
    system.now += 1.0
    system.tick_until(lambda: system.unit("w1").start_completed, "the worker to be restarted")
    system.before_start = lambda _: None
    system.follow(system.operations.start(["nginx"]))
    assert system.state("nginx") is UnitState.READY


def test_a_refusal_at_a_restart_is_tried_again_and_the_others_go_on(system: _System) -> None:
    refusals: list[str] = []

    def refuse(spec: ProcessSpec) -> None:
        if spec.name == "nginx":
            refusals.append(spec.name)
            raise SupervisorError("NGINX refuses its configuration")

    brought_up(system, "nginx", "w1")
    system.before_start = refuse
    system.crash("nginx")
    system.crash("w1")
    system.now += 1.0
    system.tick_until(lambda: system.unit("w1").start_completed, "the worker to be restarted")
    assert refusals == ["nginx"]
    assert system.state("nginx") is UnitState.RESTARTING
    assert "refuses" in system.unit("nginx").status(system.now).note
    system.before_start = lambda _: None
    system.now += 10.0
    system.tick_until(lambda: system.unit("nginx").start_completed, "NGINX to be restarted")


# A port that another program has taken.


def test_a_server_whose_port_was_taken_meanwhile_moves(system: _System) -> None:
    unit = system.add("s1", LISTENS)
    first = unit.spec.address
    assert first is not None
    with socket.create_server(first.pair):
        system.follow(system.operations.bring_up())
    second = unit.spec.address
    assert second is not None
    assert second != first
    socket.create_connection(second.pair, 10.0).close()


def test_a_server_whose_own_address_was_taken_meanwhile_moves_nowhere(system: _System) -> None:
    unit = system.add("s1", LISTENS)
    address = unit.spec.address
    assert address is not None
    system.fixed = {"s1": address}
    with (
        socket.create_server(address.pair),
        pytest.raises(SupervisorError, match=rf"{address} is held by .*with --listen or --server-port"),
    ):
        system.follow(system.operations.bring_up())
    assert unit.spec.address == address


def test_a_server_that_dies_for_another_reason_does_not_move(system: _System) -> None:
    unit = system.add("s1", PRINTS_AND_DIES)
    first = unit.spec.address
    with pytest.raises(SupervisorError, match="about to die"):
        system.follow(system.operations.bring_up())
    assert unit.spec.address == first


def test_a_server_moves_a_bounded_number_of_times(system: _System) -> None:
    unit = system.add("s1", PRINTS_AND_DIES)
    seen = []

    def find_holder(address: Address) -> str:
        seen.append(address)
        return "redis (pid 4711)"

    system.holder_of = find_holder
    with pytest.raises(SupervisorError, match="about to die"):
        system.follow(system.operations.bring_up())
    assert len(set(seen)) == len(seen) == MAX_MOVES
    assert unit.spec.address not in seen


# Stopping.


def test_a_stop_during_a_pending_restart_wins_and_stays(system: _System) -> None:
    brought_up(system, "w1")
    system.crash("w1")
    assert system.state("w1") is UnitState.RESTARTING
    system.follow(system.operations.stop(["w1"]))
    assert system.state("w1") is UnitState.STOPPED
    system.now += 1000.0
    system.tick()
    assert system.unit("w1").process is None
    assert system.state("w1") is UnitState.STOPPED


def test_servers_end_before_workers(system: _System) -> None:
    brought_up(system, "w1")
    system.add("s1", STUBBORN if os.name == "posix" else LIVES)
    system.follow(system.operations.start(["s1"]))
    steps = system.operations.stop(["all"])
    assert not system.step(steps)
    assert system.state("s1") is UnitState.STOPPING
    assert system.state("w1") is UnitState.READY
    system.now += STOP_TIMEOUT
    system.follow(steps)
    assert (system.state("s1"), system.state("w1")) == (UnitState.STOPPED, UnitState.STOPPED)


@posix
def test_what_ignores_the_signal_is_killed_with_its_group_when_its_time_is_over(system: _System) -> None:
    brought_up(system, "w1", program=STUBBORN_WITH_A_CHILD)
    wait_until(lambda: system.output("w1").count("here") == 2, "the child's child")
    steps = system.operations.stop(["w1"], StopTimeout(10.0))
    assert not system.step(steps)
    assert system.unit("w1").status(system.now).kill_in == pytest.approx(10.0)
    system.now += 4.0
    assert not system.step(steps)
    assert system.unit("w1").status(system.now).kill_in == pytest.approx(6.0)
    system.now += 5.9
    assert not system.step(steps)
    assert len(process_identity.processes_of(system.home)) == 2
    system.now += 0.1
    system.follow(steps)
    assert system.unit("w1").status(system.now).kill_in is None
    wait_until(lambda: not process_identity.processes_of(system.home), "the group to end")


@posix
def test_a_second_stop_with_timeout_zero_kills_at_once(system: _System) -> None:
    brought_up(system, "w1", program=STUBBORN)
    first, second = system.operations.stop(["w1"], StopTimeout(100.0)), system.operations.stop(["w1"], StopTimeout(0.0))
    assert not system.step(first)
    system.step(second)
    system.follow(first)
    assert system.state("w1") is UnitState.STOPPED


@posix
def test_a_unit_has_the_time_to_stop_that_it_was_given(system: _System) -> None:
    unit = system.add("w1", STUBBORN)
    unit.spec = replace(unit.spec, stop_timeout=3.0)
    system.follow(system.operations.bring_up())
    steps = system.operations.stop(["w1"], StopTimeout(50.0, for_all=False))
    assert not system.step(steps)
    assert unit.status(system.now).kill_in == pytest.approx(3.0)
    system.step(system.operations.stop(["w1"], StopTimeout(2.0)))
    assert unit.status(system.now).kill_in == pytest.approx(2.0)
    system.now += 2.0
    system.follow(steps)


def test_a_start_that_is_stopped_meanwhile_says_so(system: _System) -> None:
    system.add("w1")
    system.unready.add("w1")
    starting = system.operations.start(["w1"])
    assert not system.step(starting)
    system.follow(system.operations.stop(["w1"]))
    with pytest.raises(SupervisorError, match="w1 was stopped before it was ready"):
        system.step(starting)
    assert system.state("w1") is UnitState.STOPPED


@posix
def test_a_stop_that_is_overtaken_by_a_start_says_so(system: _System) -> None:
    brought_up(system, "w1", program=STUBBORN)
    stopping = system.operations.stop(["w1"])
    assert not system.step(stopping)
    starting = system.operations.start(["w1"])
    system.step(starting)
    with pytest.raises(SupervisorError, match="w1 was started again before it had stopped"):
        system.step(stopping)


# Restarting and killing.


def test_a_restart_goes_from_one_to_the_next(system: _System) -> None:
    brought_up(system, "w1", "w2")
    former = [system.pid("w1"), system.pid("w2")]
    system.unready.add("w1")
    steps = system.operations.restart(["workers"])
    system.follow_until(steps, lambda: system.pid("w1") not in {None, former[0]}, "the first to be started again")
    assert system.pid("w2") == former[1]
    assert system.state("w2") is UnitState.READY
    system.unready.clear()
    system.follow(steps)
    assert not {system.pid("w1"), system.pid("w2")} & {*former, None}


def test_what_an_operator_kills_is_started_again_and_not_counted(system: _System) -> None:
    brought_up(system, "w1", "w2")
    other = system.pid("w2")
    for _ in range(MAX_DEATHS + 2):
        former = system.pid("w1")
        system.follow(system.operations.kill(["w1"]))
        assert system.state("w1") is UnitState.RESTARTING
        system.now += 0.7
        system.tick_until(lambda: system.unit("w1").start_completed, "the worker to be restarted")
        assert system.pid("w1") != former
    assert system.unit("w1").status(system.now).restarts == MAX_DEATHS + 2
    assert system.pid("w2") == other


def test_killing_what_does_not_run_is_done_at_once(system: _System) -> None:
    system.add("w1")
    assert system.step(system.operations.kill(["w1"]))


@pytest.mark.parametrize("name", ["start", "stop", "restart", "kill"])
def test_an_unknown_name_is_refused_before_anything_happens(system: _System, name: str) -> None:
    brought_up(system, "w1")
    pid = system.pid("w1")
    operations: dict[str, Callable[[Sequence[str]], Steps]] = {
        "start": system.operations.start,
        "stop": system.operations.stop,
        "restart": system.operations.restart,
        "kill": system.operations.kill,
    }
    with pytest.raises(SupervisorError, match="there is no process w7"):
        system.step(operations[name](["w1", "w7"]))
    assert (system.pid("w1"), system.state("w1")) == (pid, UnitState.READY)


# Scaling.


def test_scaling_up_adds_the_next_numbers_and_waits_until_they_are_ready(system: _System) -> None:
    brought_up(system, "s1", "w1")
    former = [system.pid("s1"), system.pid("w1")]
    system.follow(system.operations.scale(3, 3))
    assert system.names() == ["s1", "s2", "s3", "w1", "w2", "w3"]
    assert all(unit.state is UnitState.READY for unit in system.units)
    assert [system.pid("s1"), system.pid("w1")] == former
    assert len(set(system.units.server_addresses)) == 3


@pytest.mark.skipif(REBALANCE is None, reason="there is no signal for it")
def test_clients_of_the_former_servers_reconnect_when_one_is_added(system: _System) -> None:
    brought_up(system, "s1", "w1")
    system.follow(system.operations.scale(2, None))
    wait_until(lambda: "rebalance" in system.output("s1"), "the signal")
    assert "rebalance" not in system.output("s2")
    assert "rebalance" not in system.output("w1")


def test_scaling_down_ends_the_highest_numbers_and_forgets_them(system: _System) -> None:
    brought_up(system, "s1", "s2", "s3", "w1", "w2", "w3")
    former = [system.pid("s1"), system.pid("w1")]
    system.follow(system.operations.scale(1, 1))
    assert system.names() == ["s1", "w1"]
    assert [system.pid("s1"), system.pid("w1")] == former
    assert len(process_identity.processes_of(system.home)) == 2


def test_scaling_one_kind_leaves_the_other_alone(system: _System) -> None:
    brought_up(system, "s1", "w1", "w2")
    system.follow(system.operations.scale(None, 1))
    assert system.names() == ["s1", "w1"]
    system.follow(system.operations.scale(None, 0))
    assert system.names() == ["s1"]


def test_scaling_starts_what_was_stopped_below_the_number(system: _System) -> None:
    brought_up(system, "w1", "w2")
    system.follow(system.operations.stop(["w1"]))
    system.follow(system.operations.scale(None, 2))
    assert system.names() == ["w1", "w2"]
    assert system.state("w1") is UnitState.READY


def test_what_is_scaled_away_is_not_started_again_when_it_had_just_died(system: _System) -> None:
    brought_up(system, "w1", "w2")
    system.crash("w2")
    system.follow(system.operations.scale(None, 1))
    system.now += 1000.0
    system.tick()
    assert system.names() == ["w1"]
    assert len(process_identity.processes_of(system.home)) == 1


def test_nginx_without_any_server_is_refused(system: _System, tmp_path: Path) -> None:
    brought_up(system, "s1", "w1")
    balancer = Balancer(Path("nginx"), tmp_path / "nginx", Address("127.0.0.1", 7100))
    with pytest.raises(SupervisorError, match="at least one server"):
        system.step(system.make_operations(balancer).scale(0, 5))
    assert system.names() == ["s1", "w1"]
    assert all(unit.state is UnitState.READY for unit in system.units)


def test_without_nginx_the_last_server_may_go(system: _System) -> None:
    brought_up(system, "s1", "w1")
    system.follow(system.operations.scale(0, None))
    assert system.names() == ["w1"]


# Several operations at once.


def test_an_operation_that_waits_does_not_delay_the_restart_of_others(system: _System) -> None:
    brought_up(system, "w1")
    system.add("d1")
    system.unready.add("d1")
    steps = system.operations.start(["d1"])
    assert not system.step(steps)
    former = system.pid("w1")
    system.crash("w1")
    system.now += 1.0
    system.follow_until(steps, lambda: system.unit("w1").start_completed, "the worker to be restarted")
    assert system.pid("w1") != former
    with contextlib.closing(steps):
        assert system.state("d1") is UnitState.STARTING
