"""Percentiles of any number of latencies in a fixed amount of memory. Pure."""

import math

_PER_DOUBLING = 32
"""Buckets for each doubling: a percentile is off by at most 1.1 percent."""

_LEAST = 1e-6
_BUCKETS = 34 * _PER_DOUBLING
"""From a microsecond to more than four hours."""


class Histogram:
    """Counts latencies in buckets that grow with the latency.

    Attributes:
        count: how many there were.
        most: the longest, in seconds.
        buckets: how many fell into each.
    """

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        self.buckets = [0] * _BUCKETS

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a latency, as often as it was seen."""
        place = int(math.log2(max(seconds, _LEAST) / _LEAST) * _PER_DOUBLING)
        self.buckets[min(place, _BUCKETS - 1)] += times
        self.count += times
        self.most = max(self.most, seconds)

    def merge(self, other: "Histogram") -> None:
        """Take in what another one has counted."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.count += other.count
        self.most = max(self.most, other.most)

    def percentile(self, share: float) -> float:
        """The latency, in seconds, that this share (0 to 1) of all did not exceed; 0 when there were none."""
        if not self.count:
            return 0.0
        wanted = max(1, math.ceil(share * self.count))
        seen = 0
        for place, times in enumerate(self.buckets):
            seen += times
            if seen >= wanted:
                middle = _LEAST * math.exp2((place + 0.5) / _PER_DOUBLING)
                return min(middle, self.most)
        return self.most
