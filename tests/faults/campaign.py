"""Runs cases one after the other, each in a directory of its own, whatever the others came to."""

import logging
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.case import Case
from tests.faults.values import Finding, Invariant, Line, Outcome, Profile

_log = logging.getLogger("cauce.faults")


def run(
    cases: Iterable[Case], profile: Profile, seed: int, directory: Path, say: Callable[[str], None]
) -> Iterator[Line]:
    """Run cases, and give out what each came to.

    Args:
        cases: in their order.
        profile: how much each does.
        seed: of the campaign; each case draws its own from it and its name, so that it can be repeated alone.
        directory: each case has a new one in it, which stays when something did not hold.
        say: shows how far it is.
    """
    for case in cases:
        yield run_one(case, profile, seed_of(case, seed), directory, say)


def seed_of(case: Case, seed: int) -> int:
    """The case's own seed."""
    return zlib.crc32(f"{seed} {case.name}".encode())


def run_one(case: Case, profile: Profile, seed: int, directory: Path, say: Callable[[str], None]) -> Line:
    """Run one case with this seed."""
    place = directory / case.name.replace(" ", "-")
    place.mkdir(mode=0o700, parents=True)
    say(f"{case.name} (seed {seed})")
    arena = Arena(place, profile, seed, lambda text: say(f"  {text}"))
    began = time.monotonic()
    try:
        outcome = case.run(arena)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cases go on
        _log.exception("%s broke down", case.name)
        outcome = Outcome(broken=(Finding(Invariant.CLEAN, f"the case broke down: {type(error).__name__}: {error}"),))
    finally:
        arena.ledger.close()
    if not outcome.broken:
        shutil.rmtree(place)
    return Line(
        case=case.name, target=case.target, seed=seed, seconds=round(time.monotonic() - began, 1), outcome=outcome
    )
