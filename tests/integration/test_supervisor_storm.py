"""The supervisor under load while its processes, and itself, are killed, or can't run at all."""

import itertools
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.addresses import Address
from core.supervisor.processes import process_identity
from core.supervisor.processes.restart_policy import MAX_DEATHS
from core.supervisor.status import SystemStatus, UnitState, UnitStatus
from tests.integration.loaded import under_load
from tests.integration.supervised import Supervised, kill, pid_of, settled, submit
from tests.services.listening import listening
from tests.services.rabbitmq import find_programs
from tests.services.waiting import wait_until

ROUNDS = 50
"""The number of kills."""

SUPERVISOR_KILLS = 10
RESTART_TIMEOUT = 120.0

BREAKABLE = """
from pathlib import Path
from core.tasks import task

if Path({flag!r}).exists():
    raise RuntimeError("this module is broken")


@task("mine")
def mine(payload: str) -> str:
    return payload
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def all_well(system: Supervised) -> bool:
    return settled(system.status())


def wait_for_another(system: Supervised, name: str, former: int | None) -> None:
    """Wait until a killed process was replaced, and everything is ready again."""

    def restarted() -> bool:
        report = system.status()
        return settled(report) and pid_of(report, name) not in {None, former}

    wait_until(restarted, f"{name} to come back", RESTART_TIMEOUT)


def unit_of(system: Supervised, name: str) -> UnitStatus:
    report = system.status()
    assert report is not None
    return next(unit for unit in report.processes if unit.name == name)


def pids(report: SystemStatus | None) -> dict[str, int | None]:
    assert report is not None
    return {unit.name: unit.pid for unit in report.processes}


def listeners(report: SystemStatus) -> set[int]:
    """Return the ports that the processes of a system listen on."""
    tops = [psutil.Process(unit.pid) for unit in report.processes if unit.pid is not None]
    assert len(tops) == len(report.processes)
    found = listening(each for top in tops for each in (top, *top.children(recursive=True)))
    assert {host for host, _ in found} <= {"127.0.0.1", "::1"}, found
    return {port for _, port in found}


@pytest.mark.rabbitmq
@pytest.mark.nginx
@pytest.mark.timeout(600)
def test_every_killed_process_is_restarted_and_no_task_is_lost(system: Supervised, nginx_program: Path) -> None:
    assert nginx_program.exists()
    assert find_programs()
    report = system.up(3, 4, "--nginx", "--broker", "local")
    names = ["epmd", "rabbitmq", "s1", "s2", "s3", "w1", "w2", "w3", "w4", "nginx"]
    assert [unit.name for unit in report.processes] == names
    assert report.ready
    assert submit(report.listen, "wordcount", "uno dos tres") == 3
    ports = listeners(report)
    assert {Address.parse(unit.address).port for unit in report.processes if unit.address} <= ports

    chance = random.Random(20261125)  # noqa: S311 - it chooses what to kill
    with under_load(system, report.listen) as load:
        # Each is killed equally often, in random order; RabbitMQ, whose start costs most, half as often.
        decks = itertools.cycle([names, [name for name in names if name != "rabbitmq"]])
        deck: list[str] = []
        for _ in range(ROUNDS):
            if not deck:
                deck = list(next(decks))
                chance.shuffle(deck)
            name = deck.pop()
            former = pid_of(system.status(), name)
            kill(former)
            wait_for_another(system, name, former)
    assert len(load.accepted) > ROUNDS
    system.down()
    system.assert_nothing_left(report)
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, port


@pytest.mark.nginx
@pytest.mark.timeout(300)
def test_a_new_supervisor_goes_on_after_each_kill_of_the_former(system: Supervised, nginx_program: Path) -> None:
    assert nginx_program.exists()
    report = system.up(2, 2, "--nginx")
    everything = {identity.pid for identity in process_identity.processes_of(system.home)} - {report.pid}
    with under_load(system, report.listen):
        for _ in range(SUPERVISOR_KILLS):
            system.kill_supervisor()
            again = system.up(2, 2, "--nginx")
            assert pids(again) == pids(report)
            assert {identity.pid for identity in process_identity.processes_of(system.home)} - {again.pid} == everything
            assert all_well(system)
    # An adopted process is restarted and stopped like any other.
    former = pid_of(report, "w1")
    kill(former)
    wait_for_another(system, "w1", former)
    assert system.down().stopped == ("s1", "s2", "w1", "w2", "nginx")
    system.assert_nothing_left(report)


def test_a_new_supervisor_keeps_what_operators_have_changed(system: Supervised) -> None:
    system.up(1, 1)
    assert system.run("scale", "servers=2", "workers=3").code == 0
    assert system.run("stop", "w2").code == 0
    before = pids(system.status())
    assert before["w2"] is None
    system.kill_supervisor()
    again = system.up(1, 1)
    assert pids(again) == before
    assert unit_of(system, "w2").state is UnitState.STOPPED
    assert system.run("start", "w2").code == 0
    assert unit_of(system, "w2").state is UnitState.READY


def test_only_processes_with_changed_settings_are_replaced_after_a_kill(system: Supervised) -> None:
    report = system.up(1, 1)
    system.kill_supervisor()
    again = system.up(1, 1, "--lab")
    assert pid_of(again, "s1") == pid_of(report, "s1")
    assert pid_of(again, "w1") != pid_of(report, "w1")
    assert submit(again.listen, "echo", "both work") == "both work"


def test_a_system_drains_when_its_supervisor_is_killed_if_set(system: Supervised) -> None:
    report = system.up(1, 1, "--when-killed", "drain")
    assert submit(report.listen, "echo", "before") == "before"
    system.kill_supervisor()
    wait_until(lambda: not system.home.state.exists(), "everything to drain", RESTART_TIMEOUT)
    assert process_identity.processes_of(system.home) == []
    log = system.home.log("guard")
    wait_until(lambda: "ended: s1, w1" in log.read_text("utf-8"), "the guard to say so")


@pytest.mark.timeout(240)
def test_a_task_module_that_breaks_is_given_up_and_harms_no_other(system: Supervised, tmp_path: Path) -> None:
    flag, module = tmp_path / "broken", tmp_path / "mine.py"
    module.write_text(BREAKABLE.format(flag=str(flag)), "utf-8")
    report = system.up(1, 2, "--tasks", str(module))
    flag.touch()
    kill(pid_of(report, "w1"))
    wait_until(lambda: unit_of(system, "w1").state is UnitState.CRASHED, "the worker to be given up", RESTART_TIMEOUT)
    crashed = unit_of(system, "w1")
    # The first death was that of a worker that had been ready.
    assert crashed.restarts == MAX_DEATHS + 1
    assert f"died {MAX_DEATHS + 1} times" in crashed.note
    status = system.run("status")
    assert status.code == 1
    assert "stays down" in " ".join(status.output.split())
    log = system.home.log("w1").read_text("utf-8")
    assert log.count("this module is broken") <= 2 * (MAX_DEATHS + 1)
    assert unit_of(system, "w2").restarts == 0
    assert submit(report.listen, "mine", "the other works") == "the other works"

    ended = system.run("start", "w1")
    assert ended.code == 1
    assert "this module is broken" in ended.errors
    flag.unlink()
    assert system.run("start", "w1").code == 0
    assert all_well(system)


def test_a_module_that_cannot_be_loaded_at_all_is_shown_with_its_last_lines(system: Supervised, tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("raise RuntimeError('this module is broken')\n", "utf-8")
    ended = system.run("up", "--detach", *system.sizes(1, 1), "--tasks", str(module))
    assert ended.code == 1
    assert "w1 ended with code" in ended.errors
    assert "this module is broken" in ended.errors
    assert process_identity.processes_of(system.home) == []
