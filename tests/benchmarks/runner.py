"""Runs cases in rounds, each case once in each round, so that what changes on the machine meets all of them alike."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.benchmarks.case import Case, Group, Order, Result

Round: TypeAlias = Mapping[str, Result]
"""The results of one round by the names of the cases."""


def run(cases: Sequence[Case], order: Order, rounds: int, directory: Path, say: Callable[[str], None]) -> list[Round]:
    """Run everything, and return what each round gave.

    Args:
        cases: each round begins with another one.
        order: how much is to be done in each run.
        rounds: how many.
        directory: each run has an empty one in it, which is removed afterwards.
        say: shows how far it is.

    Raises:
        Lost: a case has lost tasks.
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
            say(f"round {number + 1} of {rounds}: {case.name}: {_describe(done[case.name])}")
        results.append(done)
    return results


def _describe(result: Result) -> str:
    """The rates, and how busy the machine was with other things: who sees much of that measures again."""
    rates = ", ".join(f"{stage} {measured.rate:,.0f}/s" for stage, measured in result.items())
    elsewhere = sum(measured.cpu.get(Group.ELSEWHERE, 0.0) for measured in result.values())
    seconds = sum(measured.seconds for measured in result.values())
    return f"{rates}; {elsewhere / seconds:.2f} processors busy elsewhere"
