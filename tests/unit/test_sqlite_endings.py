"""The endings in SQLite: how many are kept, and journals that have none."""

from itertools import takewhile
from pathlib import Path

import pytest

from core.database import Database
from core.repository import sqlite_endings
from core.repository.archive import Archive
from core.repository.search import Search
from core.repository.sqlite import FAULTS, open_sqlite, schema
from core.repository.sqlite_archive import open_archive
from tests.contract.repositories import end, queue

EVERYTHING = Search()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file for a journal."""
    return tmp_path / "resultados.db"


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the endings of few transactions."""
    monkeypatch.setattr(sqlite_endings, "KEPT", 10)
    monkeypatch.setattr(sqlite_endings, "PRUNE_INTERVAL", 5)


def kept(path: Path) -> int:
    """Return the number of transactions whose endings are kept."""
    with Database(path, FAULTS, readonly=True) as database:
        return database.number("SELECT count(*) FROM endings")


def follow(archive: Archive, position: int) -> list[int] | None:
    """Return the tasks that have ended after a position, or None when they are not known."""
    found = archive.ended_after(EVERYTHING, position)
    return None if found is None else list(found.seqs)


@pytest.mark.usefixtures("few_kept")
def test_old_endings_are_removed_and_a_reader_that_is_far_behind_learns_it(path: Path) -> None:
    with open_sqlite(path) as journal, open_archive(path, readonly=True) as archive:
        start = archive.find_live(EVERYTHING).position
        positions = []
        for number in range(37):
            end(journal, f"t{number}")
            positions.append(archive.find_live(EVERYTHING).position)
            assert kept(path) < 10 + 5
        assert follow(archive, start) is None
        # All that are still known are handed over, and of none that are not a part.
        lists = [follow(archive, position) for position in positions]
        assert lists == [None] * 24 + [list(range(place + 2, 38)) for place in range(24, 37)]


def test_an_older_journal_is_read_anew_each_time_until_it_is_migrated(path: Path) -> None:
    with Database(path, FAULTS) as database:
        database.migrate(list(takewhile(lambda script: "endings" not in script, schema())))
    with open_archive(path, readonly=True) as archive:
        position = archive.find_live(EVERYTHING).position
        assert follow(archive, position) is None
        assert "an older version wrote this journal" in archive.limitation()
        with open_sqlite(path) as journal:
            end(journal, "a")
            found = archive.find_live(EVERYTHING)
            assert list(found.seqs) == [1]
            end(journal, "b")
        assert follow(archive, position) is None
        assert follow(archive, found.position) == [2]
        assert archive.limitation() == ""


def test_a_transaction_that_ends_nothing_records_nothing(path: Path) -> None:
    with open_sqlite(path) as journal:
        queue(journal, "a")
        assert kept(path) == 0
        end(journal, "b", "c")
        assert kept(path) == 1
