"""The check of the data directory: whether it can be created and written, and whether its files can be locked."""

import os
from pathlib import Path

from core.errors import SupervisorError
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem
from core.supervisor.doctor.places import ELSEWHERE, ON_THIS_MACHINE, nearest_existing, scratch_directory
from core.supervisor.lock import Lock, is_held


def check_directory(subject: Subject) -> Findings:
    """Check whether the data directory, or the nearest above it, can be written, with files that can be locked."""
    home = subject.home
    place = nearest_existing(home.directory)
    if not place.is_dir():
        yield problem("directory", f"{place} is not a directory, so {home.directory} can't be one", ELSEWHERE)
        return
    if os.path.lexists(home.path) and not home.path.is_dir():
        yield problem("directory", f"{home.path} is not a directory", f"rename it, or {ELSEWHERE}")
        return
    for written in dict.fromkeys((place, home.path if home.path.is_dir() else place)):
        try:
            with scratch_directory(written) as scratch:
                locks = _check_locks(scratch)
        except OSError as error:
            text = f"{written} can't be written: {error.strerror or error}"
            yield problem("directory", text, _write_remedy(written, subject))
            return
    exists = place == home.directory
    yield ok(
        "directory", f"{home.directory} {'can be written' if exists else 'does not exist yet, and can be created'}"
    )
    yield locks


def _write_remedy(written: Path, subject: Subject) -> str:
    """Return the remedy where this user can't write. Only the supervisor's directory is taken over from its owner."""
    home = subject.home
    if written == home.path:
        return f"{remedies.take_over(subject.platform, written)}, or {ELSEWHERE}"
    if written == home.directory:
        return "choose one of your own directories with --dir"
    return f"{remedies.make_directory(subject.platform, home.directory)}, or {ELSEWHERE}"


def _check_locks(scratch: Path) -> Finding:
    """Check whether the system refuses a lock to a second holder, and frees it afterwards."""
    path = scratch / "lock"
    try:
        with Lock(path):
            works = is_held(path)
        works = works and not is_held(path)
    except SupervisorError as error:
        return problem("locks", str(error), ON_THIS_MACHINE)
    if works:
        return ok("locks", "files can be locked there")
    text = f"files in {scratch.parent} can't be locked: two supervisors could run in one directory"
    return problem("locks", text, ON_THIS_MACHINE)
