"""A supervisor that dies in the middle of an operation, and the loss of its files while it runs."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.supervisor import state
from core.supervisor.processes import process_identity
from core.supervisor.state import ChildRecords
from core.supervisor.status import SystemStatus, UnitState
from tests.integration import kinds
from tests.integration.commanding import Command
from tests.integration.supervised import PATIENCE, Supervised, kill, pid_of, settled, submit
from tests.services.suspension import suspend
from tests.services.waiting import wait_until


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def recorded(system: Supervised) -> dict[str, int]:
    """Return the process ids in the supervisor's file."""
    records = state.load(system.home.children, ChildRecords) or ChildRecords()
    return {record.name: record.identity.pid for record in records.children}


@contextmanager
def deleted(system: Supervised, report: SystemStatus) -> Iterator[None]:
    """Delete the supervisor's directory. A supervisor that is not found any more is ended at last."""
    identity = process_identity.identify(report.pid)
    assert identity is not None
    shutil.rmtree(system.home.path)
    try:
        yield
    finally:
        process_identity.kill(identity)


def names(report: SystemStatus) -> list[str]:
    return [unit.name for unit in report.processes]


def is_stopping(system: Supervised, name: str) -> bool:
    report = system.status()
    return report is not None and name in [unit.name for unit in report.stopping]


def hold_the_worker(system: Supervised, report: SystemStatus, gate: Path) -> None:
    """Give a worker a task that lasts until the gate exists."""
    trace = system.home.directory / "trace"
    submit(report.listen, "gated", {"trace": str(trace), "gate": str(gate)}, wait=0.0)
    wait_until(trace.exists, "the task to run", PATIENCE)


def test_a_supervisor_that_dies_while_it_starts_is_followed(system: Supervised) -> None:
    with Command(system, "up", "--detach", *system.sizes(1, 2)) as starting:
        wait_until(lambda: "s1" in recorded(system), "the first process", PATIENCE)
        system.kill_supervisor()
        assert starting.end().code != 0
    report = system.up(1, 2)
    assert names(report) == ["s1", "w1", "w2"]
    assert settled(report)
    assert len(system.programs()) == 3
    system.down()
    system.assert_nothing_left(report)


def test_a_supervisor_that_dies_while_it_scales_is_followed(system: Supervised) -> None:
    system.up(1, 1)
    with Command(system, "scale", "workers=3") as scaling:
        wait_until(lambda: "w2" in recorded(system), "a new worker", PATIENCE)
        system.kill_supervisor()
        assert scaling.end().code == 1
    report = system.up(1, 1)
    assert names(report) == ["s1", "w1", "w2", "w3"]
    assert len(system.programs()) == 4


def test_a_supervisor_that_dies_while_it_restarts_or_takes_down_is_followed(system: Supervised, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    report = system.up(1, 1, "--tasks", kinds.__name__)
    hold_the_worker(system, report, gate)
    with Command(system, "restart", "w1") as restarting:
        wait_until(lambda: is_stopping(system, "w1"), "the worker to be asked to end", PATIENCE)
        system.kill_supervisor()
        assert restarting.end().code == 1
    with Command(system, "up", "--detach", *system.sizes(1, 1)) as following:
        gate.touch()
        assert following.end().code == 0

    def is_back() -> bool:
        now = system.status()
        return settled(now) and pid_of(now, "w1") not in {None, pid_of(report, "w1")}

    wait_until(is_back, "another worker", PATIENCE)
    now = system.status()
    assert now is not None
    assert pid_of(now, "s1") == pid_of(report, "s1")
    suspend(pid_of(now, "w1") or 0)
    with Command(system, "down", "--timeout", "2") as stopping:
        wait_until(lambda: is_stopping(system, "w1"), "the stop to begin", PATIENCE)
        system.kill_supervisor()
        assert stopping.end().code == 0
    system.assert_nothing_left(now)


def test_files_that_could_not_be_written_are_written_later_and_it_is_said_meanwhile(system: Supervised) -> None:
    report = system.up(0, 1)
    system.home.children.unlink()
    system.home.children.mkdir()
    kill(pid_of(report, "w1"))

    def complains() -> bool:
        now = system.status()
        return now is not None and settled(now) and any("out of date: can't write" in remark for remark in now.remarks)

    wait_until(complains, "the failure to be shown", PATIENCE)
    system.home.children.rmdir()
    wait_until(lambda: not complains(), "the complaint to end", PATIENCE)
    now = system.status()
    assert now is not None
    assert now.remarks == ()
    assert recorded(system) == {"w1": pid_of(now, "w1")}
    log = system.home.log("supervisor").read_text("utf-8")
    assert log.count("out of date") == 1
    assert "up to date again" in log


def test_a_supervisor_whose_directory_is_deleted_makes_it_again(system: Supervised) -> None:
    report = system.up(1, 1)
    with deleted(system, report):
        wait_until(lambda: settled(system.status()), "the supervisor to be found again", PATIENCE)
        again = system.up(1, 1)
        assert again.pid == report.pid
        assert recorded(system) == {"s1": pid_of(again, "s1"), "w1": pid_of(again, "w1")}
        assert system.run("restart", "w1").code == 0
        assert all(unit.state is UnitState.READY for unit in system.up(1, 1).processes)
        system.down()
        system.assert_nothing_left(report)


def test_a_supervisor_that_finds_another_in_its_place_leaves_the_processes_to_that_one(system: Supervised) -> None:
    report = system.up(0, 1)
    suspend(report.pid)
    with deleted(system, report):
        other = system.up(0, 1)
        assert other.pid != report.pid
        os.kill(report.pid, signal.SIGCONT)
        wait_until(lambda: process_identity.identify(report.pid) is None, "the former supervisor to end", PATIENCE)
        now = system.status()
        assert settled(now)
        assert now is not None
        assert [(unit.name, unit.pid, unit.restarts) for unit in now.processes] == [("w1", pid_of(other, "w1"), 0)]
