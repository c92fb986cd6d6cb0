"""The journal as a setting names it: opens connections to it."""

from pathlib import Path

from core.errors import ConfigurationError, JournalMissing
from core.repository.archive import Archive
from core.repository.base import Repository
from core.repository.sqlite import open_sqlite
from core.repository.sqlite_archive import open_archive


class Journal:
    """A configured journal.

    Args:
        url: a file, or `sqlite:///FILE`.
        directory: what files are relative to.

    Raises:
        ConfigurationError: the URL names no journal.
    """

    def __init__(self, url: str, directory: Path) -> None:
        scheme, mark, rest = url.partition("://")
        if mark and scheme != "sqlite":
            raise ConfigurationError(f"database: {scheme!r} is not known; write a file's name, or sqlite:///FILE")
        self.path = directory / (
            rest.removeprefix("/") if mark and not rest.startswith("//") else rest if mark else url
        )

    def open(self, *, patience: float = 10.0) -> Repository:
        """Open it for what must last: a commit is on the disk when it returns.

        Args:
            patience: seconds to wait for another process's lock.

        Raises:
            JournalError: it can't be opened.
        """
        return open_sqlite(self.path, patience=patience)

    def open_heartbeat(self) -> Repository:
        """Open it for records of the present moment: a commit may be lost in a power cut."""
        return open_sqlite(self.path, durable=False)

    def open_readonly(self) -> Repository:
        """Open it for reading. It is never created here.

        Raises:
            JournalMissing: there is no journal yet.
        """
        self._require()
        return open_sqlite(self.path, readonly=True)

    def open_archive(self, *, readonly: bool) -> Archive:
        """Open it for operators, who search it and, unless `readonly`, retry and discard. It is never created here.

        Raises:
            JournalMissing: there is no journal yet.
        """
        self._require()
        return open_archive(self.path, readonly=readonly)

    def _require(self) -> None:
        if not self.path.exists():
            raise JournalMissing(f"there is no journal {self.path} yet: servers and workers make it")
