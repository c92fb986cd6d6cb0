"""Runs cases in rounds, each case once per round, so that changes of the machine's load affect all cases alike."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.benchmarks.case import Case, Group, Order, Result

Round: TypeAlias = Mapping[str, Result]
"""The results of one round by case name."""


def run(
    cases: Sequence[Case], order: Order, rounds: int, directory: Path, show_progress: Callable[[str], None]
) -> list[Round]:
    """Run all rounds, and return their results.

    Args:
        cases: to measure; each round begins with another one.
        order: how much each run measures.
        rounds: number of rounds.
        directory: for a temporary directory of each run.
        show_progress: writes a line.

    Raises:
        TasksLost: a case lost tasks.
    """
    results: list[Round] = []
    for number in range(rounds):
        first = number % len(cases)
        done: dict[str, Result] = {}
        for case in (*cases[first:], *cases[:first]):
            place = directory / f"{number + 1}-{case.name}"
            place.mkdir()
            done[case.name] = case.run(place, order)
            shutil.rmtree(place)
            show_progress(f"round {number + 1} of {rounds}: {case.name}: {_describe(done[case.name])}")
        results.append(done)
    return results


def _describe(result: Result) -> str:
    """Return the rates, and the load from other processes, which should be small."""
    rates = ", ".join(f"{stage} {measured.rate:,.0f}/s" for stage, measured in result.items())
    elsewhere = sum(measured.cpu.get(Group.ELSEWHERE, 0.0) for measured in result.values())
    seconds = sum(measured.seconds for measured in result.values())
    return f"{rates}; {elsewhere / seconds:.2f} processors busy elsewhere"
