"""How the console looks: a picture for each screen, state and size. Behaviour is tested elsewhere."""

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import pytest
from msgspec.structs import replace
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from core.model import Note, Part, RunningTask, TaskProgress, TaskStack, Times, Trouble
from tests.tui import scene
from tests.tui.fakes import STARTING, FakeSource, console, part_of
from tests.tui.test_task_detail import SEQ, TASK_ID, queued, view_with
from tui.jobs import THREAD_PREFIX
from tui.messages import DetailRequested
from tui.screen import MainScreen
from tui.translations import Translations, load
from tui.view import StartView, View
from tui.widgets.task_browser import TaskBrowser

SIZES = [(80, 24), (120, 40)]
Compare: TypeAlias = Callable[..., bool]
Keys: TypeAlias = Sequence[str | tuple[str, ...]]
"""Keys, one after the other. Those of a tuple are typed without a look at the effect of each."""


def looks(
    snap_compare: Compare,
    tab: str,
    size: tuple[int, int],
    keys: Keys = (),
    *,
    source: FakeSource | None = None,
    theme: str = "cauce",
    tr: Translations | None = None,
    encoding: str = "",
) -> bool:
    """Compare the console with its picture."""
    app = console(source or FakeSource(), tab, theme=theme, tr=tr, encoding=encoding)
    return snap_compare(app, terminal_size=size, run_before=pressing(keys))


def pressing(keys: Keys) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Return a function that presses keys, and waits after each, or each tuple, until its effect is shown."""

    async def press(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in keys:
            before = searches(pilot)
            await pilot.press(*((key,) if isinstance(key, str) else key))
            await settle(pilot)
            while is_pending(before, searches(pilot)):
                await pilot.pause(0.01)
            await settle(pilot)

    return press


def is_pending(before: Sequence[tuple[str, int]], now: Sequence[tuple[str, int]]) -> bool:
    """Return whether a filter has changed and its search, which begins a moment later, has not."""
    return any(text != former and number == old for (former, old), (text, number) in zip(before, now, strict=False))


def searches(pilot: Pilot[None]) -> list[tuple[str, int]]:
    """Return the filter of each list of tasks, and the number of the search that it shows."""
    browsers = (browser for screen in pilot.app.screen_stack for browser in screen.query(TaskBrowser))
    return [(browser.text, browser._search_number) for browser in browsers]  # noqa: SLF001 - no user needs it


async def settle(pilot: Pilot[None]) -> None:
    """Wait until the console is idle, and stop the blinking of cursors."""
    while any(thread.name.startswith(THREAD_PREFIX) for thread in threading.enumerate()):
        await pilot.pause(0.01)
    for _ in range(4):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    if isinstance(pilot.app.screen, CommandPalette):
        await filled(pilot, pilot.app.screen)


async def filled(pilot: Pilot[None], palette: CommandPalette) -> None:
    """Wait until the palette has found all commands, a few at a time."""
    before = -1
    while before != (before := palette.query_one(OptionList).option_count) or not before:
        await pilot.pause(0.3)
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tab", ["submit", "monitor", "processes", "failed", "diagram"])
def test_tab(snap_compare: Compare, tab: str, size: tuple[int, int]) -> None:
    assert looks(snap_compare, tab, size)


def test_without_lines_dots_and_bars(snap_compare: Compare) -> None:
    assert looks(snap_compare, "monitor", (80, 24), encoding="ascii")


def test_hits_of_a_search_in_the_logs(snap_compare: Compare) -> None:
    assert looks(snap_compare, "processes", (80, 24), ["tab", "s", tuple("ready"), "enter", "n"])


@pytest.mark.parametrize("theme", ["cauce-light", "cauce-contrast", "cauce-16"])
def test_theme(snap_compare: Compare, theme: str) -> None:
    assert looks(snap_compare, "monitor", (120, 40), theme=theme)


def test_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert looks(snap_compare, "processes", (80, 24))


@pytest.mark.parametrize("tab", ["submit", "monitor", "failed"])
def test_in_spanish(snap_compare: Compare, tab: str) -> None:
    assert looks(snap_compare, tab, (120, 40), tr=Translations("es", load("es")))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tab", ["monitor", "processes", "failed", "diagram"])
def test_nothing_runs(snap_compare: Compare, tab: str, size: tuple[int, int]) -> None:
    source = FakeSource(scene.nothing_runs(), tasks={}, lines=())
    assert looks(snap_compare, tab, size, source=source)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "trouble", ["", "s1 can't be started:\n  127.0.0.1:7101 is taken by another program"], ids=["under-way", "failed"]
)
def test_a_start(snap_compare: Compare, trouble: str, size: tuple[int, int]) -> None:
    parts = tuple(part_of(name, state) for name, state in STARTING)

    async def start(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, MainScreen)
        screen.show_start(StartView(under_way=not trouble, parts=parts, trouble=trouble))
        await settle(pilot)

    app = console(FakeSource(scene.nothing_runs(), tasks={}, lines=()))
    assert snap_compare(app, terminal_size=size, run_before=start)


def test_nothing_was_looked_at_yet(snap_compare: Compare) -> None:
    assert looks(snap_compare, "monitor", (80, 24), source=FakeSource(View(), tasks={}))


def test_the_journal_cannot_be_read(snap_compare: Compare) -> None:
    source = FakeSource(trouble="/srv/tasks/resultados.db can't be used now: database is locked")
    assert looks(snap_compare, "monitor", (80, 24), source=source)


@pytest.mark.parametrize("size", [(59, 24), (80, 15)])
def test_too_small(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert looks(snap_compare, "monitor", size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("tab", "keys"),
    [
        ("monitor", ["down", "down", "enter"]),
        ("failed", ["enter"]),
        ("monitor", ["question_mark"]),
        ("monitor", ["q"]),
        ("monitor", ["ctrl+p"]),
        ("monitor", ["slash", *"import"]),  # each letter may begin a search
        ("failed", ["space", "space", "R"]),
        ("failed", ["E"]),
        ("processes", ["down", "X"]),
        ("processes", ["U"]),
        ("submit", [tuple("uno"), "enter", tuple("42"), "enter"]),
        ("submit", ["ctrl+g"]),
    ],
    ids=["detail", "traceback", "help", "quit", "palette", "filter", "retry", "export", "kill", "down", "sent", "load"],
)
def test_dialog(snap_compare: Compare, tab: str, keys: Keys, size: tuple[int, int]) -> None:
    assert looks(snap_compare, tab, size, keys, source=FakeSource())


def test_marked_rows(snap_compare: Compare) -> None:
    assert looks(snap_compare, "failed", (80, 24), ["space", "space", "down", "space"])


def test_nothing_matches(snap_compare: Compare) -> None:
    assert looks(snap_compare, "monitor", (80, 24), ["slash", *"nowhere", "enter"])


def test_frozen_and_read_only(snap_compare: Compare) -> None:
    assert looks(snap_compare, "monitor", (120, 40), ["ctrl+f"], source=FakeSource(read_only=True))


def running_source(*, cancelling: bool = False) -> FakeSource:
    """Return a system in which w2 runs a task for long, which has told how far it is."""
    times = Times(received=scene.NOW - 64, accepted=scene.NOW - 63.997, queued=scene.NOW - 63.99)
    task = queued(kind="import-orders", payload='{"path": "17.csv"}', cancelling=cancelling, times=times)
    notes = (Note(scene.NOW - 61, "opened 17.csv"), Note(scene.NOW - 4, "order 3001: no address, skipped"))
    stack = TaskStack(
        scene.NOW - 3,
        '  File "/srv/shop/orders.py", line 41, in import_orders\n    store(order)\n'
        '  File "/srv/shop/orders.py", line 17, in store\n    connection.execute(INSERT, order)\n',
    )
    progress = TaskProgress(3_000, 10_000, "storing orders")
    running = RunningTask(TASK_ID, task.kind, scene.NOW - 62, progress, notes, 2, stack)
    return FakeSource(view=view_with(running), tasks={**scene.tasks(), task.seq: task})


def opening(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Return a function that opens the sheet of the task that runs, and presses keys."""

    async def run(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, MainScreen)
        screen.post_message(DetailRequested(SEQ))
        await settle(pilot)
        await pressing(keys)(pilot)

    return run


