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
    """Check the version of the interpreter."""
    yield judge_python(sys.version_info[:3])


def judge_python(version: Sequence[int]) -> Finding:
    """Judge a version of Python."""
    text = f"Python {'.'.join(map(str, version))}"
    if tuple(version) >= MIN_PYTHON:
        return ok("python", text)
    minimum = ".".join(map(str, MIN_PYTHON))
    remedy = f"install Python {minimum} or newer (https://www.python.org), and create a new virtual environment with it"
    return problem("python", f"{text} is too old: {minimum} or newer is needed", remedy)


def check_packages(subject: Subject) -> Findings:
    """Check the Python packages that are required."""
    try:
        required = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield ok("packages", "Cauce is not installed as a package, so its requirements are unknown")
        return
    yield judge_packages(required, _installed_version, subject.platform)


def judge_packages(required: Sequence[str], version_of: Callable[[str], str], platform: Platform) -> Finding:
    """Judge whether the required packages are installed and new enough.

    Args:
        required: the requirements in a distribution's metadata. Conditional ones are left out.
        version_of: returns the version of a package, or an empty string when it is not installed.
        platform: this platform.
    """
    lacking, texts = [], []
    for requirement in required:
        name, minimum = minimum_version(requirement)
        found = version_of(name) if name else ""
        if name and (not found or numbers(found) < numbers(minimum)):
            lacking.append(requirement)
            texts.append(f"{name} {found} is older than {minimum}" if found else f"{name} is missing")
    if not lacking:
        return ok("packages", "the required Python packages are installed, and new enough")
    remedy = remedies.install_python_packages(platform, sys.executable, lacking)
    return problem("packages", "; ".join(texts), remedy)


def _installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def check_sqlite(subject: Subject) -> Findings:
    """Check the SQLite library."""
    try:
        # In memory, so that no file is created. Opening refuses a library that can lose commits.
        with Database(Path(":memory:"), FAULTS, readonly=True) as database:
            [(version,)] = database.execute("SELECT sqlite_version()")
    except JournalUnusable as error:
        remedy = remedies.install_python_packages(subject.platform, sys.executable, ["apsw>=3.54.1.0"])
        yield problem("sqlite", str(error), remedy)
    else:
        yield ok("sqlite", f"SQLite {version!s}, without the race that loses commits")
