"""The journal that the settings name, and the ways to open it."""

from pathlib import Path

from core.errors import ConfigurationError, JournalMissing
from core.repository.archive import Archive
from core.repository.base import Repository
from core.repository.beginnings import Beginnings, WorkerBeginnings
from core.repository.sqlite import open_sqlite
from core.repository.sqlite_archive import open_archive

CHECK_TIMEOUT = 0.5
"""Seconds for which a check waits for another process's lock."""


class Journal:
    """A configured journal.

    Args:
        url: a file, or `sqlite:///FILE`.
        directory: the directory that a relative path starts from.

    Raises:
        ConfigurationError: the URL is of another database.
    """

    def __init__(self, url: str, directory: Path) -> None:
        scheme, mark, rest = url.partition("://")
        if mark and scheme != "sqlite":
            raise ConfigurationError(f"database: {scheme!r} is not supported; give a file name or sqlite:///FILE")
        self.path = directory / (
            rest.removeprefix("/") if mark and not rest.startswith("//") else rest if mark else url
        )

    def open(self, *, lock_timeout: float = 10.0) -> Repository:
        """Open the journal for changes that must last: a commit is on disk when it returns. Creates a missing journal.

        Args:
            lock_timeout: seconds to wait for another process's lock.

        Raises:
            JournalError: it can't be opened.
        """
        return open_sqlite(self.path, lock_timeout=lock_timeout)

    def open_heartbeat(self) -> Repository:
        """Open the journal for heartbeats: a commit may be lost in a power cut. Creates a missing journal."""
        return open_sqlite(self.path, durable=False)

    def open_beginnings(self, number: int, worker: str) -> WorkerBeginnings:
        """Make the file in which a worker notes what it begins.

        Args:
            number: the number that the journal assigned to it.
            worker: its name.
        """
        return Beginnings(self.path).of_worker(number, worker)

    def check_writable(self) -> None:
        """Take the write lock for a moment.

        Raises:
            JournalError: the journal can't be changed now.
        """
        self.require_existing()
        with open_sqlite(self.path, durable=False, lock_timeout=CHECK_TIMEOUT) as repository, repository.transaction():
            pass

    def open_readonly(self) -> Repository:
        """Open the journal for reading.

        Raises:
            JournalMissing: there is no journal yet.
        """
        self.require_existing()
        return open_sqlite(self.path, readonly=True)

    def open_archive(self, *, readonly: bool) -> Archive:
        """Open the journal for operators, who search it and, unless `readonly`, retry and discard tasks.

        Raises:
            JournalMissing: there is no journal yet.
        """
        self.require_existing()
        return open_archive(self.path, readonly=readonly)

    def require_existing(self) -> None:
        """Check that there is a journal.

        Raises:
            JournalMissing: there is none yet.
        """
        if not self.path.exists():
            raise JournalMissing(f"there is no journal {self.path} yet: servers and workers create it")
