"""The supervisor and its real children: start, readiness, kills, restarts, end."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.monitor.snapshot import Presence
from core.repository.journal import Journal
from core.supervisor import commands
from core.supervisor.lock import is_held
from core.supervisor.processes import process_identity
from core.supervisor.status import Phase, UnitState
from tests.integration.supervised import PATIENCE, Supervised, kill, pid_of, presences, settled, submit
from tests.services.ports import neighbouring_ports
from tests.services.suspension import suspend
from tests.services.waiting import wait_until

RESTART_TIMEOUT = 60.0
TOP = Path(__file__).parents[2]

RACES = 50
"""Races between two supervisors that start at the same moment in one directory."""

DETACHED_RACES = 5
"""The same of two commands that each start a supervisor in the background: an interpreter's start spreads those."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def test_up_runs_tasks_and_down_leaves_nothing(system: Supervised) -> None:
    system.python = sys.executable
    report = system.up(2, 2)
    assert [unit.name for unit in report.processes] == ["s1", "s2", "w1", "w2"]
    assert report.ready
    assert report.listen == report.servers[0]
    for address in report.servers:
        assert submit(address, "wordcount", "uno dos tres") == 3
    assert system.run("status").code == 0
    now = system.run("status", "--json").report
    assert [(unit.name, unit.pid) for unit in now.processes] == [(unit.name, unit.pid) for unit in report.processes]

    stopped = system.down()
    assert stopped.stopped == ("s1", "s2", "w1", "w2")
    assert stopped.killed == ()
    system.assert_nothing_left(report)
    assert not is_held(system.home.lock)


def test_down_and_status_where_nothing_runs(system: Supervised) -> None:
    ended = system.run("down")
    assert (ended.code, ended.output) == (0, "nothing is running here\n")
    ended = system.run("status")
    assert ended.code == 1
    assert "nothing is running" in ended.output
    ended = system.run("status", "--json")
    assert (ended.code, ended.output) == (1, "null\n")
    assert list(system.home.directory.iterdir()) == []


@pytest.mark.parametrize("name", ["s1", "w1"])
def test_a_killed_process_is_restarted(system: Supervised, name: str) -> None:
    report = system.up()
    former = pid_of(report, name)
    kill(former)
    wait_until(
        lambda: settled(now := system.status()) and pid_of(now, name) != former, "a new process", RESTART_TIMEOUT
    )
    now = system.status()
    assert now is not None
    assert [unit.restarts for unit in now.processes] == [int(unit.name == name) for unit in report.processes]
    assert submit(now.listen, "echo", "still here") == "still here"


def test_a_process_that_hangs_appears_in_the_status(system: Supervised) -> None:
    report = system.up()
    worker = pid_of(report, "w1")
    assert worker is not None
    suspend(worker)
    wait_until(lambda: not settled(system.status()), "the silence to be noticed", RESTART_TIMEOUT)
    ended = system.run("status")
    assert ended.code == 1
    assert "silent" in ended.output
    stopped = system.down("--timeout", "3")
    assert stopped.killed == ("w1",)
    system.assert_nothing_left(report)
    assert presences(system) == {"s1": Presence.LEFT, "w1": Presence.LEFT}


@pytest.mark.nginx
def test_nginx_distributes_the_connections_and_is_restarted(nginx_program: Path, system: Supervised) -> None:
    report = system.up(2, 1, "--nginx")
    assert [unit.name for unit in report.processes] == ["s1", "s2", "w1", "nginx"]
    assert report.listen not in report.servers
    assert submit(report.listen, "wordcount", "uno dos tres") == 3

    # Its worker processes outlive the master, and hold the port that the next one needs.
    master = pid_of(report, "nginx")
    kill(master)
    wait_until(
        lambda: settled(now := system.status()) and pid_of(now, "nginx") != master, "a new NGINX", RESTART_TIMEOUT
    )
    assert submit(report.listen, "wordcount", "uno dos tres") == 3

    assert system.down().stopped == ("s1", "s2", "w1", "nginx")
    system.assert_nothing_left(report)


