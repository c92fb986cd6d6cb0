"""Scaling while tasks and long connections are under way."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.addresses import Address
from core.client import Client
from core.supervisor.nginx.executable import CONFIGURATION
from core.supervisor.processes import process_identity
from tests.integration import kinds
from tests.integration.commanding import Command
from tests.integration.loaded import under_load
from tests.integration.programs import find
from tests.integration.supervised import Supervised, pid_of, settled, submit
from tests.integration.wire import Wire
from tests.services.waiting import wait_until

PATIENCE = 60.0
ENOUGH = 50
"""Tasks that must be accepted before the next change, so that each change happens under load."""

LONG_CONNECTIONS = 8

MINE = """
from core.tasks import task


@task("mine")
def mine(payload: str) -> str:
    return payload
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def names(system: Supervised) -> list[str]:
    report = system.status()
    assert report is not None
    return [unit.name for unit in report.processes]


def configured(system: Supervised) -> tuple[str, ...]:
    """Return the servers in NGINX's configuration."""
    text = (system.home.nginx / CONFIGURATION).read_text("utf-8")
    return tuple(re.findall(r"^ +server (\S+) max_fails", text, re.MULTILINE))


def changed_lines(change: str, sign: str) -> set[str]:
    """Return the addresses in the added or removed lines of a diff."""
    return set(re.findall(rf"^\{sign} +server (\S+) max_fails", change, re.MULTILINE))


@pytest.mark.nginx
@pytest.mark.timeout(180)
def test_servers_and_workers_come_and_go_under_load_and_no_submit_fails(
    system: Supervised, nginx_program: Path
) -> None:
    assert nginx_program.exists()
    one = system.up(1, 1, "--nginx")
    assert configured(system) == one.servers
    with under_load(system, one.listen) as load:

        def some_more_are_accepted() -> None:
            before = len(load.accepted)
            wait_until(lambda: len(load.accepted) > before + ENOUGH or bool(load.errors), "further tasks", PATIENCE)

        three = system.run("scale", "servers=3", "workers=3", "--json").report
        assert settled(three)
        assert [unit.name for unit in three.processes] == ["s1", "s2", "s3", "w1", "w2", "w3", "nginx"]
        assert all(pid_of(three, unit.name) == unit.pid for unit in one.processes)
        assert configured(system) == three.servers
        assert changed_lines(three.nginx_change, "+") == set(three.servers[1:])
        assert changed_lines(three.nginx_change, "-") == set()
        for address in three.servers:
            with Client(address) as client:
                assert client.submit("echo", address).result(PATIENCE) == address
        some_more_are_accepted()

        again = system.run("scale", "servers=1", "workers=1", "--json").report
        assert settled(again)
        assert [(unit.name, unit.pid) for unit in again.processes] == [(unit.name, unit.pid) for unit in one.processes]
        assert configured(system) == one.servers
        assert changed_lines(again.nginx_change, "-") == set(three.servers[1:])
        assert {identity.pid for identity in process_identity.processes_of(system.home)}.isdisjoint(
            {pid_of(three, name) for name in ("s2", "s3", "w2", "w3")}
        )
        some_more_are_accepted()

    # Each change was shown, and no process was killed.
    log = system.run("logs", "supervisor", "--lines", "1000").output
    assert log.count("NGINX's configuration changes") == 2
    assert all(address in log for address in three.servers[1:])
    assert "killed" not in log
    system.down()
    system.assert_nothing_left(three)


def test_a_worker_that_goes_finishes_its_tasks_first(system: Supervised, tmp_path: Path) -> None:
    trace, gate = tmp_path / "trace", tmp_path / "gate"
    report = system.up(1, 2, "--tasks", kinds.__name__)
    held = [f"held-{number}" for number in range(4)]
    with Wire(Address.parse(report.listen)) as wire:
        for name in held:
            wire.ok("submit", id=name, kind="gated", payload={"trace": str(trace), "gate": str(gate)})
        wait_until(lambda: trace.exists() and trace.read_text("utf-8").count("\n") == 4, "all to run", PATIENCE)
    with Command(system, "scale", "workers=1", "--json") as scaling:
        wait_until(lambda: stopping(system) == ["w2"], "the worker to be asked to end", PATIENCE)
        # The command names the process that it waits for, and the time left.
        table = " ".join(system.run("status").output.split())
        assert re.search(r"w2 stopping, killed in \d+ s", table), table
        assert scaling.process.poll() is None
        gate.touch()
        ended = scaling.end()
    assert [unit.name for unit in ended.report.processes] == ["s1", "w1"]
    assert sorted(trace.read_text("utf-8").split()) == held
    wait_until(lambda: ends(tmp_path, held) == ["done"] * 4, "the others to be done", PATIENCE)
    assert {task.worker for name in held if (task := find(tmp_path, name))} == {"w1", "w2"}
    assert "killed" not in system.run("logs", "supervisor").output


