"""Runs several cases at once, each in a process of its own: quicker, and harder for what is attacked."""

import concurrent.futures
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.broker.rabbitmq import quiet_pika
from tests.faults import campaign, catalogue
from tests.faults.case import Case
from tests.faults.progress import say
from tests.faults.values import Line, Profile


def run(cases: Iterable[Case], profile: Profile, seed: int, directory: Path, jobs: int) -> Iterator[Line]:
    """Run cases, and give out what each came to as it ends.

    Args:
        cases: in the order in which they begin; each must be in the catalogue.
        profile: how much each does.
        seed: of the campaign; what is left to chance in a case is the same as when it runs alone.
        directory: each case has a new one in it.
        jobs: how many cases at once.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        ends = [pool.submit(_run_named, case.name, profile, seed, directory) for case in cases]
        for end in concurrent.futures.as_completed(ends):
            yield end.result()


def _run_named(name: str, profile: Profile, seed: int, directory: Path) -> Line:
    """Run the case of this name; a case itself can't be sent to another process."""
    logging.basicConfig(level=logging.WARNING)
    quiet_pika()
    (case,) = (each for each in catalogue.cases_of(profile) if each.name == name)
    return campaign.run_one(
        case, profile, campaign.seed_of(case, seed), directory, lambda text: say(f"[{name}] {text}")
    )
