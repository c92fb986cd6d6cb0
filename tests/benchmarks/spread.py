"""The percentiles of some latencies. Pure."""

import math
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How some durations are spread, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> "Spread":
        """Sort them, and look: each percentile is one that was measured.

        Raises:
            ValueError: there are none.
        """
        if not durations:
            raise ValueError("nothing was measured")
        ordered = sorted(durations)

        def share(part: float) -> float:
            return ordered[max(0, math.ceil(part * len(ordered)) - 1)]

        return cls(count=len(ordered), p50=share(0.5), p95=share(0.95), p99=share(0.99), most=ordered[-1])


def milliseconds(seconds: float) -> str:
    """A duration as a cell of a table."""
    value = seconds * 1000
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
