"""A journal that can't be written is red in the diagram, and no part that waits for it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.database import Database
from core.model import Part
from core.repository.sqlite import FAULTS
from tests.integration.supervised import Supervised
from tests.services.waiting import wait_until
from tests.tui.watching import broken, look, red, watching
from tui.view import Health


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def test_a_locked_journal_is_red_and_the_processes_that_wait_for_it_are_not(system: Supervised) -> None:
    system.up(1, 1)
    directory = system.home.directory
    with watching(directory, "embedded") as builder:
        wait_until(lambda: look(builder).light is Health.READY, "everything to be ready")
        with Database(directory / "resultados.db", FAULTS) as database, database.transaction():
            wait_until(lambda: broken(look(builder)) == {Part.JOURNAL}, "the journal to be red")
            shown = red(look(builder))
            assert "✖ journal resultados.db" in shown
            assert "locked" in shown
            assert not {"s1", "w1", "broker"} & set(shown.split())
        wait_until(lambda: not look(builder).troubles, "all troubles to end")
        assert red(look(builder)) == ""
