"""The rate of every process, second by second, for as long as a chart shows. Pure: samples in, numbers out."""

from collections import deque
from collections.abc import Iterable

import msgspec

from core.model import Role
from core.monitor.rates import handled
from core.repository.base import Sample

LENGTH = 300
"""Seconds that are kept."""

GAP = 5
"""The longest gap between two samples, in seconds, over which a rate is computed. Longer gaps count as pauses."""


class _ProcessHistory:
    """The history of one process."""

    def __init__(self, role: Role, max_points: int) -> None:
        self.role = role
        # Bounded, since the points of a process whose clock is ahead never become too old.
        self.points: deque[tuple[int, int]] = deque(maxlen=max_points)
        """Pairs of a second and the number that `handled` returned then."""

    def add(self, second: int, count: int) -> None:
        if not self.points or second > self.points[-1][0]:
            self.points.append((second, count))

    def forget(self, before: int) -> None:
        while len(self.points) > 1 and self.points[1][0] < before:
            self.points.popleft()

    def rates(self, first: int, length: int) -> list[float]:
        """Return the rate in each second from `first` on. What was handled between two samples is spread evenly."""
        rates = [0.0] * length
        before: tuple[int, int] | None = None
        for second, count in self.points:
            if before is not None and second - before[0] <= GAP and count >= before[1]:
                rate = (count - before[1]) / (second - before[0])
                for each in range(max(before[0], first), min(second, first + length)):
                    rates[each - first] = rate
            before = (second, count)
        return rates


class RateSeries(msgspec.Struct, frozen=True):
    """The rates of the whole system in each second, oldest first."""

    taken_in: tuple[float, ...] = ()
    """Tasks accepted by servers."""
    ended: tuple[float, ...] = ()
    """Attempts ended by workers."""


class RateHistory:
    """The history of all processes over the last minutes.

    Args:
        length: seconds to keep.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self._length = length
        self._processes: dict[int, _ProcessHistory] = {}
        self._last = 0

    @property
    def next_second(self) -> int:
        """The second to read samples from next. It overlaps what was read, since samples do not arrive in order."""
        return self._last - GAP

    def observe(self, samples: Iterable[Sample], now: int) -> None:
        """Add samples, in order of time. Those that were added before change nothing.

        Args:
            samples: the samples from `next_second` on.
            now: the present second.
        """
        for sample in samples:
            process = self._processes.setdefault(sample.number, _ProcessHistory(sample.role, self._length + 3 * GAP))
            process.add(sample.second, handled(sample.role, sample.counters))
            self._last = max(self._last, min(sample.second, now))
        oldest = now - self._length - GAP
        self._processes = {
            number: process for number, process in self._processes.items() if process.points[-1][0] >= oldest
        }
        for process in self._processes.values():
            process.forget(oldest)

    def rates(self, number: int, now: int, length: int) -> tuple[float, ...]:
        """Return the rate of a process in each of the last complete seconds, oldest first."""
        process = self._processes.get(number)
        return tuple(process.rates(now - length - 1, length)) if process else (0.0,) * length

    def chart(self, now: int, length: int) -> RateSeries:
        """Return the rates of the whole system in each of the last complete seconds."""
        sums = {role: [0.0] * length for role in Role}
        for process in self._processes.values():
            total = sums[process.role]
            for index, rate in enumerate(process.rates(now - length - 1, length)):
                total[index] += rate
        return RateSeries(tuple(sums[Role.SERVER]), tuple(sums[Role.WORKER]))
