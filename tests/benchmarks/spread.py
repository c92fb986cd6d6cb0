"""Percentiles of durations. Pure."""

import math
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of some durations, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> "Spread":
        """Compute the percentiles; each is a measured value.

        Raises:
            ValueError: there are no durations.
        """
        if not durations:
            raise ValueError("nothing was measured")
        ordered = sorted(durations)

        def percentile(fraction: float) -> float:
            return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]

        return cls(
            count=len(ordered), p50=percentile(0.5), p95=percentile(0.95), p99=percentile(0.99), most=ordered[-1]
        )


def milliseconds(seconds: float) -> str:
    """Return a duration as a cell of a table."""
    value = seconds * 1000
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
