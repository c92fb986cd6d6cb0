"""When a blocked event loop is told."""

from core.runner.frames import LoopBlocked, Run
from core.runner.loop_watch import BLOCKED_AFTER, LoopWatch
from core.tasks.event_loop import EventLoop, LoopCall


class Silent(EventLoop):
    """A loop that answers when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.silent_for = 0.0

    def blocked_for(self, now: float) -> float:
        """Return what the test has set."""
        return self.silent_for


class Current(LoopCall):
    """The coroutine at which the loop is."""

    @property
    def is_current(self) -> bool:
        """Return that it is."""
        return True


class Held:
    """A run of an `async def` task."""

    def __init__(self, loop: EventLoop) -> None:
        self.request = Run(1, "t1", "k", "1", 1)
        self.call: LoopCall | None = Current(loop)


def test_a_block_is_told_once_with_its_task_and_its_end() -> None:
    loop, told = Silent(), list[LoopBlocked]()
    watch, runs = LoopWatch(loop, told.append), [Held(loop)]
    for silent, count in ((0.0, 0), (1.0, 0), (BLOCKED_AFTER, 1), (BLOCKED_AFTER + 1, 1), (0.0, 2), (0.0, 2)):
        loop.silent_for = silent
        watch.check(0.0, runs)
        assert len(told) == count
    assert [each.id for each in told] == ["t1", ""]


def test_a_moment_in_which_nothing_ran_is_no_block() -> None:
    loop, told = Silent(), list[LoopBlocked]()
    watch, runs = LoopWatch(loop, told.append), [Held(loop)]
    for silent in (0.0, 60.0, 0.0):
        loop.silent_for = silent
        watch.check(0.0, runs)
    assert told == []


def test_without_coroutines_the_loop_is_left_alone_and_an_alarm_ends() -> None:
    loop, told = Silent(), list[LoopBlocked]()
    watch, runs = LoopWatch(loop, told.append), [Held(loop)]
    loop.silent_for = BLOCKED_AFTER
    watch.check(0.0, runs)
    watch.check(0.0, runs)
    watch.check(0.0, [])
    assert [bool(each.stack or each.id) for each in told] == [True, False]
