"""One part that is kept running, with a real process that dies; the time is an argument."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.plan import MARK, ProcessKind, ProcessSpec
from core.supervisor.processes import process_identity
from core.supervisor.processes.process import UNSEEN, describe_exit
from core.supervisor.processes.readiness import Condition, ProbeTarget
from core.supervisor.processes.restart_policy import HEALTHY, LONGEST_WAIT_OF_READY, MOST_DEATHS
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
def part_of(
    directory: Path,
    program: str,
    hung_after: float = 0.0,
    before_start: Callable[[], None] = lambda: None,
    was_ready: Callable[[ProbeTarget], bool] = lambda _: False,
) -> Iterator[Unit]:
    home = Home(directory)
    home.create()
    part = Unit(spec_of(home, program), home, os.environ, hung_after, before_start, was_ready)
    part.want()
    try:
        yield part
    finally:
        if part.process:
            part.process.kill()
            wait_until(part.process.gone, "the child to end")
        wait_until(lambda: not process_identity.ours(home), "everything to end")


def await_end(part: Unit, now: float) -> None:
    process = part.process
    assert process is not None
    wait_until(process.gone, "the process to end")
    part.turn(now)
    assert part.process is None


def await_output(part: Unit) -> None:
    wait_until(lambda: part.process is not None and bool(part.process.last_words()), "the process to be at work")


def make_ready(part: Unit, now: float = NOW) -> None:
    target = part.target()
    assert target is not None
    part.learn(target, Condition(True), now)


def test_what_keeps_dying_is_started_again_and_then_given_up(tmp_path: Path) -> None:
    now = NOW
    with part_of(tmp_path, PRINTS_AND_DIES) as part:
        for death in range(MOST_DEATHS):
            await_end(part, now)
            assert "w1 ended with code 3 before everything was ready" in part.failure
            assert "about to die" in part.failure
            assert part.report(now).state is UnitState.RESTARTING
            part.turn(now + 0.3)
            assert part.process is None
            now += 9.7
            part.turn(now)
            assert part.report(now).restarts == death + 1
        await_end(part, now)
        report = part.report(now)
        assert report.state is UnitState.CRASHED
        assert report.pid is None
        assert "ended with code 3" in report.note
        assert f"died {MOST_DEATHS + 1} times" in report.note
        part.turn(now + 1000)
        assert part.process is None
        part.want()
        assert part.failure == ""
        assert part.report(now).state is UnitState.STARTING


def test_what_was_ready_before_it_died_is_never_given_up_though_nobody_saw_it(tmp_path: Path) -> None:
    asked: list[ProbeTarget] = []

    def was_ready(target: ProbeTarget) -> bool:
        asked.append(target)
        return True

    now = NOW
    with part_of(tmp_path, PRINTS_AND_DIES, was_ready=was_ready) as part:
        for death in range(MOST_DEATHS + 2):
            pid = part.report(now).pid
            await_end(part, now)
            assert asked[-1].identity.pid == pid
            assert part.report(now).state is UnitState.RESTARTING
            now += 2 * LONGEST_WAIT_OF_READY
            part.turn(now)
            assert part.report(now).restarts == death + 1


def test_a_stop_beats_a_restart_that_is_due(tmp_path: Path) -> None:
    with part_of(tmp_path, PRINTS_AND_DIES) as part:
        await_end(part, NOW)
        assert part.report(NOW).state is UnitState.RESTARTING
        part.leave(10.0, NOW)
        assert part.report(NOW).state is UnitState.STOPPED
        part.turn(NOW + 1000)
        assert part.process is None
        assert part.report(NOW).note == ""


def test_what_leaves_when_told_stays_away(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as part:
        await_output(part)
        make_ready(part)
        part.leave(10.0, NOW)
        assert part.report(NOW + 4).kill_in == pytest.approx(6.0)
        assert part.report(NOW).state is UnitState.STOPPING
        await_end(part, NOW + 1)
        assert part.report(NOW).state is UnitState.STOPPED
        assert part.report(NOW).kill_in is None
        part.turn(NOW + 1000)
        assert part.process is None


@pytest.mark.skipif(os.name != "posix", reason="there is no politer signal to ignore")
def test_who_does_not_leave_is_killed_when_the_time_is_over(tmp_path: Path) -> None:
    with part_of(tmp_path, STUBBORN) as part:
        await_output(part)
        part.leave(10.0, NOW)
        part.turn(NOW + 9.9)
        assert part.process is not None
        assert part.process.poll() is None
        part.turn(NOW + 10.1)
        await_end(part, NOW + 10.2)
        assert part.report(NOW).state is UnitState.STOPPED


@pytest.mark.skipif(os.name != "posix", reason="there is no politer signal to ignore")
def test_a_second_stop_can_only_hasten_the_first(tmp_path: Path) -> None:
    with part_of(tmp_path, STUBBORN) as part:
        await_output(part)
        part.leave(10.0, NOW)
        part.leave(100.0, NOW + 1)
        assert part.report(NOW + 1).kill_in == pytest.approx(9.0)
        part.leave(0.0, NOW + 2)
        part.turn(NOW + 2)
        await_end(part, NOW + 2)


def test_what_an_operator_kills_is_started_again_and_not_blamed(tmp_path: Path) -> None:
    now = NOW
    with part_of(tmp_path, LIVES) as part:
        for _ in range(MOST_DEATHS + 3):
            await_output(part)
            part.kill()
            await_end(part, now)
            assert part.report(NOW).state is UnitState.RESTARTING
            assert part.failure == ""
            now += 0.7
            part.turn(now)
            assert part.process is not None


def test_health_makes_the_next_wait_short_again(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as part:
        make_ready(part, NOW)
        assert part.process is not None
        process_identity.kill(part.process.identity)
        await_end(part, NOW + HEALTHY)
        part.turn(NOW + HEALTHY + 0.7)
        assert part.process is not None


def test_what_is_silent_for_long_is_killed(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES, hung_after=30.0) as part:
        target = part.target()
        assert target is not None
        part.learn(target, Condition(True), NOW)
        part.learn(target, Condition(False, "silent", silent=True), NOW + 1)
        part.turn(NOW + 30)
        assert part.process is not None
        assert part.process.poll() is None
        part.turn(NOW + 31)
        await_end(part, NOW + 31)
        assert part.report(NOW).state is UnitState.RESTARTING


def test_what_cannot_be_started_is_tried_again_and_breaks_nothing(tmp_path: Path) -> None:
    refusals: list[str] = []

    def before_start() -> None:
        if refusals:
            raise SupervisorError(refusals.pop())

    with part_of(tmp_path, PRINTS_AND_DIES, before_start=before_start) as part:
        await_end(part, NOW)
        refusals.append("NGINX refuses its configuration")
        part.turn(NOW + 0.7)
        assert part.process is None
        assert part.report(NOW).state is UnitState.RESTARTING
        assert "NGINX refuses" in part.report(NOW).note
        part.turn(NOW + 10)
        assert part.process is not None


def test_a_process_is_adopted_and_its_end_noticed(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as former:
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
        wait_until(former.process.gone, "the process to end")
        assert adopter.process.poll() == UNSEEN
        adopter.turn(NOW + 1)
        assert adopter.state is UnitState.RESTARTING
        assert adopter.report(NOW).note == "ended, and nobody saw how"


def test_how_a_part_is_told_to_be(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as part:
        target = part.target()
        assert target is not None
        assert part.report(NOW).state is UnitState.STARTING
        part.learn(target, Condition(False, "starting"), 1000.0)
        assert (part.state, part.proven) == (UnitState.STARTING, False)
        part.learn(target, Condition(True, "broker: connecting"), 1000.5)
        assert (part.state, part.proven) == (UnitState.TROUBLED, False)
        part.learn(target, Condition(True), 1001.0)
        assert (part.state, part.report(NOW).note, part.proven) == (UnitState.READY, "", True)
        part.learn(target, Condition(True, "broker: away"), 1002.0)
        assert (part.state, part.report(NOW).note) == (UnitState.TROUBLED, "broker: away")
        part.learn(target, Condition(False, "silent"), 1003.0)
        assert (part.state, part.report(NOW).note) == (UnitState.TROUBLED, "silent")
        part.learn(target, Condition(True), 1004.0)
        assert (part.state, part.report(NOW).note) == (UnitState.READY, "")


def test_what_is_heard_of_a_former_process_is_not_taken_for_the_present_one(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as part:
        target = part.target()
        assert target is not None
        part.learn(msgspec.structs.replace(target, spawned_at=target.spawned_at - 1), Condition(True), 1000.0)
        assert part.report(NOW).state is UnitState.STARTING


def test_a_child_that_dies_takes_its_own_children_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with part_of(tmp_path, HAS_A_CHILD) as part:
        wait_until(lambda: len(process_identity.ours(home)) == 2, "the child's child")
        assert part.process is not None
        process_identity.kill(part.process.identity)
        await_end(part, 1000.0)
        wait_until(lambda: not process_identity.ours(home), "the child's child to end")


def test_a_stranger_is_not_ours_and_not_killed_by_its_number(tmp_path: Path) -> None:
    with part_of(tmp_path / "one", LIVES) as part:
        assert process_identity.ours(Home(tmp_path / "two")) == []
        assert part.process is not None
        former = msgspec.structs.replace(part.process.identity, started=part.process.identity.started - 100)
        assert not process_identity.is_alive(former)
        process_identity.kill(former)
        process_identity.ask_to_leave(former, None)
        process_identity.ask_to_rebalance(former)
        assert process_identity.is_alive(part.process.identity)
        assert part.process.poll() is None


@pytest.mark.parametrize(("code", "text"), [(3, "ended with code 3"), (-9, "killed by signal 9"), (UNSEEN, "nobody")])
def test_how_an_end_is_described(code: int, text: str) -> None:
    assert text in describe_exit(code)
