"""The check of the permissions: whether the files of the system are accessible to its user only."""

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
    """Check whether other users are kept out of the files of the system."""
    path = subject.home.path
    if not path.is_dir():
        yield ok("permissions", f"{path} will be created for this user only")
    elif user_id() is None:
        yield ok("permissions", f"{path} inherits those of its directory")
    else:
        yield _judge_directory(path, subject.platform)
    directory = subject.home.directory
    if user_id() is not None and directory.is_dir() and _is_open_to_all(directory.stat().st_mode):
        text = f"any user may replace files in {directory}"
        yield warning("permissions", text, remedies.close_to_others(subject.platform, directory))
    exposed = [file for file in _private_files(subject) if readable_by_others(file)]
    if exposed:
        text = f"other users may read or write {_name_files(exposed)}"
        remedy = "; ".join(remedies.close_to_others(subject.platform, file) for file in exposed)
        yield warning("permissions", text, remedy)


def _is_open_to_all(mode: int) -> bool:
    """Return whether any user may delete and rename the files of a directory."""
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _private_files(subject: Subject) -> Sequence[Path]:
    """Return the private files outside the supervisor's directory."""
    settings = subject.settings
    named = [settings[config.TOKEN_FILE], settings[exposure.TLS_KEY] or settings[exposure.TLS_CERTIFICATE]]
    files = [Path(name) for name in named if name]
    # The check of the journal reports a setting that names no journal.
    with contextlib.suppress(ConfigurationError):
        journal = Journal(settings[config.DATABASE], subject.home.directory).path
        files[:0] = [journal.with_name(f"{journal.name}{end}") for end in ("", "-wal", "-shm")]
    return files


def _judge_directory(path: Path, platform: Platform) -> Finding:
    """Judge whether the supervisor's directory and its files are accessible to this user only."""
    user = user_id()
    # This user may not be able to list another user's directory.
    found = {path: path.stat()} if path.stat().st_uid != user else _list_files(path)
    foreign = [file for file, status in found.items() if status.st_uid != user]
    exposed = [file for file, status in found.items() if status.st_mode & 0o077]
    if foreign:
        text = f"{_name_files(foreign)} in {path.parent} belong to another user"
        if platform.root:
            return warning("permissions", text, "run as that user")
        return problem("permissions", text, f"{remedies.take_over(platform, path)}, or run as that user")
    if exposed:
        text = f"other users may read or write {_name_files(exposed)} in {path.parent}"
        return warning("permissions", text, remedies.close_to_others(platform, path))
    return ok("permissions", f"{path} is accessible to this user only")


def _list_files(path: Path) -> dict[Path, os.stat_result]:
    """Return the supervisor's directory, with its files and those of the logs."""
    found = {path: path.stat()}
    for place in (path, path / "logs"):
        for file in place.iterdir() if place.is_dir() else ():
            # A running system creates and removes files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                if stat.S_ISREG(status.st_mode):
                    found[file] = status
    return found


def _name_files(paths: Sequence[Path]) -> str:
    """Name the first three files and the number of the others."""
    named = ", ".join(path.name for path in paths[:3])
    return f"{named} and {len(paths) - 3} more" if len(paths) > 3 else named