def test_a_second_up_attaches_to_the_first(system: Supervised) -> None:
    report = system.up(1, 0)
    again = system.up(1, 0)
    assert (again.pid, again.listen) == (report.pid, report.listen)
    attached = system.start_in_front(1, 0)
    assert attached.pid == report.pid
    system.interrupt()
    assert system.end_of_foreground() == 0
    assert settled(system.status())

    assert system.start_in_front(1, 0).pid == report.pid
    system.down()
    assert system.end_of_foreground() == 0


@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_an_up_with_other_settings_is_an_error_that_names_the_differences(system: Supervised, flags: list[str]) -> None:
    report = system.up(1, 0)
    ended = system.run("up", *system.sizes(2, 0), *flags)
    assert ended.code == 4
    assert f"pid {report.pid}" in ended.errors
    assert report.listen in ended.errors
    assert "--servers: 1 runs, 2 was asked for (`cauce scale servers=2` changes that)" in ended.errors
    assert system.run("up", *system.sizes(1, 0), "--no-lab", *flags, "--detach").code == 0
    ended = system.run("up", *system.sizes(1, 0), "--lab", *flags)
    assert ended.code == 4
    assert "--lab: off runs, on was asked for" in ended.errors
    assert "then `cauce up --servers 1 --workers 0 --concurrency 2 --listen 127.0.0.1:0" in ended.errors
    assert settled(system.status())


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("flags", "races"), [((), RACES), (("--detach",), DETACHED_RACES)])
def test_of_many_that_start_at_once_one_runs_and_the_others_attach(
    system: Supervised, flags: tuple[str, ...], races: int
) -> None:
    for _ in range(races):
        with system.begin(0, 0, *flags) as one, system.begin(0, 0, *flags) as other:
            owners = {one.report().pid, other.report().pid}
            now = system.status()
            assert now is not None
            assert owners == {now.pid}
            commands.down(system.home, PATIENCE)
            assert (one.end(), other.end()) == (0, 0)
        assert process_identity.processes_of(system.home) == []


def test_a_taken_port_is_skipped_and_its_holder_named(system: Supervised) -> None:
    first, taken = neighbouring_ports()
    with socket.create_server(("127.0.0.1", taken)):
        flags = ("--detach", "--json", "--servers", "2", "--workers", "0", "--server-port", str(first))
        ended = system.run("up", *flags)
        assert ended.code == 0, ended.errors
        report = ended.report
    assert report.servers[0] == f"127.0.0.1:{first}"
    assert str(taken) not in report.servers[1]
    assert f"127.0.0.1:{taken} is held by" in report.remarks[0]
    assert f"(pid {os.getpid()})" in report.remarks[0]


