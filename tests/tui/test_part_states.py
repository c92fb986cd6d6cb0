"""A journal that can't be written is red in the diagram, and no part that waits for it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.database import Database
from core.model import Part, Trouble
from core.monitor.snapshot import Presence
from core.repository.sqlite import FAULTS
from tests.integration.supervised import Supervised
from tests.services.waiting import wait_until
from tests.tui import scene
from tests.tui.watching import broken, look, red, watching
from tui.part_states import PartState, state_of
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


@pytest.mark.parametrize("presence", list(Presence))
def test_only_a_process_that_certainly_works_shows_that_a_part_does(presence: Presence) -> None:
    complaining, other = (row.process for row in scene.view().workers[:2])
    away = replace(complaining, presence=Presence.TROUBLED, troubles=(Trouble(Part.BROKER, "away"),))
    snapshot = replace(scene.view().snapshot, depth=None, processes=(away, replace(other, presence=presence)))
    view = replace(scene.view(), snapshot=snapshot, report=None)
    counts = presence.alive and presence is not Presence.STARTING
    assert state_of(view, Part.BROKER) is (PartState.DOUBTFUL if counts else PartState.BROKEN)
