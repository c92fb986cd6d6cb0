"""The real source: what it reads from a directory."""

import argparse
from contextlib import closing
from pathlib import Path

import pytest

from core import config
from core.errors import JournalMissing
from tests.tui.journals import JournalWriter
from tui.options import OPTIONS
from tui.services import LocalSource


@pytest.fixture
def source(tmp_path: Path) -> LocalSource:
    """The source of a directory in which nothing has run."""
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, OPTIONS)
    settings = config.load(OPTIONS, parser.parse_args(["--dir", str(tmp_path), "--read-only"]), {})
    return LocalSource(settings, {})


def test_everything_about_one_task_can_be_read(tmp_path: Path, source: LocalSource) -> None:
    with closing(JournalWriter(tmp_path)) as journal:
        [seq] = journal.end("a", payload=f'"{"x" * 5000}"')
        record = source.task(seq)
        assert record is not None
        task = record.task
        assert (task.id, len(task.payload)) == ("a", 5002)
        assert source.task(seq + 1) is None


def test_without_a_journal_no_task_is_read_and_no_journal_is_created(tmp_path: Path, source: LocalSource) -> None:
    with pytest.raises(JournalMissing):
        source.task(1)
    assert list(tmp_path.iterdir()) == []


def test_a_task_is_read_from_the_current_journal(tmp_path: Path, source: LocalSource) -> None:
    with closing(JournalWriter(tmp_path)) as journal:
        [seq] = journal.end("of-the-first")
        assert source.task(seq) is not None
    for file in tmp_path.glob("resultados.db*"):
        file.unlink()
    with closing(JournalWriter(tmp_path)) as journal:
        assert journal.end("of-the-second") == [seq]
        record = source.task(seq)
    assert record is not None
    assert record.task.id == "of-the-second"
