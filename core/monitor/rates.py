"""The rates of processes, from the samples that processes store once a second. Pure."""

from collections.abc import Iterable, Mapping

from core.model import Counters, Role
from core.repository.base import Sample

WINDOW = 5
"""Seconds over which a rate is computed."""


def rates(samples: Iterable[Sample], now: int) -> Mapping[int, float]:
    """Return the tasks that each server accepted, and the attempts that each worker ended, per second, by number.

    Args:
        samples: the samples in order of time; those older than the window are ignored.
        now: the present second. A process without two recent samples has no rate.
    """
    first: dict[int, Sample] = {}
    last: dict[int, Sample] = {}
    for sample in samples:
        if sample.second >= now - WINDOW - 1:
            first.setdefault(sample.number, sample)
            last[sample.number] = sample
    return {
        number: (handled(sample.role, sample.counters) - handled(sample.role, first[number].counters))
        / (sample.second - first[number].second)
        for number, sample in last.items()
        if sample.second > first[number].second and sample.second >= now - 3
    }


def handled(role: Role, counters: Counters) -> int:
    """Return how many tasks a server has accepted, or how many attempts a worker has ended, since its start."""
    if role is Role.SERVER:
        return counters.accepted
    return counters.done + counters.failed + counters.retried