def stopping(system: Supervised) -> list[str]:
    report = system.status()
    return [unit.name for unit in report.stopping] if report else []


def ends(directory: Path, tasks: list[str]) -> list[str]:
    return [str(task.state) if (task := find(directory, name)) else "" for name in tasks]


@pytest.mark.nginx
@pytest.mark.timeout(120)
def test_long_connections_are_redistributed_when_a_server_is_added(system: Supervised, nginx_program: Path) -> None:
    assert nginx_program.exists()
    entrance = Address.parse(system.up(1, 0, "--nginx").listen)
    with ExitStack() as open_wires:
        wires = [open_wires.enter_context(Wire(entrance, PATIENCE)) for _ in range(LONG_CONNECTIONS)]
        assert {server_of(wire) for wire in wires} == {"s1"}
        assert system.run("scale", "servers=2").code == 0
        for wire in wires:
            # The client is asked to leave, and is served until it does.
            reason = wire.reply()["goaway"]["reason"]
            assert "reconnect" in reason
            assert wire.ok("stats")
            wire.close()
        wires = [open_wires.enter_context(Wire(entrance, PATIENCE)) for _ in range(LONG_CONNECTIONS)]
        found = [server_of(wire) for wire in wires]
        # Half each, except for a probe by the supervisor that NGINX counts at the same moment.
        assert min(found.count("s1"), found.count("s2")) >= LONG_CONNECTIONS // 2 - 1


def server_of(wire: Wire) -> str:
    return str(wire.ok("hello", client="long")["server"])


def test_every_former_server_asks_its_clients_to_reconnect_and_a_new_one_does_not(system: Supervised) -> None:
    report = system.up(2, 1)
    with ExitStack() as open_wires:
        former = [open_wires.enter_context(Wire(Address.parse(each), PATIENCE)) for each in report.servers]
        assert [server_of(wire) for wire in former] == ["s1", "s2"]
        report = system.run("scale", "servers=3", "--json").report
        new = open_wires.enter_context(Wire(Address.parse(report.servers[2]), PATIENCE))
        assert server_of(new) == "s3"
        for wire in former:
            assert "goaway" in wire.reply()
        # The reply shows that nothing was received before it.
        new.ok("stats")
        assert new.asides == []


def test_an_invalid_scale_is_refused_and_changes_nothing(system: Supervised) -> None:
    ended = system.run("scale", "servers=2")
    assert ended.code == 1
    assert "no supervisor runs in" in ended.errors
    report = system.up(1, 1)
    for size, complaint in (
        ("servers=many", "'servers=many' is neither servers=N nor workers=N"),
        ("servers=65", "servers"),
        ("nginx=2", "'nginx=2' is neither servers=N nor workers=N"),
    ):
        ended = system.run("scale", size)
        assert ended.code == 2, size
        assert complaint in ended.errors
    now = system.status()
    assert settled(now)
    assert now is not None
    assert [(unit.name, unit.pid) for unit in now.processes] == [(unit.name, unit.pid) for unit in report.processes]


@pytest.mark.nginx
def test_nginx_keeps_its_last_server(system: Supervised, nginx_program: Path) -> None:
    assert nginx_program.exists()
    report = system.up(2, 1, "--nginx")
    ended = system.run("scale", "servers=0", "workers=3")
    assert ended.code == 1
    assert "NGINX needs at least one server to send connections to" in ended.errors
    assert names(system) == ["s1", "s2", "w1", "nginx"]
    # A server that an operator stops gets no connections until it is started again.
    assert system.run("stop", "s2").code == 0
    assert configured(system) == report.servers[:1]
    assert submit(report.listen, "echo", "the other works") == "the other works"
    assert system.run("start", "s2").code == 0
    assert configured(system) == report.servers
    assert system.run("kill", "s2").code == 0
    assert configured(system) == report.servers


def test_a_scale_that_fails_gives_the_reason_and_keeps_the_former_processes(system: Supervised, tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(MINE, "utf-8")
    report = system.up(1, 1, "--tasks", str(module))
    module.write_text(f"{MINE}\nraise RuntimeError('this module is broken')\n", "utf-8")
    ended = system.run("scale", "workers=2")
    assert ended.code == 1
    assert "w2 ended with code" in ended.errors
    assert "this module is broken" in ended.errors
    assert submit(report.listen, "mine", "the former works") == "the former works"
    # The new worker is still wanted: it starts as soon as it can run.
    module.write_text(MINE, "utf-8")
    wait_until(lambda: settled(system.status()) and names(system) == ["s1", "w1", "w2"], "the other", PATIENCE)
