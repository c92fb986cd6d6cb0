"""Whether and when a process that ended by itself is started again. Pure: the times are arguments.

The first death is mended after half a second, and each further one after twice as long, up to half a minute.
A death after some seconds of health begins the count anew; more than five deaths in a row within a minute before it was
even ready, and the process is given up: to start what can't run only burns the processor and fills the logs.
What does get ready is started again for ever, and sooner: a worker may die of one task after another.
Whoever tells a part to stop is always obeyed: what is not wanted is never started again.
"""

import itertools
from collections.abc import Sequence

import msgspec

from core.backoff import Backoff

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
LONGEST_WAIT_OF_READY = 2.0
"""Seconds to wait at most for what had been ready before it died."""

HEALTHY = 10.0
"""Seconds of readiness after which earlier deaths no longer count."""

WINDOW = 60.0
MOST_DEATHS = 5
"""How many deaths within `WINDOW` seconds, each before it was ready, are still mended."""

SPREAD = 0.4
"""How much of a wait is left to chance, so that processes that died together don't start together."""


class UnexpectedExit(msgspec.Struct, frozen=True):
    """One end that nobody had asked for."""

    at: float
    """By a monotonic clock."""
    healthy: float
    """Seconds for which it had been ready; 0 when it never was."""
    clean: bool = False
    """It left by its own decision, with exit code 0, or an operator killed it: not a death of its own."""


class Restart(msgspec.Struct, frozen=True):
    """Start it again."""

    after: float
    """Seconds to wait before."""


class StopRestarting(msgspec.Struct, frozen=True):
    """Leave it down: it can't run."""

    deaths: int
    """How often it died within `WINDOW` seconds."""


class StayDown(msgspec.Struct, frozen=True):
    """Leave it down: nobody wants it."""


def decide(
    exits: Sequence[UnexpectedExit], now: float, jitter: float = 0.5, *, wanted: bool = True
) -> Restart | StopRestarting | StayDown:
    """Say what to do after the last of `exits`.

    Args:
        exits: all that are remembered, the oldest first.
        now: by the clock of `exits`.
        jitter: chance, from 0 to 1; 0.5 is the plain wait.
        wanted: whether it is to run at all.
    """
    if not wanted:
        return StayDown()
    deaths = [each for each in exits if not each.clean]
    never_ready = itertools.takewhile(lambda each: not each.healthy, reversed(deaths))
    recent = sum(1 for each in never_ready if now - each.at <= WINDOW)
    if recent > MOST_DEATHS:
        return StopRestarting(recent)
    longest = LONGEST_WAIT_OF_READY if deaths and deaths[-1].healthy else LONGEST_WAIT
    backoff = Backoff(FIRST_WAIT, longest, low=1 - SPREAD / 2, high=1 + SPREAD / 2)
    return Restart(backoff.delay(max(0, _streak(deaths) - 1), jitter))


def _streak(deaths: Sequence[UnexpectedExit]) -> int:
    """How many deaths there were since it was last healthy."""
    streak = 0
    for each in reversed(deaths):
        streak += 1
        if each.healthy >= HEALTHY:
            break
    return streak
