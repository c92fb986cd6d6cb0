"""Percentiles of any number of latencies in constant memory. Pure."""

import math

_PER_DOUBLING = 32
"""Buckets per doubling of the latency: the error of a percentile is at most 1.1 per cent."""

_MIN = 1e-6
"""Seconds; shorter latencies count as this one."""

_BUCKETS = 34 * _PER_DOUBLING
"""The number of buckets. They cover latencies from a microsecond to more than four hours."""


class Histogram:
    """Counts of latencies, in buckets that grow with the latency.

    Attributes:
        count: the number of latencies.
        max: the longest latency, in seconds.
        buckets: the number of latencies in each bucket.
    """

    def __init__(self) -> None:
        self.count = 0
        self.max = 0.0
        self.buckets = [0] * _BUCKETS

    def add(self, seconds: float, count: int = 1) -> None:
        """Count a latency that occurred `count` times."""
        index = int(math.log2(max(seconds, _MIN) / _MIN) * _PER_DOUBLING)
        self.buckets[min(index, _BUCKETS - 1)] += count
        self.count += count
        self.max = max(self.max, seconds)

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another histogram."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.count += other.count
        self.max = max(self.max, other.max)

    def percentile(self, fraction: float) -> float:
        """Return the latency in seconds that this fraction (0 to 1) did not exceed, or 0 when nothing was counted."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(fraction * self.count))
        seen = 0
        for index, count in enumerate(self.buckets):
            seen += count
            if seen >= rank:
                middle = _MIN * math.exp2((index + 0.5) / _PER_DOUBLING)
                return min(middle, self.max)
        return self.max
