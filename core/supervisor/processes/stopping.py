"""Stops processes stage by stage: asks them to end first, and kills them when their time is over.

The caller provides the clock and the processes.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

MIN_STAGE_TIME = 2.0
"""Seconds that each stage has at least, even after a slow stage, unless the whole stop has less."""

KILL_TIMEOUT = 5.0
"""Seconds to wait for a killed process. One that remains longer is held by the system and can't be ended."""


class StopTimeout(msgspec.Struct, frozen=True):
    """The time that an operator gives processes to end before they are killed."""

    seconds: float
    for_all: bool = True
    """Whether it is also for processes that have a stop timeout of their own."""


class Stoppable(Protocol):
    """A process that can be stopped."""

    @property
    def name(self) -> str:
        """The name of the process."""
        ...

    @property
    def stop_timeout(self) -> float | None:
        """Seconds that it has to end at most, or None when it has as many as the whole stop."""
        ...

    def terminate(self) -> None:
        """Ask the process to end in good order."""
        ...

    def kill(self) -> None:
        """Kill the process and all that belongs to it."""
        ...

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        ...

    def kill_leftovers(self) -> None:
        """Kill what the process has left running."""
        ...


class StopDeadline:
    """The time at which a stop turns into a kill. It can be brought forward, never put back.

    Args:
        timeout: seconds from now.
        now: the time by a monotonic clock.
    """

    def __init__(self, timeout: float, now: float) -> None:
        self._ends = now + timeout
        self._min_stage = min(MIN_STAGE_TIME, timeout)

    def shorten(self, timeout: float, now: float) -> None:
        """Bring the deadline forward to `timeout` seconds from now; 0 kills at once."""
        self._ends = min(self._ends, now + timeout)
        self._min_stage = min(self._min_stage, timeout)

    def has_passed(self, stage_began: float, now: float) -> bool:
        """Return whether a stage that began then has no time left."""
        return self.remaining(stage_began, now) <= 0

    def remaining(self, stage_began: float, now: float) -> float:
        """Return the seconds that a stage that began then still has."""
        return max(self._ends, stage_began + self._min_stage) - now


def stop_in_order(
    stages: Sequence[Sequence[Stoppable]],
    deadline: StopDeadline,
    pause: Callable[[], None],
    clock: Callable[[], float],
) -> list[str]:
    """Stop all processes, one stage after the other. Returns the names of those that had to be killed.

    Args:
        stages: the processes, in groups that are stopped together, in order.
        deadline: the time at which they are killed.
        pause: waits a little between two checks.
        clock: a monotonic clock.
    """
    killed: list[str] = []
    for stage in stages:
        began = clock()
        for each in stage:
            each.terminate()
        late: list[Stoppable] = []
        while running := [each for each in stage if each not in late and not each.has_ended()]:
            now = clock()
            over = [each for each in running if deadline.has_passed(began, now) or _is_over(each, began, now)]
            for each in over:
                each.kill()
            late += over
            if len(over) < len(running):
                pause()
        killed += [each.name for each in late]
        began = clock()
        while not all(each.has_ended() for each in late) and clock() - began < KILL_TIMEOUT:
            pause()
        for each in stage:
            each.kill_leftovers()
    return killed


def _is_over(process: Stoppable, began: float, now: float) -> bool:
    """Return whether the time of a process itself is over."""
    return process.stop_timeout is not None and now - began >= process.stop_timeout
