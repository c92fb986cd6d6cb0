"""All cases, in the order to run them."""

from collections.abc import Sequence

from tests.faults.case import Case
from tests.faults.cases import (
    broker_links,
    brokers,
    clocks,
    controls,
    crash_points,
    crowds,
    disks,
    embedded,
    foreign,
    frames,
    hostile,
    journal_files,
    kills,
    links,
    poison,
    rigged_hostile,
    rigged_parts,
    soak,
    terminals,
)
from tests.faults.values import Profile


def all_cases() -> Sequence[Case]:
    """Return every case."""
    return [
        *soak.CASES,  # the longest: in a parallel run it should begin first
        *kills.CASES,
        *links.CASES,
        *frames.CASES,
        *broker_links.CASES,
        *poison.CASES,
        *journal_files.CASES,
        *hostile.CASES,
        *crowds.CASES,
        *crash_points.CASES,
        *disks.CASES,
        *controls.CASES,
        *rigged_hostile.CASES,
        *rigged_parts.CASES,
        *clocks.CASES,
        *brokers.CASES,
        *embedded.CASES,
        *foreign.CASES,
        *terminals.CASES,
    ]


def cases_of(profile: Profile, only: Sequence[str] = ()) -> list[Case]:
    """Return the cases of a profile whose name contains one of these words; all when there are no words."""
    return [case for case in all_cases() if profile in case.profiles and _is_wanted(case, only)]


def _is_wanted(case: Case, only: Sequence[str]) -> bool:
    return not only or any(word.lower() in case.name.lower() for word in only)
