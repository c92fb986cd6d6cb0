"""From a setting to a journal."""

from pathlib import Path

from core.errors import ConfigurationError, JournalMissing
from core.repository.archive import Archive, OpenArchive
from core.repository.base import OpenRepository, Repository
from core.repository.sqlite import open_sqlite
from core.repository.sqlite_archive import open_archive


class Journal:
    """A journal as it is configured: opens connections to it.

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

    def writing(self, *, patience: float = 10.0) -> OpenRepository:
        """For what was promised: a commit is on the disk."""

        def open_it() -> Repository:
            return open_sqlite(self.path, patience=patience)

        return open_it

    def heartbeat(self) -> OpenRepository:
        """For what is only of this moment: a commit may be lost in a power cut."""

        def open_it() -> Repository:
            return open_sqlite(self.path, durable=False)

        return open_it

    def reading(self) -> OpenRepository:
        """For looking only. What it returns raises `JournalMissing` where there is no journal: it makes none."""

        def open_it() -> Repository:
            self._require()
            return open_sqlite(self.path, readonly=True)

        return open_it

    def archive(self, *, readonly: bool) -> OpenArchive:
        """For people who look through it, and settle what has failed unless `readonly`; it makes none, either."""

        def open_it() -> Archive:
            self._require()
            return open_archive(self.path, readonly=readonly)

        return open_it

    def _require(self) -> None:
        if not self.path.exists():
            raise JournalMissing(f"there is no journal {self.path} yet: servers and workers make it")