@pytest.mark.parametrize("size", SIZES)
def test_the_sheet_of_a_task_that_runs_for_long(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(console(running_source(), "monitor"), terminal_size=size, run_before=opening())


def test_the_question_before_a_running_task_is_cancelled(snap_compare: Compare) -> None:
    assert snap_compare(console(running_source(), "monitor"), terminal_size=(80, 24), run_before=opening("x"))


def test_the_sheet_of_a_task_that_is_being_cancelled(snap_compare: Compare) -> None:
    source = running_source(cancelling=True)
    assert snap_compare(console(source, "monitor"), terminal_size=(80, 24), run_before=opening())


@pytest.mark.parametrize("size", SIZES)
def test_a_worker_that_is_stuck(snap_compare: Compare, size: tuple[int, int]) -> None:
    reason = "stuck: nothing has ended for 6 min while tasks keep all threads busy (8), such as order-7, order-6"
    stuck = (Trouble(Part.PROCESS, reason),)
    view = scene.view()
    report = view.report
    assert report is not None
    units = tuple(
        replace(unit, note=reason, troubles=stuck) if unit.name == "w3" else unit for unit in report.processes
    )
    view = replace(view, report=replace(report, processes=units))
    assert looks(snap_compare, "processes", size, source=FakeSource(view=view))


def fields_source() -> FakeSource:
    """Return a system with a worker that runs a typed kind."""
    told = {scene.TOLD.kind: scene.TOLD}
    return FakeSource(view=replace(scene.view(), kinds=("import-orders", "simulate"), told=told))


SELECT_KIND = ("shift+tab", "enter", "down", "enter")


@pytest.mark.parametrize("size", SIZES)
def test_a_typed_kind_and_its_fields(snap_compare: Compare, size: tuple[int, int]) -> None:
    keys: Keys = [*SELECT_KIND, "f10", tuple("17.csv"), "down", "enter"]
    assert looks(snap_compare, "submit", size, keys, source=fields_source())


def test_what_a_typed_kind_takes(snap_compare: Compare) -> None:
    assert looks(snap_compare, "submit", (80, 24), [*SELECT_KIND, "tab"], source=fields_source())


def test_what_was_submitted_and_what_became_of_it(snap_compare: Compare) -> None:
    source = FakeSource()
    source.control_calls.submitted = -1
    assert looks(snap_compare, "submit", (120, 40), [tuple("tres"), "enter", "enter"], source=source)
