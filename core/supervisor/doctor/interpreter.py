"""The checks of the interpreter and its packages."""

import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from core.database import Database
from core.errors import JournalUnusable
from core.repository.sqlite import FAULTS
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem
from core.supervisor.doctor.remedies import Platform
from core.supervisor.doctor.versions import minimum_version, numbers

MIN_PYTHON = (3, 11)

_DISTRIBUTION = "cauce"


def check_python(subject: Subject) -> Findings:
    """The interpreter that runs this."""
    yield judge_python(sys.version_info[:3])


def judge_python(version: Sequence[int]) -> Finding:
    """Say whether a version of Python will do."""
    text = f"Python {'.'.join(map(str, version))}"
    if tuple(version) >= MIN_PYTHON:
        return ok("python", text)
    least = ".".join(map(str, MIN_PYTHON))
    remedy = f"install Python {least} or newer (https://www.python.org), and make the virtual environment anew with it"
    return problem("python", f"{text} is too old: {least} or newer is needed", remedy)


def check_packages(subject: Subject) -> Findings:
    """What is required of other Python packages."""
    try:
        required = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield ok("packages", "Cauce was not installed as a package, so its requirements are not known")
        return
    yield judge_packages(required, _installed_version, subject.platform)


def judge_packages(required: Sequence[str], version_of: Callable[[str], str], platform: Platform) -> Finding:
    """Say whether the packages are there, and new enough.

    Args:
        required: as a distribution's metadata has them; what is only for some cases is left out.
        version_of: tells the version of a package; an empty one when it is not installed.
        platform: this one.
    """
    lacking, told = [], []
    for requirement in required:
        name, least = minimum_version(requirement)
        found = version_of(name) if name else ""
        if name and (not found or numbers(found) < numbers(least)):
            lacking.append(requirement)
            told.append(f"{name} {found or 'is missing'}{f' is older than {least}' if found else ''}")
    if not lacking:
        return ok("packages", "the Python packages are there, and new enough")
    remedy = remedies.install_python_packages(platform, sys.executable, lacking)
    return problem("packages", "; ".join(told), remedy)


def _installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def check_sqlite(subject: Subject) -> Findings:
    """The library that keeps the journal."""
    try:
        # In memory, so that no file is made. A library that loses commits is refused here.
        with Database(Path(":memory:"), FAULTS, readonly=True) as database:
            [(version,)] = database.execute("SELECT sqlite_version()")
    except JournalUnusable as error:
        remedy = remedies.install_python_packages(subject.platform, sys.executable, ["apsw>=3.54.1.0"])
        yield problem("sqlite", str(error), remedy)
    else:
        yield ok("sqlite", f"SQLite {version!s}, free of the race that loses commits")