@pytest.mark.parametrize("flags", [[], ["--detach"]])
@pytest.mark.parametrize("how", ["--listen", "--server-port"])
def test_a_taken_port_that_was_given_is_an_error(system: Supervised, how: str, flags: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = system.run("up", how, f"127.0.0.1:{port}" if how == "--listen" else str(port), *flags)
    assert ended.code == 1
    assert f"127.0.0.1:{port} is held by" in ended.errors
    assert f"(pid {os.getpid()})" in ended.errors
    assert how in ended.errors
    assert process_identity.processes_of(system.home) == []


@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_a_server_that_cannot_start_is_shown_and_nothing_is_left(system: Supervised, flags: list[str]) -> None:
    system.environment["CAUCE_SERVER_MAX_LINE"] = "plenty"
    ended = system.run("up", *system.sizes(1, 1), *flags)
    assert ended.code == 1
    assert "s1 ended with code 2 before everything was ready; its last lines" in ended.errors
    assert "CAUCE_SERVER_MAX_LINE: 'plenty' must be a whole number" in ended.errors
    assert process_identity.processes_of(system.home) == []
    assert not is_held(system.home.lock)
    assert not system.home.state.exists()


@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_a_broker_that_cannot_be_reached_is_an_error_before_anything_starts(
    system: Supervised, flags: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    system.environment["CAUCE_BROKER"] = f"amqp://me:secret@127.0.0.1:{port}/"
    ended = system.run("up", *system.sizes(1, 1), *flags)
    assert ended.code == 3
    assert str(port) in ended.errors
    assert "secret" not in ended.errors
    assert not system.home.log("s1").exists()
    assert process_identity.processes_of(system.home) == []


def test_children_of_a_supervisor_that_was_killed_go_on_until_down_ends_them(system: Supervised) -> None:
    report = system.up()
    system.kill_supervisor()
    assert submit(report.listen, "wordcount", "uno dos tres") == 3
    ended = system.run("status")
    assert ended.code == 1
    assert "s1 (pid" in ended.output
    assert system.down().stopped == ("s1", "w1")
    system.assert_nothing_left(report)


def test_an_interrupt_takes_everything_down_in_order(system: Supervised) -> None:
    report = system.start_in_front()
    assert report.ready
    system.interrupt()
    assert system.end_of_foreground() == 0
    system.assert_nothing_left(report)


def test_a_second_interrupt_kills_at_once(system: Supervised) -> None:
    report = system.start_in_front()
    assert submit(report.listen, "sleep", 600, wait=0.0) in {"accepted", "queued", "running"}
    log = system.home.log("w1")
    system.interrupt()
    wait_until(lambda: "stopping" in log.read_text("utf-8"), "the worker to be asked to stop")
    system.interrupt()
    assert system.end_of_foreground() == 0
    system.assert_nothing_left(report)


def test_a_stop_during_the_start_wins(system: Supervised) -> None:
    slow = system.home.directory / "slow.py"
    slow.write_text("import threading\nthreading.Event().wait()\n", "utf-8")
    starting = subprocess.Popen(
        [
            *(sys.executable, "-m", "core.supervisor", "up", "--dir", str(system.home.directory)),
            *(*system.sizes(1, 1), "--tasks", str(slow)),
        ],
        env=system.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(system.home.state.exists, "the supervisor to start", RESTART_TIMEOUT)
    system.down()
    assert starting.wait(RESTART_TIMEOUT) == 1
    assert process_identity.processes_of(system.home) == []


def test_a_supervisor_that_hangs_is_ended_too(system: Supervised) -> None:
    report = system.up()
    suspend(report.pid)
    stopped = system.down("--timeout", "5")
    assert set(stopped.stopped + stopped.killed) == {"s1", "w1"}
    system.assert_nothing_left(report)


def test_redispatch_prints_the_number_of_tasks_and_needs_a_journal(system: Supervised) -> None:
    assert system.run("sql", "SELECT 1").code == 5
    ended = system.run("redispatch")
    assert ended.code == 2
    assert "there is no journal" in ended.errors
    report = system.up(1, 0)
    assert submit(report.listen, "echo", 1, wait=0.0) in {"accepted", "queued"}
    with Journal("resultados.db", system.home.directory).open_readonly() as journal:
        wait_until(lambda: journal.counts()["queued"] == 1, "the task to be queued")
    assert system.run("redispatch").output.startswith("1 ")
    selected = system.run("sql", "SELECT kind, state FROM tasks", "--json")
    assert (selected.code, json.loads(selected.output)["kind"]) == (0, "echo")
    refused = system.run("sql", "DELETE FROM tasks")
    assert (refused.code, "not authorized" in refused.errors) == (2, True)
    system.down()


def test_the_printed_nginx_configuration_is_the_file_of_this_repository(system: Supervised) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "core.supervisor", "nginx-conf"], capture_output=True, env=system.environment, check=True
    )
    assert ended.stdout == (TOP / "nginx.conf").read_bytes()


def test_phases_and_states_have_the_names_that_others_read() -> None:
    assert (str(Phase.RUNNING), str(UnitState.READY)) == ("running", "ready")
