"""The check of the permissions: whether what the system keeps for itself is its user's alone."""

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from core import config, exposure
from core.errors import ConfigurationError
from core.file_permissions import readable_by_others
from core.repository.journal import Journal
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.machine import user_id
from core.supervisor.doctor.remedies import Platform


def check_permissions(subject: Subject) -> Findings:
    """Whether other users are kept from what the system keeps for itself."""
    path = subject.home.path
    if not path.is_dir():
        yield ok("permissions", f"{path} will be made for this user alone")
    elif user_id() is None:
        yield ok("permissions", f"{path} has those of the directory that it is in")
    else:
        yield _judge_rights(path, subject.platform)
    directory = subject.home.directory
    if user_id() is not None and directory.is_dir() and _anybodys(directory.stat().st_mode):
        text = f"any user may put other files in the place of those in {directory}"
        yield warning("permissions", text, remedies.close_to_others(subject.platform, directory))
    loose = [file for file in _elsewhere(subject) if readable_by_others(file)]
    if loose:
        text = f"other users may read or write {_some(loose)}"
        remedy = "; ".join(remedies.close_to_others(subject.platform, file) for file in loose)
        yield warning("permissions", text, remedy)


def _anybodys(mode: int) -> bool:
    """Whether anybody may take away and rename what is in a directory."""
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _elsewhere(subject: Subject) -> Sequence[Path]:
    """The files with something to hide that are not in the supervisor's directory."""
    settings = subject.settings
    named = [settings[config.TOKEN_FILE], settings[exposure.TLS_KEY] or settings[exposure.TLS_CERTIFICATE]]
    files = [Path(name) for name in named if name]
    # A setting that names no journal is told of by the check of the journal.
    with contextlib.suppress(ConfigurationError):
        journal = Journal(settings[config.DATABASE], subject.home.directory).path
        files[:0] = [journal.with_name(f"{journal.name}{end}") for end in ("", "-wal", "-shm")]
    return files


def _judge_rights(path: Path, platform: Platform) -> Finding:
    """Say whether the supervisor's directory, and what the system keeps in it, is this user's alone."""
    user = user_id()
    # What belongs to another can perhaps not even be listed.
    found = {path: path.stat()} if path.stat().st_uid != user else _listed(path)
    strangers = [file for file, seen in found.items() if seen.st_uid != user]
    loose = [file for file, seen in found.items() if seen.st_mode & 0o077]
    if strangers:
        text = f"{_some(strangers)} in {path.parent} belong to another user"
        if platform.root:
            return warning("permissions", text, "run as that user")
        return problem("permissions", text, f"{remedies.take_over(platform, path)}, or run as that user")
    if loose:
        text = f"other users may read or write {_some(loose)} in {path.parent}"
        return warning("permissions", text, remedies.close_to_others(platform, path))
    return ok("permissions", f"{path} is this user's alone")


def _listed(path: Path) -> dict[Path, os.stat_result]:
    """The supervisor's directory, and the files in it and in that of the logs."""
    found = {path: path.stat()}
    for place in (path, path / "logs"):
        for file in place.iterdir() if place.is_dir() else ():
            # A system that runs makes files and takes them away.
            with contextlib.suppress(FileNotFoundError):
                seen = file.stat()
                if stat.S_ISREG(seen.st_mode):
                    found[file] = seen
    return found


def _some(paths: Sequence[Path]) -> str:
    """Name a few, and say how many the others are."""
    named = ", ".join(path.name for path in paths[:3])
    return f"{named} and {len(paths) - 3} more" if len(paths) > 3 else named
