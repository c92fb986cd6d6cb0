"""Where a system keeps its data, which need not exist yet, and directories for trying to write. It judges nothing."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core import config
from core.errors import ConfigurationError
from core.repository.journal import Journal
from core.supervisor.doctor.finding import Subject

ELSEWHERE = "choose another directory with --dir"
ON_THIS_MACHINE = "choose a directory on a local disk with --dir"


def journal_path(subject: Subject) -> Path:
    """Return the path of the journal.

    Raises:
        ConfigurationError: the setting names no journal.
    """
    return Journal(subject.settings[config.DATABASE], subject.home.directory).path


def data_paths(subject: Subject) -> list[Path]:
    """Return the data directory, and the journal, which may lie elsewhere."""
    paths = [subject.home.directory]
    # The check of the journal reports a setting that names no journal.
    with contextlib.suppress(ConfigurationError):
        paths.append(journal_path(subject))
    return paths


def nearest_existing(path: Path) -> Path:
    """Return the path, or the nearest one above it that exists."""
    # For `os.path` an unreadable path does not exist; then a readable one above it is returned.
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


@contextlib.contextmanager
def scratch_directory(place: Path) -> Iterator[Path]:
    """Create a temporary directory with a file in it, and remove it afterwards.

    Raises:
        OSError: nothing can be written there.
    """
    with tempfile.TemporaryDirectory(prefix=".cauce-doctor-", dir=place) as name:
        Path(name, "file").write_bytes(b"written")
        yield Path(name)
