"""The checks of the disks that hold the data: their file systems and their free space."""

import shutil
from pathlib import Path

from core.database import refuse_network_file_system
from core.errors import JournalUnusable
from core.formatting import megabytes
from core.repository.sqlite import FAULTS
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.places import ELSEWHERE, ON_THIS_MACHINE, data_paths, nearest_existing

MIN_SPACE = 200_000_000
"""Free bytes below which the journal will soon be unwritable."""

ENOUGH_SPACE = 500_000_000
"""Free bytes below which there is a warning."""


def check_file_system(subject: Subject) -> Findings:
    """Check whether the data lies on a file system where SQLite can keep it safe."""
    for path in data_paths(subject):
        try:
            refuse_network_file_system(path, FAULTS)
        except JournalUnusable as error:
            yield problem("file system", str(error), ON_THIS_MACHINE)
            return
    yield ok("file system", "the data is on local disks")


def check_space(subject: Subject) -> Findings:
    """Check the free space of the disks that hold the data."""
    places = [nearest_existing(path) for path in data_paths(subject)]
    for place in {place.stat().st_dev: place for place in reversed(places)}.values():
        yield judge_space(place, shutil.disk_usage(place).free)


def judge_space(place: Path, free: int) -> Finding:
    """Judge whether the free bytes of a disk suffice."""
    text = f"{megabytes(free)} are free on the disk of {place}"
    if free >= ENOUGH_SPACE:
        return ok("space", text)
    remedy = f"free some space there, or {ELSEWHERE}"
    if free >= MIN_SPACE:
        return warning("space", f"only {text}", remedy)
    return problem("space", f"only {text}: at least {megabytes(MIN_SPACE)} are needed", remedy)
