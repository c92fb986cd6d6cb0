"""How long the last tasks of each worker waited before they ran, and how long they ran. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from core.repository.archive import Timing


class Delays(msgspec.Struct, frozen=True):
    """Percentiles of the seconds that tasks waited and ran."""

    waited_p50: float | None
    """None when no wait is known."""
    waited_p95: float | None
    took_p50: float
    took_p95: float


def by_worker(timings: Iterable[Timing]) -> Mapping[str, Delays]:
    """Return the delays of each worker by its name, and of all workers together under the empty name."""
    waited: dict[str, list[float]] = {}
    took: dict[str, list[float]] = {}
    for timing in timings:
        for name in (timing.worker, ""):
            known = waited.setdefault(name, [])
            if timing.waited is not None:
                known.append(timing.waited)
            took.setdefault(name, []).append(timing.took)
    return {
        name: Delays(
            percentile(waited[name], 0.50) if waited[name] else None,
            percentile(waited[name], 0.95) if waited[name] else None,
            percentile(took[name], 0.50),
            percentile(took[name], 0.95),
        )
        for name in took
    }


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest of these values that at least this share of them does not exceed.

    Args:
        values: at least one value.
        share: a number between 0 and 1.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
