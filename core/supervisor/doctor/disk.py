"""The checks of the disks that the data is on: of what kind they are, and how much is free."""

import shutil
from pathlib import Path

from core.database import refuse_network_file_system
from core.errors import JournalUnusable
from core.formatting import megabytes
from core.repository.sqlite import FAULTS
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.places import ELSEWHERE, ON_THIS_MACHINE, data_paths, nearest_existing

MIN_SPACE = 200_000_000
"""Free bytes below which a journal soon can't be written."""

ENOUGH_SPACE = 500_000_000


def check_file_system(subject: Subject) -> Findings:
    """Whether the data lies where SQLite can keep it safe."""
    for path in data_paths(subject):
        try:
            refuse_network_file_system(path, FAULTS)
        except JournalUnusable as error:
            yield problem("file system", str(error), ON_THIS_MACHINE)
            return
    yield ok("file system", "the data is on local disks")


def check_space(subject: Subject) -> Findings:
    """How much is free on the disks that the data is on."""
    places = [nearest_existing(path) for path in data_paths(subject)]
    for place in {place.stat().st_dev: place for place in reversed(places)}.values():
        yield judge_space(place, shutil.disk_usage(place).free)


def judge_space(place: Path, free: int) -> Finding:
    """Say whether so many free bytes will do."""
    text = f"{megabytes(free)} are free on the disk of {place}"
    if free >= ENOUGH_SPACE:
        return ok("space", text)
    remedy = f"free some space there, or {ELSEWHERE}"
    if free >= MIN_SPACE:
        return warning("space", f"only {text}", remedy)
    return problem("space", f"only {text}: at least {megabytes(MIN_SPACE)} are needed", remedy)
