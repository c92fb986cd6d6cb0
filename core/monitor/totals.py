"""The rates of the whole system, from the ledger as an observer has seen it. Pure.

Unlike the counters of processes, the ledger lacks nothing when a process dies or has just been started.
"""

import math
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from core.model import Ledger
from core.monitor.history import GAP, LENGTH, RateSeries
from core.monitor.rates import WINDOW

MIN_SPAN = 1.0
"""Seconds between two looks at the ledger, at least, for a present rate."""


class _Totals(msgspec.Struct, frozen=True):
    """What had been accepted and had ended at one moment."""

    at: float
    accepted: int
    ended: int


class LedgerHistory:
    """The totals of the ledger over the last minutes.

    Args:
        length: seconds to keep.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self._length = length
        self._points: deque[_Totals] = deque()
        self._last = Ledger()

    def observe(self, at: float, ledger: Ledger) -> None:
        """Add the ledger of a moment, in seconds since the epoch.

        A task that is retried leaves the failed ones, which must not count as fewer ends.
        """
        if self._points and (at <= self._points[-1].at or ledger.total < self._last.total):
            # The clock was set back, or the journal is another one.
            self._points.clear()
        before = self._points[-1].ended if self._points else 0
        ended = max(0, ledger.done - self._last.done) + max(0, ledger.failed - self._last.failed)
        self._points.append(_Totals(at, ledger.total, before + ended))
        self._last = ledger
        while len(self._points) > 1 and self._points[1].at <= at - self._length - GAP:
            self._points.popleft()

    @property
    def present(self) -> tuple[float, float] | None:
        """The tasks accepted and ended per second over the last seconds, or None as long as they are not known."""
        recent = [point for point in self._points if point.at >= self._points[-1].at - WINDOW]
        span = recent[-1].at - recent[0].at if recent else 0.0
        if span < MIN_SPAN:
            return None
        first, last = recent[0], recent[-1]
        return (last.accepted - first.accepted) / span, (last.ended - first.ended) / span

    def correct(self, series: RateSeries, first: int) -> RateSeries:
        """Return the rates with those of each second that was observed as a whole replaced.

        Args:
            series: the rates of consecutive seconds.
            first: the first of these seconds.
        """
        length = len(series.taken_in)
        seen, accepted, ended = [0.0] * length, [0.0] * length, [0.0] * length
        for second, span, rate_in, rate_out in self._parts():
            if first <= second < first + length:
                seen[second - first] += span
                accepted[second - first] += rate_in * span
                ended[second - first] += rate_out * span
        whole = [span > 1 - 1e-6 for span in seen]
        return RateSeries(_chosen(whole, accepted, series.taken_in), _chosen(whole, ended, series.ended))

    def _parts(self) -> Iterator[tuple[int, float, float, float]]:
        """Yield a second, the part of it between two looks, and the rates between them."""
        for before, after in pairwise(self._points):
            span = after.at - before.at
            if span > GAP:
                continue
            rate_in, rate_out = (after.accepted - before.accepted) / span, (after.ended - before.ended) / span
            for second in range(math.floor(before.at), math.ceil(after.at)):
                yield second, min(second + 1, after.at) - max(second, before.at), rate_in, rate_out


def _chosen(whole: list[bool], observed: list[float], otherwise: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(mine if is_whole else other for is_whole, mine, other in zip(whole, observed, otherwise, strict=True))
