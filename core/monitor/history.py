"""What every process has handled, second by second, for as long as a chart shows. Pure: samples in, numbers out."""

from collections import deque
from collections.abc import Iterable

import msgspec

from core.model import Role
from core.monitor.rates import handled
from core.repository.base import Sample

LENGTH = 300
"""Seconds that are kept."""

GAP = 5
"""Seconds without a sample after which a process has paused: nothing is drawn for them."""


class _ProcessHistory:
    """One process."""

    def __init__(self, role: Role, most: int) -> None:
        self.role = role
        # With a limit: the points of a process whose clock is ahead don't become too old.
        self.points: deque[tuple[int, int]] = deque(maxlen=most)
        """Second, and what was handled until then."""

    def add(self, second: int, count: int) -> None:
        if not self.points or second > self.points[-1][0]:
            self.points.append((second, count))

    def forget(self, before: int) -> None:
        while len(self.points) > 1 and self.points[1][0] < before:
            self.points.popleft()

    def rates(self, first: int, length: int) -> list[float]:
        """Tasks in each second from `first` on; a second that has no sample gets its part of those around it."""
        found = [0.0] * length
        before: tuple[int, int] | None = None
        for second, count in self.points:
            if before is not None and second - before[0] <= GAP and count >= before[1]:
                rate = (count - before[1]) / (second - before[0])
                for each in range(max(before[0], first), min(second, first + length)):
                    found[each - first] = rate
            before = (second, count)
        return found


class RateSeries(msgspec.Struct, frozen=True):
    """Rates of the whole system, tasks in each second, the oldest first."""

    taken_in: tuple[float, ...] = ()
    """Accepted by servers."""
    ended: tuple[float, ...] = ()
    """Ended by workers."""


class RateHistory:
    """Keeps the samples of the last minutes.

    Args:
        length: seconds to keep.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self._length = length
        self._lines: dict[int, _ProcessHistory] = {}
        self._last = 0

    @property
    def next_second(self) -> int:
        """From which second on samples are wanted: some seconds of overlap, since not all arrive in order."""
        return self._last - GAP

    def observe(self, samples: Iterable[Sample], now: int) -> None:
        """Take in samples, in order of time; those that were seen before change nothing.

        Args:
            samples: from `next_second` on.
            now: the present second.
        """
        for sample in samples:
            line = self._lines.setdefault(sample.number, _ProcessHistory(sample.role, self._length + 3 * GAP))
            line.add(sample.second, handled(sample.role, sample.counters))
            self._last = max(self._last, min(sample.second, now))
        oldest = now - self._length - GAP
        self._lines = {number: line for number, line in self._lines.items() if line.points[-1][0] >= oldest}
        for line in self._lines.values():
            line.forget(oldest)

    def rates(self, number: int, now: int, length: int) -> tuple[float, ...]:
        """What one process has handled in each of the last seconds that are complete, the oldest first."""
        line = self._lines.get(number)
        return tuple(line.rates(now - length - 1, length)) if line else (0.0,) * length

    def chart(self, now: int, length: int) -> RateSeries:
        """The whole system in each of the last seconds that are complete."""
        sums = {role: [0.0] * length for role in Role}
        for line in self._lines.values():
            total = sums[line.role]
            for place, rate in enumerate(line.rates(now - length - 1, length)):
                total[place] += rate
        return RateSeries(tuple(sums[Role.SERVER]), tuple(sums[Role.WORKER]))
