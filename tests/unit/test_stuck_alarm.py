"""When a worker is stuck, and when it goes on, on a clock that the test moves."""

import logging

import pytest

from core.model import Note, RunningTask, TaskProgress, TaskStack
from core.worker import policy
from core.worker.stuck_alarm import CHECK_INTERVAL, StuckAlarm


class Bench:
    """An alarm for a worker with two threads, and what runs in it."""

    def __init__(self) -> None:
        self.alarm = StuckAlarm(2)
        self.now = 100.0
        self.running: list[RunningTask] = []

    def run(self, *tasks: RunningTask) -> None:
        """Let other tasks run."""
        self.running = list(tasks)

    def pass_time(self, seconds: float) -> bool:
        """Check for so long. Returns whether there is trouble then."""
        for _ in range(round(seconds / CHECK_INTERVAL)):
            self.now += CHECK_INTERVAL
            self.alarm.check(self.now, lambda: self.running)
        return bool(self.alarm.trouble)


FIRST = RunningTask("t1", "sleeps", 1.0)
SECOND = RunningTask("t2", "sleeps", 2.0, stack=TaskStack(3.0, '  File "x.py", line 3, in sleeps\n'))


def test_a_worker_is_stuck_when_nothing_ends_for_long_and_goes_on_when_something_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.run(FIRST, SECOND)
    assert not bench.pass_time(300)
    assert bench.pass_time(60)
    assert bench.alarm.trouble.startswith("stuck: nothing has ended for ")
    assert bench.alarm.trouble.endswith(" while tasks keep all threads busy (2), such as t1, t2")
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 3  # once, however long it lasts
    assert logged[0].startswith("stuck: ")
    assert logged[1].startswith("task t1 (sleeps) has run for ")
    assert logged[2].endswith(':\n  File "x.py", line 3, in sleeps')
    bench.run(RunningTask("t3", "sleeps", 400.0), SECOND)
    assert not bench.pass_time(CHECK_INTERVAL)
    assert caplog.records[-1].getMessage().startswith("no longer stuck")


def test_a_worker_with_a_free_thread_is_not_stuck() -> None:
    bench = Bench()
    bench.run(FIRST)
    assert not bench.pass_time(10_000)


def test_a_task_that_tells_how_far_it_is_shows_that_something_goes_on() -> None:
    bench = Bench()
    for step in range(10):
        bench.run(FIRST, RunningTask("t2", "sleeps", 2.0, TaskProgress(step)))
        assert not bench.pass_time(250)
    for step in range(10):
        bench.run(FIRST, RunningTask("t2", "sleeps", 2.0, notes=(Note(float(step), "x"),)))
        assert not bench.pass_time(250)
    assert bench.pass_time(100)


def test_what_is_usual_for_a_kind_decides_how_long_to_wait() -> None:
    bench = Bench()
    bench.alarm.note_end("brief", 0.01)
    bench.alarm.note_end("sleeps", 100.0)
    bench.run(RunningTask("b1", "brief", 1.0), RunningTask("b2", "brief", 1.0))
    assert bench.pass_time(policy.STUCK_FLOOR + 1)
    bench.run(RunningTask("b3", "brief", 1.0), FIRST)
    assert not bench.pass_time(999)
    assert bench.pass_time(10)


def test_the_time_for_which_the_system_is_suspended_does_not_count() -> None:
    bench = Bench()
    bench.run(FIRST, SECOND)
    bench.pass_time(10)
    bench.now += 100_000
    assert not bench.pass_time(10)


@pytest.mark.parametrize(
    ("usual", "seconds"),
    [([], 30.0), ([0.001], 30.0), ([5.0, 0.1], 50.0), ([None], 300.0), ([None, 100.0], 1000.0)],
)
def test_after_how_many_seconds_a_worker_is_stuck(usual: list[float | None], seconds: float) -> None:
    assert policy.stuck_after(usual) == seconds
