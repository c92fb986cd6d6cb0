"""Runs cases one after another, each in its own directory and independent of the others."""

import logging
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.faults.case import Case
from tests.faults.context import CaseContext
from tests.faults.values import CaseResult, Finding, Invariant, Outcome, Profile

_log = logging.getLogger("cauce.faults")


def run(
    cases: Iterable[Case], profile: Profile, seed: int, directory: Path, show_progress: Callable[[str], None]
) -> Iterator[CaseResult]:
    """Run cases, and yield the result of each.

    Args:
        cases: in the order to run them.
        profile: how much each case does.
        seed: of the campaign; a case's own seed depends on it and its name, so that it can be repeated alone.
        directory: for a directory of each case, which is kept when the case fails.
        show_progress: writes a line.
    """
    for case in cases:
        yield run_one(case, profile, seed_of(case, seed), directory, show_progress)


def seed_of(case: Case, seed: int) -> int:
    """Return the seed of a case."""
    return zlib.crc32(f"{seed} {case.name}".encode())


def run_one(
    case: Case, profile: Profile, seed: int, directory: Path, show_progress: Callable[[str], None]
) -> CaseResult:
    """Run one case."""
    case_directory = directory / case.name.replace(" ", "-")
    case_directory.mkdir(mode=0o700, parents=True)
    show_progress(f"{case.name} (seed {seed})")
    context = CaseContext(case_directory, profile, seed, lambda text: show_progress(f"  {text}"))
    started_at = time.monotonic()
    try:
        outcome = case.run(context)
    except Exception as error:  # noqa: BLE001 - the other cases go on
        _log.exception("%s broke down", case.name)
        outcome = Outcome(broken=(Finding(Invariant.CLEAN, f"the case broke down: {type(error).__name__}: {error}"),))
    finally:
        context.submissions.close()
    if not outcome.broken:
        shutil.rmtree(case_directory)
    return CaseResult(
        case=case.name, target=case.target, seed=seed, seconds=round(time.monotonic() - started_at, 1), outcome=outcome
    )
