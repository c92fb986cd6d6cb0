"""From what was measured in each round to medians, ratios and processor time for a task. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeAlias

import msgspec

from tests.benchmarks.case import Group, Measured, Stage
from tests.benchmarks.runner import Round

Place: TypeAlias = tuple[str, Stage]
"""A stage of a case."""

COUNTERPART = {Stage.MEANWHILE: Stage.ACCEPT}
"""What a stage of one case is compared with in another, where that is not the same stage: what is accepted while
everything runs, with what the other accepts when it has nothing else to do."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one case over all rounds."""

    case: str
    stage: Stage
    rate: float
    """Tasks a second: the median of the rounds."""
    lowest: float
    highest: float
    ceiling: str
    """The case that this one is compared with."""
    ratio: float | None
    """The rate as a part of the ceiling's: the median of each round's own ratio, as both met the same machine."""
    fastest_peer: str | None = None
    """Which of the peers has the highest rate; None where none was measured."""
    over_peers: float | None = None
    """The rate as a multiple of that peer's, in the same way."""
    cpu: dict[Group, float]
    """Microseconds of processor time for a task, by who took them: medians."""


def summarise(
    rounds: Sequence[Round], baseline: str, peers: Sequence[str] = (), ceilings: Mapping[str, str] | None = None
) -> list[Row]:
    """One row for each stage of each case, in the order of the cases' names in the first round.

    Args:
        rounds: what was measured.
        baseline: the case that the others are compared with; it may be missing.
        peers: the cases of which the fastest is compared with too; they may be missing.
        ceilings: the cases that are compared with another one than the baseline, and with which.
    """
    return [
        _row((case, stage), rounds, (ceilings or {}).get(case, baseline), peers)
        for case in (rounds[0] if rounds else ())
        for stage in Stage
        if all(stage in done[case] for done in rounds)
    ]


def fastest(rounds: Sequence[Round], cases: Iterable[str], stage: Stage) -> str | None:
    """Which of the cases has the highest rate in a stage, by its median; None when none has that stage."""
    rates = {case: _rates(rounds, (case, stage)) for case in cases}
    return max((case for case in rates if rates[case]), key=lambda case: median(rates[case]), default=None)


def compare(rounds: Sequence[Round], place: Place, other: Place) -> float | None:
    """The rate of a stage as a part of another's: the median of each round's ratio; None where one is missing."""
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
