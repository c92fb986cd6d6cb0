"""Summarises rounds as medians, ratios and processor time per task. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeAlias

import msgspec

from tests.benchmarks.case import Group, Measured, Stage
from tests.benchmarks.runner import Round

Place: TypeAlias = tuple[str, Stage]
"""A stage of a case."""

COUNTERPART = {Stage.MEANWHILE: Stage.ACCEPT}
"""The stage of another case with which a stage is compared, where it is not the same: accepting while everything runs
is compared with accepting alone."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one case over all rounds."""

    case: str
    stage: Stage
    rate: float
    """Tasks a second, the median of the rounds."""
    lowest: float
    highest: float
    ceiling: str
    """The case that this one is compared with."""
    ratio: float | None
    """The ratio to the ceiling's rate: the median of the ratios within each round, measured on the same machine."""
    fastest_peer: str | None = None
    """The peer with the highest rate, or None when no peer was measured."""
    over_peers: float | None = None
    """The ratio to that peer's rate, in the same way."""
    cpu: dict[Group, float]
    """Microseconds of processor time per task by group, medians."""


def summarise(
    rounds: Sequence[Round], baseline: str, peers: Sequence[str] = (), ceilings: Mapping[str, str] | None = None
) -> list[Row]:
    """Return a row for each stage of each case, in the order of the first round.

    Args:
        rounds: the measurements.
        baseline: the case with which the others are compared; it may be missing.
        peers: the cases of which the fastest is also compared with; they may be missing.
        ceilings: other baselines for some cases.
    """
    return [
        _row((case, stage), rounds, (ceilings or {}).get(case, baseline), peers)
        for case in (rounds[0] if rounds else ())
        for stage in Stage
        if all(stage in done[case] for done in rounds)
    ]


def fastest(rounds: Sequence[Round], cases: Iterable[str], stage: Stage) -> str | None:
    """Return the case with the highest median rate in a stage. Returns None when no case has that stage."""
    rates = {case: _rates(rounds, (case, stage)) for case in cases}
    return max((case for case in rates if rates[case]), key=lambda case: median(rates[case]), default=None)


def compare(rounds: Sequence[Round], place: Place, other: Place) -> float | None:
    """Return the median of the ratio of two rates in each round. Returns None when one is missing."""
    ratios = [_rate(done, place) / _rate(done, other) for done in rounds if _has(done, place) and _has(done, other)]
    return median(ratios) if ratios else None


def _row(place: Place, rounds: Sequence[Round], ceiling: str, peers: Sequence[str]) -> Row:
    case, stage = place
    measured = [done[case][stage] for done in rounds]
    rates = _rates(rounds, place)
    counterpart = COUNTERPART.get(stage, stage)
    peer = fastest(rounds, peers, counterpart)
    return Row(
        case=case,
        stage=stage,
        rate=median(rates),
        lowest=min(rates),
        highest=max(rates),
        ceiling=ceiling,
        ratio=compare(rounds, place, (ceiling, counterpart)),
        fastest_peer=peer,
        over_peers=None if peer is None else compare(rounds, place, (peer, counterpart)),
        cpu={group: _microseconds(measured, group) for group in _groups(measured)},
    )


def _has(done: Round, place: Place) -> bool:
    case, stage = place
    return case in done and stage in done[case]


def _rate(done: Round, place: Place) -> float:
    case, stage = place
    return done[case][stage].rate


def _rates(rounds: Sequence[Round], place: Place) -> list[float]:
    return [_rate(done, place) for done in rounds if _has(done, place)]


def _groups(measured: Iterable[Measured]) -> list[Group]:
    present = {group for each in measured for group in each.cpu}
    return [group for group in Group if group in present]


def _microseconds(measured: Iterable[Measured], group: Group) -> float:
    return median(1e6 * each.cpu.get(group, 0.0) / each.tasks for each in measured)
