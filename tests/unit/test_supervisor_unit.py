"""One unit with a real process. The time is an argument."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from core.errors import JournalUnavailable, SupervisorError
from core.supervisor.home import Home
from core.supervisor.plan import MARK, ProcessKind, ProcessSpec
from core.supervisor.processes import process_identity
from core.supervisor.processes.process import UNKNOWN_EXIT, describe_exit
from core.supervisor.processes.readiness import Condition, ProbeTarget
from core.supervisor.processes.restart_policy import (
    FIRST_DELAY,
    HEALTHY,
    JITTER,
    MAX_DEATHS,
    MAX_DELAY,
    MAX_DELAY_AFTER_READY,
)
from core.supervisor.processes.unit import Unit
from core.supervisor.status import UnitState
from tests.services.waiting import wait_until

NOW = 1000.0
PRINTS_AND_DIES = "print('about to die', flush=True); raise SystemExit(3)"
LIVES = "import sys, time; print('here', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LIVES}"
HAS_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {LIVES!r}]); {LIVES}"


def spec_of(home: Home, program: str) -> ProcessSpec:
    return ProcessSpec(
        name="w1",
        kind=ProcessKind.WORKER,
        command=(sys.executable, "-c", program),
        environment={MARK: str(home.directory)},
    )


@contextmanager
def unit_of(
    directory: Path,
    program: str,
    hung_after: float = 0.0,
    before_start: Callable[[], None] = lambda: None,
    was_ready: Callable[[ProbeTarget], bool] = lambda _: False,
) -> Iterator[Unit]:
    home = Home(directory)
    home.create()
    unit = Unit(spec_of(home, program), home, os.environ, hung_after, before_start, was_ready)
    unit.start()
    try:
        yield unit
    finally:
        if unit.process:
            unit.process.kill()
            wait_until(unit.process.has_ended, "the child to end")
        wait_until(lambda: not process_identity.processes_of(home), "everything to end")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the directory of a running program")
def test_a_process_starts_although_the_directory_of_the_supervisor_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    with unit_of(tmp_path / "data", "import os; print(os.getcwd(), flush=True); raise SystemExit(3)") as unit:
        process = unit.process
        assert process is not None
        await_end(unit, NOW)
        assert process.last_output() == [str(tmp_path / "data")]


def await_end(unit: Unit, now: float) -> None:
    process = unit.process
    assert process is not None
    wait_until(process.has_ended, "the process to end")
    unit.tick(now)
    assert unit.process is None


def await_output(unit: Unit) -> None:
    wait_until(lambda: unit.process is not None and bool(unit.process.last_output()), "the process to be at work")


def make_ready(unit: Unit, now: float = NOW) -> None:
    target = unit.target()
    assert target is not None
    unit.observe(target, Condition(True), now)


def test_a_process_that_keeps_dying_is_restarted_and_then_given_up(tmp_path: Path) -> None:
    now = NOW
    with unit_of(tmp_path, PRINTS_AND_DIES) as unit:
        for death in range(MAX_DEATHS):
            await_end(unit, now)
            assert "w1 ended with code 3 before everything was ready" in unit.start_failure
            assert "about to die" in unit.start_failure
            assert unit.status(now).state is UnitState.RESTARTING
            unit.tick(now + 0.3)
            assert unit.process is None
            now += 9.7
            unit.tick(now)
            assert unit.status(now).restarts == death + 1
        await_end(unit, now)
        report = unit.status(now)
        assert report.state is UnitState.CRASHED
        assert report.pid is None
        assert "ended with code 3" in report.note
        assert f"died {MAX_DEATHS + 1} times" in report.note
        unit.tick(now + 1000)
        assert unit.process is None
        unit.start()
        assert unit.start_failure == ""
        assert unit.status(now).state is UnitState.STARTING


def test_a_process_that_was_ready_unseen_before_it_died_is_never_given_up(tmp_path: Path) -> None:
    asked: list[ProbeTarget] = []

    def was_ready(target: ProbeTarget) -> bool:
        asked.append(target)
        return True

    now = NOW
    with unit_of(tmp_path, PRINTS_AND_DIES, was_ready=was_ready) as unit:
        for death in range(MAX_DEATHS + 2):
            pid = unit.status(now).pid
            await_end(unit, now)
            assert asked[-1].identity.pid == pid
            assert unit.status(now).state is UnitState.RESTARTING
            now += 2 * MAX_DELAY_AFTER_READY
            unit.tick(now)
            assert unit.status(now).restarts == death + 1


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            "import os; os.kill(os.getpid(), 9)",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no signals"),
            id="killed",
        ),
        pytest.param(f"raise SystemExit({JournalUnavailable.exit_code})", id="no journal"),
    ],
)
def test_a_process_whose_cause_of_death_may_pass_is_never_given_up(tmp_path: Path, program: str) -> None:
    now = NOW
    with unit_of(tmp_path, program) as unit:
        for death in range(MAX_DEATHS + 3):
            await_end(unit, now)
            assert unit.status(now).state is UnitState.RESTARTING
            now += (1 + JITTER) * min(FIRST_DELAY * 2**death, MAX_DELAY)
            unit.tick(now)
            assert unit.status(now).restarts == death + 1


def test_a_stop_beats_a_restart_that_is_due(tmp_path: Path) -> None:
    with unit_of(tmp_path, PRINTS_AND_DIES) as unit:
        await_end(unit, NOW)
        assert unit.status(NOW).state is UnitState.RESTARTING
        unit.stop(10.0, NOW)
        assert unit.status(NOW).state is UnitState.STOPPED
        unit.tick(NOW + 1000)
        assert unit.process is None
        assert unit.status(NOW).note == ""


def test_a_stopped_process_stays_down(tmp_path: Path) -> None:
    with unit_of(tmp_path, LIVES) as unit:
        await_output(unit)
        make_ready(unit)
        unit.stop(10.0, NOW)
        assert unit.status(NOW + 4).kill_in == pytest.approx(6.0)
        assert unit.status(NOW).state is UnitState.STOPPING
        await_end(unit, NOW + 1)
        assert unit.status(NOW).state is UnitState.STOPPED
        assert unit.status(NOW).kill_in is None
        unit.tick(NOW + 1000)
        assert unit.process is None


@pytest.mark.skipif(os.name != "posix", reason="there is no politer signal to ignore")
def test_a_process_that_does_not_end_is_killed_after_the_timeout(tmp_path: Path) -> None:
    with unit_of(tmp_path, STUBBORN) as unit:
        await_output(unit)
        unit.stop(10.0, NOW)
        unit.tick(NOW + 9.9)
        assert unit.process is not None
        assert unit.process.poll() is None
        unit.tick(NOW + 10.1)
        await_end(unit, NOW + 10.2)
        assert unit.status(NOW).state is UnitState.STOPPED


@pytest.mark.skipif(os.name != "posix", reason="there is no politer signal to ignore")
def test_a_second_stop_can_only_shorten_the_timeout(tmp_path: Path) -> None:
    with unit_of(tmp_path, STUBBORN) as unit:
        await_output(unit)
        unit.stop(10.0, NOW)
        unit.stop(100.0, NOW + 1)
        assert unit.status(NOW + 1).kill_in == pytest.approx(9.0)
        unit.stop(0.0, NOW + 2)
        unit.tick(NOW + 2)
        await_end(unit, NOW + 2)


def test_a_kill_by_an_operator_is_not_counted_as_a_death(tmp_path: Path) -> None:
    now = NOW
    with unit_of(tmp_path, LIVES) as unit:
        for _ in range(MAX_DEATHS + 3):
            await_output(unit)
            unit.kill()
            await_end(unit, now)
            assert unit.status(NOW).state is UnitState.RESTARTING
            assert unit.start_failure == ""
            now += 0.7
            unit.tick(now)
            assert unit.process is not None


def test_a_death_is_an_error_in_the_log_and_a_kill_by_an_operator_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with unit_of(tmp_path, PRINTS_AND_DIES) as unit:
        await_end(unit, NOW)
    with unit_of(tmp_path, LIVES) as unit:
        await_output(unit)
        unit.kill()
        await_end(unit, NOW)
    ends = [record.levelname for record in caplog.records if "starts again" in record.getMessage()]
    assert ends == ["ERROR", "WARNING"]


def test_a_healthy_time_makes_the_next_delay_short_again(tmp_path: Path) -> None:
    with unit_of(tmp_path, LIVES) as unit:
        make_ready(unit, NOW)
        assert unit.process is not None
        process_identity.kill(unit.process.identity)
        await_end(unit, NOW + HEALTHY)
        unit.tick(NOW + HEALTHY + 0.7)
        assert unit.process is not None


def test_a_silent_process_is_killed_after_a_while(tmp_path: Path) -> None:
    with unit_of(tmp_path, LIVES, hung_after=30.0) as unit:
        target = unit.target()
        assert target is not None
        unit.observe(target, Condition(True), NOW)
        unit.observe(target, Condition(False, "silent", silent=True), NOW + 1)
        unit.tick(NOW + 30)
        assert unit.process is not None
        assert unit.process.poll() is None
        unit.tick(NOW + 31)
        await_end(unit, NOW + 31)
        assert unit.status(NOW).state is UnitState.RESTARTING


def test_a_start_that_is_refused_is_tried_again(tmp_path: Path) -> None:
    refusals: list[str] = []

    def before_start() -> None:
        if refusals:
            raise SupervisorError(refusals.pop())

    with unit_of(tmp_path, PRINTS_AND_DIES, before_start=before_start) as unit:
        await_end(unit, NOW)
        refusals.append("NGINX refuses its configuration")
        unit.tick(NOW + 0.7)
        assert unit.process is None
        assert unit.status(NOW).state is UnitState.RESTARTING
        assert "NGINX refuses" in unit.status(NOW).note
        unit.tick(NOW + 10)
        assert unit.process is not None


def test_a_process_is_adopted_and_its_end_noticed(tmp_path: Path) -> None:
    with unit_of(tmp_path, LIVES) as former:
        record = former.record()
        assert record is not None
        home = Home(tmp_path)
        adopter = Unit(former.spec, home, os.environ)
        adopter.adopt(record)
        assert adopter.process is not None
        assert adopter.process.identity == record.identity
        assert adopter.record() == record
        make_ready(adopter)
        process_identity.kill(record.identity)
        assert former.process is not None
        wait_until(former.process.has_ended, "the process to end")
        assert adopter.process.poll() == UNKNOWN_EXIT
        adopter.tick(NOW + 1)
        assert adopter.state is UnitState.RESTARTING
        assert adopter.status(NOW).note == "ended with an unknown exit code"


def test_reports_change_the_state_of_a_unit(tmp_path: Path) -> None:
    with unit_of(tmp_path, LIVES) as unit:
        target = unit.target()
        assert target is not None
        assert unit.status(NOW).state is UnitState.STARTING
        unit.observe(target, Condition(False, "starting"), 1000.0)
        assert (unit.state, unit.start_completed) == (UnitState.STARTING, False)
        unit.observe(target, Condition(True, "broker: connecting"), 1000.5)
        assert (unit.state, unit.start_completed) == (UnitState.TROUBLED, False)
        unit.observe(target, Condition(True), 1001.0)
        assert (unit.state, unit.status(NOW).note, unit.start_completed) == (UnitState.READY, "", True)
        unit.observe(target, Condition(True, "broker: away"), 1002.0)
        assert (unit.state, unit.status(NOW).note) == (UnitState.TROUBLED, "broker: away")
        unit.observe(target, Condition(False, "silent"), 1003.0)
        assert (unit.state, unit.status(NOW).note) == (UnitState.TROUBLED, "silent")
        unit.observe(target, Condition(True), 1004.0)
        assert (unit.state, unit.status(NOW).note) == (UnitState.READY, "")


def test_a_report_on_a_former_process_is_ignored(tmp_path: Path) -> None:
    with unit_of(tmp_path, LIVES) as unit:
        target = unit.target()
        assert target is not None
        unit.observe(msgspec.structs.replace(target, spawned_at=target.spawned_at - 1), Condition(True), 1000.0)
        assert unit.status(NOW).state is UnitState.STARTING


def test_a_child_that_dies_takes_its_own_children_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with unit_of(tmp_path, HAS_A_CHILD) as unit:
        wait_until(lambda: len(process_identity.processes_of(home)) == 2, "the child's child")
        assert unit.process is not None
        process_identity.kill(unit.process.identity)
        await_end(unit, 1000.0)
        wait_until(lambda: not process_identity.processes_of(home), "the child's child to end")


def test_a_process_with_the_same_id_but_another_start_is_left_alone(tmp_path: Path) -> None:
    with unit_of(tmp_path / "one", LIVES) as unit:
        assert process_identity.processes_of(Home(tmp_path / "two")) == []
        assert unit.process is not None
        former = msgspec.structs.replace(unit.process.identity, started=unit.process.identity.started - 100)
        assert not process_identity.is_alive(former)
        process_identity.kill(former)
        process_identity.terminate(former, None)
        process_identity.request_rebalance(former)
        assert process_identity.is_alive(unit.process.identity)
        assert unit.process.poll() is None


@pytest.mark.parametrize(
    ("code", "text"), [(3, "ended with code 3"), (-9, "killed by signal 9"), (UNKNOWN_EXIT, "unknown")]
)
def test_an_exit_is_described(code: int, text: str) -> None:
    assert text in describe_exit(code)
