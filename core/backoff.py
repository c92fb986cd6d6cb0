"""Exponential back-off between tries. Pure: the random number is an argument."""

import msgspec

MAX_FACTOR = 1000.0
"""The largest factor."""

_MAX_EXPONENT = 60
"""A larger exponent would overflow. The longest wait is reached long before."""


class Backoff(msgspec.Struct, frozen=True):
    """A wait that grows with each failure, with jitter so that callers which failed together retry apart."""

    first: float
    """Seconds to wait after the first failure."""
    longest: float
    """Seconds to wait at most, before jitter."""
    low: float = 1.0
    """The smallest factor that jitter applies to the wait."""
    high: float = 1.0
    """The largest factor that jitter applies to the wait."""
    factor: float = 2.0
    """The factor by which the wait grows with each failure, up to `MAX_FACTOR`."""

    def delay(self, failures: int, chance: float = 1.0) -> float:
        """Return the seconds to wait.

        Args:
            failures: the number of earlier consecutive failures; 0 after the first failure.
            chance: a random number between 0 and 1; 1 gives the longest delay.
        """
        wait: float = min(self.longest, self.first * self.factor ** min(failures, _MAX_EXPONENT))
        return wait * (self.low + (self.high - self.low) * chance)


class RetryTimer:
    """A counter of consecutive failures, which gives the delay after each.

    Args:
        backoff: the delays.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failures = 0

    def next_delay(self) -> float:
        """Count a failure. Returns the seconds to wait after it."""
        wait = self._backoff.delay(self._failures)
        self._failures += 1
        return wait

    def reset(self) -> None:
        """Start again with the first delay, after a success."""
        self._failures = 0
