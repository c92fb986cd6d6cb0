"""How processes are stopped: stage after stage, asked first, killed when their time is over.

It knows no clock and no process: both are handed to it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

LEAST_STAGE = 2.0
"""Seconds that a stage has at least, unless there is less in all: a slow one before must not cost it everything."""

KILLED_WITHIN = 5.0
"""Seconds in which what was killed is gone, or is held by the system and can't be ended by anybody."""


class Stoppable(Protocol):
    """What can be stopped."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def ask_to_leave(self) -> None:
        """Ask it to end in good order."""
        ...

    def kill(self) -> None:
        """End it at once, with all that belongs to it."""
        ...

    def gone(self) -> bool:
        """Whether it has ended."""
        ...

    def clean(self) -> None:
        """End what it left behind."""
        ...


class StopDeadline:
    """How long a stop may take. It can become less meanwhile, never more.

    Args:
        timeout: seconds from now.
        now: by a monotonic clock.
    """

    def __init__(self, timeout: float, now: float) -> None:
        self._ends = now + timeout
        self._least = min(LEAST_STAGE, timeout)

    def shorten(self, timeout: float, now: float) -> None:
        """Allow only `timeout` seconds from now; 0 kills at once."""
        self._ends = min(self._ends, now + timeout)
        self._least = min(self._least, timeout)

    def over(self, stage_began: float, now: float) -> bool:
        """Whether a stage that began then has had its time."""
        return self.left(stage_began, now) <= 0

    def left(self, stage_began: float, now: float) -> float:
        """Seconds that a stage that began then still has."""
        return max(self._ends, stage_began + self._least) - now


def stop_in_order(
    stages: Sequence[Sequence[Stoppable]],
    patience: StopDeadline,
    pause: Callable[[], None],
    clock: Callable[[], float],
) -> list[str]:
    """Stop everything, one stage after the other; the names of those that had to be killed.

    Args:
        stages: those of one stage are stopped at the same time.
        patience: how long it may take.
        pause: waits a little between two looks.
        clock: a monotonic one.
    """
    killed: list[str] = []
    for stage in stages:
        began = clock()
        for each in stage:
            each.ask_to_leave()
        while not all(each.gone() for each in stage) and not patience.over(began, clock()):
            pause()
        late = [each for each in stage if not each.gone()]
        for each in late:
            each.kill()
        killed += [each.name for each in late]
        began = clock()
        while not all(each.gone() for each in late) and clock() - began < KILLED_WITHIN:
            pause()
        for each in stage:
            each.clean()
    return killed
