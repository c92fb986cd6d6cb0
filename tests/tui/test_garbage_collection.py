"""When the console collects garbage."""

import asyncio
import gc
import weakref

import pytest

from tests.tui import scene
from tests.tui.fakes import FakeSource
from tests.tui.test_console import wait_for
from tui import app as consoles
from tui import garbage_collection
from tui.app import Console
from tui.dialogs.help import HelpDialog
from tui.tabs import all_tabs
from tui.translations import Translations


class _Cycle:
    """An object that only the garbage collector can free."""

    def __init__(self) -> None:
        self.me = self


def console(idle: list[None]) -> Console:
    """Make a console that records its idle moments."""
    tabs = all_tabs(Translations(), scene.KINDS)
    return Console(FakeSource(), Translations(), tabs, first="processes", when_idle=lambda: idle.append(None))


@pytest.mark.parametrize(("middle", "collected"), [(0, False), (5, True)])
def test_everything_is_collected_when_it_is_due(monkeypatch: pytest.MonkeyPatch, middle: int, collected: bool) -> None:
    gc.disable()
    try:
        gone = weakref.ref(_Cycle())
        monkeypatch.setattr(gc, "get_count", lambda: (0, 0, middle))
        garbage_collection.collect_if_due()
        assert (gone() is None) == collected
    finally:
        gc.enable()


def test_the_console_uses_idle_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consoles, "IDLE_SECONDS", 0.02)
    idle: list[None] = []
    app = console(idle)

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_for(pilot, lambda: len(idle) > 1, "an idle moment")

    asyncio.run(run())


def test_a_key_ends_the_idle_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consoles, "IDLE_SECONDS", 3600.0)
    idle: list[None] = []
    app = console(idle)

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("down")
            app.use_idle_moment()
            assert not idle
            monkeypatch.setattr(consoles, "IDLE_SECONDS", 0.0)
            app.use_idle_moment()
            assert idle

    asyncio.run(run())


def test_the_objects_of_a_closed_dialog_are_collected_soon() -> None:
    app = console([])

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("question_mark")
            await wait_for(pilot, lambda: isinstance(app.screen, HelpDialog), "the dialog")
            gone = weakref.ref(_Cycle())
            await pilot.pause(0.2)
            assert gone() is not None, "nothing is collected while it is open"
            await pilot.press("escape")
            await wait_for(pilot, lambda: gone() is None, "everything to be collected")

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()
