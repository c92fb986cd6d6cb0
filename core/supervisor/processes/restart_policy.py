"""Decides whether and when a process that ended by itself is restarted. Pure: the times are arguments.

The first restart comes after half a second, each further one after twice as long, up to half a minute. Some seconds of
readiness reset the count. After more than five deaths in a row within a minute, each before the process was ready, it
is given up: starting a process that can't run only uses the processor and fills the logs. A process that does get
ready is restarted without limit, and sooner: a worker may die of one task after another. So is one, at the longest
delay, whose deaths have a cause that may pass: it was killed from outside, or the journal could not be used.
A process that an operator has stopped is never restarted.
"""

import itertools
from collections.abc import Sequence

import msgspec

from core.backoff import Backoff

FIRST_DELAY = 0.5
MAX_DELAY = 30.0
MAX_DELAY_AFTER_READY = 2.0
"""Longest delay, in seconds, for a process that was ready before it died."""

HEALTHY = 10.0
"""Seconds of readiness after which earlier deaths no longer count."""

WINDOW = 60.0
MAX_DEATHS = 5
"""Deaths within `WINDOW` seconds, each before the process was ready and of its own doing, after which it is still
restarted."""

JITTER = 0.4
"""Random share of a delay, so that processes that died together don't start together."""


class UnexpectedExit(msgspec.Struct, frozen=True):
    """An exit that the supervisor did not ask for."""

    at: float
    """The time by a monotonic clock."""
    ready_for: float
    """Seconds for which the process had been ready, or 0 when it never was."""
    deliberate: bool = False
    """Whether the process ended with exit code 0 or an operator killed it, so that this is no death."""
    passing: bool = False
    """Whether the cause of this death may pass by itself, so that it is no reason to give up."""


class Restart(msgspec.Struct, frozen=True):
    """The decision to restart a process."""

    delay: float
    """Seconds to wait before the start."""


class StopRestarting(msgspec.Struct, frozen=True):
    """The decision to give up a process that can't run."""

    deaths: int
    """Deaths within `WINDOW` seconds."""


class StayDown(msgspec.Struct, frozen=True):
    """The decision to leave down a process that is not wanted."""


def decide(
    exits: Sequence[UnexpectedExit], now: float, jitter: float = 0.5, *, wanted: bool = True
) -> Restart | StopRestarting | StayDown:
    """Decide what to do after the last of `exits`.

    Args:
        exits: the remembered exits, the oldest first.
        now: the time by the clock of `exits`.
        jitter: a random number from 0 to 1; 0.5 gives the plain delay.
        wanted: whether the process is to run at all.
    """
    if not wanted:
        return StayDown()
    deaths = [each for each in exits if not each.deliberate]
    never_ready = itertools.takewhile(lambda each: not each.ready_for, reversed(deaths))
    recent = sum(1 for each in never_ready if not each.passing and now - each.at <= WINDOW)
    if recent > MAX_DEATHS:
        return StopRestarting(recent)
    longest = MAX_DELAY_AFTER_READY if deaths and deaths[-1].ready_for else MAX_DELAY
    backoff = Backoff(FIRST_DELAY, longest, low=1 - JITTER / 2, high=1 + JITTER / 2)
    return Restart(backoff.delay(max(0, _streak(deaths) - 1), jitter))


def _streak(deaths: Sequence[UnexpectedExit]) -> int:
    """Return how many deaths there have been since the process was last healthy."""
    streak = 0
    for each in reversed(deaths):
        streak += 1
        if each.ready_for >= HEALTHY:
            break
    return streak
