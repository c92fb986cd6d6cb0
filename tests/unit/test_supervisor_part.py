"""One part that is kept running, with a real process that dies; the time is an argument."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core.supervisor import census
from core.supervisor.home import Home
from core.supervisor.part import Part
from core.supervisor.plan import MARK, Duty, ProcessSpec
from core.supervisor.policy import MOST_DEATHS
from core.supervisor.readiness import Condition
from core.supervisor.report import PartState
from tests.services.waiting import wait_until

PRINTS_AND_DIES = "print('about to die', flush=True); raise SystemExit(3)"
LIVES = "import sys, time; print('here', flush=True); time.sleep(600)"
HAS_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {LIVES!r}]); {LIVES}"


@contextmanager
def part_of(directory: Path, program: str) -> Iterator[Part]:
    home = Home(directory)
    home.create()
    spec = ProcessSpec(
        name="w1",
        duty=Duty.WORKER,
        command=(sys.executable, "-c", program),
        environment={MARK: str(home.directory)},
    )
    part = Part(spec, home, os.environ)
    part.start()
    try:
        yield part
    finally:
        if part.child:
            part.child.kill()
            wait_until(part.child.gone, "the child to end")
        wait_until(lambda: not census.ours(home), "everything to end")


def await_end(part: Part, now: float) -> int:
    codes: list[int] = []

    def ended() -> bool:
        code = part.take_end(now)
        codes.extend([] if code is None else [code])
        return code is not None

    wait_until(ended, "the process to end")
    return codes[0]


def test_what_keeps_dying_is_started_again_and_then_given_up(tmp_path: Path) -> None:
    now = 1000.0
    with part_of(tmp_path, PRINTS_AND_DIES) as part:
        for death in range(MOST_DEATHS):
            assert await_end(part, now) == 3
            assert "about to die" in part.complaint("has died")
            part.plan_restart(now)
            assert part.report().state is PartState.RESTARTING
            assert not part.restart_if_due(now + 0.3)
            now += 9.7
            assert part.restart_if_due(now)
            assert part.report().restarts == death + 1
        assert await_end(part, now) == 3
        part.plan_restart(now)
        report = part.report()
        assert report.state is PartState.CRASHED
        assert report.pid is None
        assert "ended with code 3" in report.note
        assert not part.restart_if_due(now + 1000)


def test_how_a_part_is_told_to_be(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as part:
        target = part.target()
        assert target is not None
        assert part.report().state is PartState.STARTING
        part.learn(target, Condition(False, "starting"), 1000.0)
        assert (part.state, part.proven) == (PartState.STARTING, False)
        part.learn(target, Condition(True, "broker: connecting"), 1000.5)
        assert (part.state, part.proven) == (PartState.TROUBLED, False)
        part.learn(target, Condition(True), 1001.0)
        assert (part.state, part.report().note, part.proven) == (PartState.READY, "", True)
        part.learn(target, Condition(True, "broker: away"), 1002.0)
        assert (part.state, part.report().note) == (PartState.TROUBLED, "broker: away")
        part.learn(target, Condition(False, "silent"), 1003.0)
        assert (part.state, part.report().note) == (PartState.TROUBLED, "silent")
        part.learn(target, Condition(True), 1004.0)
        assert (part.state, part.report().note) == (PartState.READY, "")


def test_what_is_heard_of_a_former_process_is_not_taken_for_the_present_one(tmp_path: Path) -> None:
    with part_of(tmp_path, LIVES) as part:
        target = part.target()
        assert target is not None
        part.learn(msgspec.structs.replace(target, spawned_at=target.spawned_at - 1), Condition(True), 1000.0)
        assert part.state is PartState.STARTING


def test_a_child_that_dies_takes_its_own_children_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with part_of(tmp_path, HAS_A_CHILD) as part:
        wait_until(lambda: len(census.ours(home)) == 2, "the child's child")
        assert part.child is not None
        census.kill(part.child.identity)
        await_end(part, 1000.0)
        wait_until(lambda: not census.ours(home), "the child's child to end")


def test_a_stranger_is_not_ours_and_not_killed_by_its_number(tmp_path: Path) -> None:
    with part_of(tmp_path / "one", LIVES) as part:
        assert census.ours(Home(tmp_path / "two")) == []
        assert part.child is not None
        former = msgspec.structs.replace(part.child.identity, started=part.child.identity.started - 100)
        assert not census.is_alive(former)
        census.kill(former)
        census.ask_to_leave(former, None)
        assert census.is_alive(part.child.identity)
        assert part.child.poll() is None
