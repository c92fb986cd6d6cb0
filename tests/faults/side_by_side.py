"""Runs several cases at once, each in its own process: faster, and harder for the systems under attack."""

import concurrent.futures
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.broker.rabbitmq import quiet_pika
from tests.faults import campaign, catalogue
from tests.faults.case import Case
from tests.faults.progress import show_progress
from tests.faults.values import CaseResult, Profile


def run(cases: Iterable[Case], profile: Profile, seed: int, directory: Path, jobs: int) -> Iterator[CaseResult]:
    """Run cases, and yield the result of each as it ends.

    Args:
        cases: in the order to begin them, all from the catalogue.
        profile: how much each case does.
        seed: of the campaign; a case has the same random numbers as when it runs alone.
        directory: for a directory of each case.
        jobs: number of cases at once.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        futures = [pool.submit(_run_named, case.name, profile, seed, directory) for case in cases]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()


def _run_named(name: str, profile: Profile, seed: int, directory: Path) -> CaseResult:
    """Run the case of a name, because a case can't be pickled."""
    logging.basicConfig(level=logging.WARNING)
    quiet_pika()
    (case,) = (candidate for candidate in catalogue.cases_of(profile) if candidate.name == name)
    return campaign.run_one(
        case, profile, campaign.seed_of(case, seed), directory, lambda text: show_progress(f"[{name}] {text}")
    )
