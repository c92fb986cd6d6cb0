"""From what was measured in each round to medians, ratios and processor time for a task. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from tests.benchmarks.case import Group, Measured, Stage
from tests.benchmarks.runner import Round


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one case over all rounds."""

    case: str
    stage: Stage
    rate: float
    """Tasks a second: the median of the rounds."""
    lowest: float
    highest: float
    ratio: float | None
    """The rate as a part of the baseline's: the median of each round's own ratio, as both met the same machine."""
    cpu: dict[Group, float]
    """Microseconds of processor time for a task, by who took them: medians."""


def summarise(rounds: Sequence[Round], baseline: str) -> list[Row]:
    """One row for each stage of each case, in the order of the cases' names in the first round.

    Args:
        rounds: what was measured.
        baseline: the case that the others are compared with; it may be missing.
    """
    return [
        _row(case, stage, rounds, baseline)
        for case in (rounds[0] if rounds else ())
        for stage in Stage
        if all(stage in done[case] for done in rounds)
    ]


def _row(case: str, stage: Stage, rounds: Sequence[Round], baseline: str) -> Row:
    measured = [done[case][stage] for done in rounds]
    rates = [each.rate for each in measured]
    compared = [
        done[case][stage].rate / done[baseline][stage].rate
        for done in rounds
        if baseline in done and stage in done[baseline]
    ]
    return Row(
        case=case,
        stage=stage,
        rate=median(rates),
        lowest=min(rates),
        highest=max(rates),
        ratio=median(compared) if compared else None,
        cpu={group: _microseconds(measured, group) for group in _groups(measured)},
    )


def _groups(measured: Iterable[Measured]) -> list[Group]:
    present = {group for each in measured for group in each.cpu}
    return [group for group in Group if group in present]


def _microseconds(measured: Iterable[Measured], group: Group) -> float:
    return median(1e6 * each.cpu.get(group, 0.0) / each.tasks for each in measured)
