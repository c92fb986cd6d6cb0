"""Where a system keeps its data, which need not be there yet, and whether anything can be written in a place.

Nothing here judges: the checks do.
"""

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
    """Where the journal is to be.

    Raises:
        ConfigurationError: the setting names no journal.
    """
    return Journal(subject.settings[config.DATABASE], subject.home.directory).path


def data_paths(subject: Subject) -> list[Path]:
    """Where data lies: the directory, and the journal, which may be elsewhere."""
    paths = [subject.home.directory]
    # A setting that names no journal is told by the check of the journal.
    with contextlib.suppress(ConfigurationError):
        paths.append(journal_path(subject))
    return paths


def nearest_existing(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    # `os.path` takes what can't be looked at for missing: what can is tried then.
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


@contextlib.contextmanager
def scratch_directory(place: Path) -> Iterator[Path]:
    """A directory to try things in, with a file in it; it is removed in the end.

    Raises:
        OSError: nothing can be written there.
    """
    with tempfile.TemporaryDirectory(prefix=".cauce-doctor-", dir=place) as name:
        Path(name, "file").write_bytes(b"written")
        yield Path(name)
