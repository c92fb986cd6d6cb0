"""The behaviour of the console, over a source of values that records the calls of the control."""

import asyncio
import gc
import json
import logging
import re
import signal
from array import array
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Button, Input, ProgressBar, Select

from core.client import NewSubmission
from core.errors import ConfigurationError
from core.model import State
from core.monitor.snapshot import EMPTY, Presence
from core.repository.search import SortColumn, SortOrder, Term, TextField
from core.supervisor.logs.log_reading import Level, LogLine
from core.supervisor.status import Phase
from tests.tui import scene
from tests.tui.fakes import FakeSource, FakeStart, console
from tui import commands
from tui.app import Console
from tui.commands import ALL, TABS, Scope, keymap
from tui.dialogs.confirm import ChoiceDialog
from tui.dialogs.fields import FieldsDialog
from tui.dialogs.help import HelpDialog
from tui.dialogs.task_detail import TaskDetail
from tui.key_names import KeyNames
from tui.messages import DetailRequested
from tui.palette import CommandProvider, CommandRunner
from tui.screen import MainScreen
from tui.submission_events import SubmissionAccepted, SubmissionProgress
from tui.system_control import SubmitResult
from tui.tabs import all_tabs
from tui.tabs.base import Tab
from tui.tabs.failed import FailedTab
from tui.tabs.monitor import MonitorTab
from tui.tabs.processes import ProcessesTab
from tui.translations import Translations, translations_for
from tui.view import View
from tui.widgets.submit_form import PayloadEditor
from tui.widgets.text_view import TextView
from tui.widgets.worker_panel import WorkerPanel

Scenario = Callable[[Console, Pilot[None]], Awaitable[None]]


def run_scenario(
    scenario: Scenario,
    source: FakeSource | None = None,
    tab: str = "monitor",
    size: tuple[int, int] = (120, 40),
    start: FakeStart | None = None,
    tr: Translations | None = None,
) -> Console:
    """Run a scenario in a console. Returns the console after its end."""
    app = console(source or FakeSource(), tab, start=start, tr=tr)

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await scenario(app, pilot)

    asyncio.run(run())
    return app


async def wait_for(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    """Let the console run until a condition holds."""
    for _ in range(1500):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"in vain for {what}")


def title(app: Console) -> str:
    """Return the title of the task dialog."""
    return next(line for line in text(app).splitlines() if "Task " in line)


def main(app: Console) -> MainScreen:
    """Return the screen under all dialogs."""
    screen = app.screen_stack[0]
    assert isinstance(screen, MainScreen)
    return screen


def text(app: Console) -> str:
    """Return the text of the screen."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()  # noqa: SLF001 - Textual has no public way to read its cells
    return "\n".join("".join(segment.text for segment in line)[:width] for line in lines[:height])


def followed_feeds(source: FakeSource) -> dict[str, bool]:
    """Return which feeds are following."""
    return {name: feed.following for name, feed in source.feeds.items()}


def notifications(app: Console) -> list[str]:
    """Return the texts of all notifications."""
    return [notification.message for notification in app._notifications]  # noqa: SLF001 - nor its notifications


# Tabs and frame.


def test_a_number_opens_a_tab() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        # The form comes last: in its editor, a number is text.
        for key, tab in (("2", "monitor"), ("3", "processes"), ("4", "failed"), ("5", "diagram"), ("1", "submit")):
            await pilot.press(key)
            assert main(app).tab_name == tab

    run_scenario(scenario, tab="diagram")


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (120, 40)])
def test_the_tabs_show_the_keys_that_work_where_the_focus_is(size: tuple[int, int]) -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        def tabs() -> str:
            return " ".join(text(app).split("\n")[2].split())

        assert tabs() == "F2 Submit F3 Monitor F4 Processes F5 Failed 312 F6 Diagram"
        await pilot.press("2")
        assert main(app).query_one(PayloadEditor).text == "2"
        await pilot.press("escape")
        by_digits = "1 Submit 2 Monitor 3 Processes 4 Failed 312 5 Diagram"
        await wait_for(pilot, lambda: tabs() == by_digits, "the digits")
        await pilot.click("#tabs", offset=(text(app).split("\n")[2].index("Diagram"), 0))
        await wait_for(pilot, lambda: main(app).tab_name == "diagram", "the tab")
        await pilot.press("1", "f6")
        await wait_for(pilot, lambda: main(app).tab_name == "diagram", "the tab, from the editor")

    run_scenario(scenario, tab="submit", size=size)


def test_the_ledger_is_in_a_line_whatever_the_width() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for width in (60, 80, 120, 200):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            line = text(app).split("\n")[1]
            assert "312 failed" in line, (width, line)

    run_scenario(scenario)


def test_a_click_opens_a_tab() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.click("#tabs", offset=(14, 0))
        await wait_for(pilot, lambda: main(app).tab_name == "monitor", "the tab")

    run_scenario(scenario, tab="submit")


def test_a_hidden_tab_pauses_its_feed() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        assert followed_feeds(source) == {"results": True}
        await pilot.press("4")
        assert followed_feeds(source) == {"results": False, "failed": True}
        await pilot.press("3")
        assert followed_feeds(source) == {"results": False, "failed": False}
        assert source.log_sources[0].following

    run_scenario(scenario, source)


def test_a_frozen_display_does_not_change() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+f")
        ledger = replace(scene.view().snapshot.ledger, failed=999)
        source.pollers[0].show(replace(scene.view(), snapshot=replace(scene.view().snapshot, ledger=ledger)))
        await pilot.pause()
        assert "312 failed" in text(app)
        await pilot.press("ctrl+f")
        await wait_for(pilot, lambda: "999 failed" in text(app), "the new picture")

    run_scenario(scenario, source)


def test_a_window_that_is_too_small_is_explained() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for size in ((59, 24), (80, 15), (1, 1)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert not main(app).query_one("#everything").display, size
            await pilot.resize_terminal(80, 24)
            await wait_for(pilot, lambda: "Results" in text(app), "the console to come back")

    run_scenario(scenario)


def test_help_lists_the_available_commands() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("f1")
        await wait_for(pilot, lambda: isinstance(app.screen, HelpDialog), "the help")
        shown = text(app)
        assert "Failed" in shown
        for command in ALL:
            if command.where is Scope.FAILED:
                assert command.label in shown
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the help to go")

    run_scenario(scenario, tab="failed", size=(140, 60))


def test_every_command_has_its_own_key_in_its_scope() -> None:
    seen: dict[tuple[str, str], str] = {}
    for command in ALL:
        for key in command.key.split(","):
            place = (command.id.partition(".")[0], key)
            assert place not in seen, (command.id, seen.get(place))
            seen[place] = command.id
    assert len({command.id for command in ALL}) == len(ALL)


def test_the_palette_runs_commands() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"Diagram")
        await wait_for(pilot, lambda: "live diagram" in text(app), "the command")
        await pilot.press("enter")
        await wait_for(pilot, lambda: main(app).tab_name == "diagram", "the tab")

    run_scenario(scenario, source)


@pytest.mark.parametrize("read_only", [False, True])
def test_the_palette_offers_the_commands_of_all_tabs(*, read_only: bool) -> None:
    # A test's console has no shell to return to.
    wanted = {each.id for each in ALL if not (read_only and each.changes_system)} - {"app.suspend"}

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for tab in ("submit", "monitor", "processes", "failed", "diagram"):
            await main(app).action_show_tab(tab)
            await pilot.pause()
            hits = [hit.command async for hit in CommandProvider(app.screen).discover()]
            found = [command.command.id for command in hits if isinstance(command, CommandRunner)]
            assert sorted(found) == sorted(wanted), tab

    run_scenario(scenario, FakeSource(read_only=read_only))


async def offered(app: Console) -> dict[str, CommandRunner]:
    """Return what the palette offers, by the ids of the commands."""
    runners = [hit.command async for hit in CommandProvider(app.screen).discover()]
    return {runner.command.id: runner for runner in runners if isinstance(runner, CommandRunner)}


def test_the_palette_goes_to_the_part_of_another_tab_and_runs_nothing_on_a_row_that_nobody_saw() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        runners = await offered(app)
        for command in [command for command in ALL if command.of_row]:
            await main(app).action_show_tab("diagram")
            await pilot.pause()
            await runners[command.id]()
            await pilot.pause()
            assert main(app).tab_name == TABS[command.where]
            assert isinstance(app.screen, MainScreen)
            assert app.screen.active_bindings[command.key.partition(",")[0]].binding.id == command.id
        assert source.control is not None
        assert source.control.done == []

    run_scenario(scenario, source, tab="diagram")


def test_the_palette_runs_a_command_of_another_tab() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await (await offered(app))["logs.search"]()
        await wait_for(pilot, lambda: isinstance(app.focused, Input), "the field of the search")
        assert main(app).tab_name == "processes"

    run_scenario(scenario, tab="diagram")


def test_the_palette_runs_a_command_of_another_part() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        monitor(app).results.table.focus()
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"all results")
        await wait_for(pilot, lambda: "Workers: All results" in text(app), "the command")
        monitor(app).results.search_for("worker:w1", SortOrder())
        await pilot.press("enter")
        await wait_for(pilot, lambda: monitor(app).results.text == "", "the results of all workers")

    run_scenario(scenario)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_columns_of_the_spanish_help_do_not_touch(size: tuple[int, int]) -> None:
    tr = translations_for("es", {})

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for tab in ("submit", "monitor", "processes", "failed"):
            await main(app).action_show_tab(tab)
            await pilot.pause()
            await app.run_action("app.help")
            await wait_for(pilot, lambda: isinstance(app.screen, HelpDialog) and tr("Help") in text(app), "the help")
            lines = [line for line, _ in app.screen.query_one(TextView).lines]
            entries = [line for line in lines[: lines.index(tr("In every table"))] if re.match(r"  \S", line)]
            labels = "|".join(re.escape(tr(command.label)) for command in ALL)
            assert len(entries) > 10
            assert [line for line in entries if not re.match(rf"  \S.*?  ({labels})  +\S", line)] == []
            await pilot.press("escape")
            await wait_for(pilot, lambda: app.screen is main(app), "the help to go")

    run_scenario(scenario, size=size, tr=tr)


def test_choices_are_handed_over_to_be_stored() -> None:
    kept: dict[str, object] = {}
    app = console(FakeSource())
    app._on_change = kept.__setitem__  # noqa: SLF001 - what a program gives it

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("ctrl+t", "ctrl+d")
            await pilot.pause()
            await pilot.press("o", "slash", *"echo", "enter")
            await pilot.pause()

    asyncio.run(run())
    # Neither the order nor the filter: results that were missing the next time would be puzzling.
    assert kept == {"theme": "cauce-light", "compact": True, "tab": "monitor"}


# Monitor.


def monitor(app: Console) -> MonitorTab:
    """The tab."""
    tab = main(app).tab
    assert isinstance(tab, MonitorTab)
    return tab


def test_three_keys_lead_from_a_slow_worker_to_the_task_and_its_reason() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("shift+tab", "down", "down")
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(source.feeds["results"].searches) == 2, "the search")
        search, order = source.feeds["results"].searches[-1]
        assert search.terms == (Term("w3", TextField.WORKER),)
        assert order == SortOrder(SortColumn.TOOK)
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")
        assert "worker      w3" in text(app)

    run_scenario(scenario, source)


def workers_shown(app: Console) -> list[list[str]]:
    """Return the texts of the rows of workers."""
    model = main(app).query_one(WorkerPanel).table.model
    return [[cell.text for cell in model.cells(index) or ()] for index in range(len(model))]


def test_workers_that_ended_are_counted_and_a_key_lists_them() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        names = ["w1", "w2, 3rd", "w3", "w4", "all"]
        panel = main(app).query_one(WorkerPanel)
        assert [cells[0] for cells in workers_shown(app)] == names
        assert str(panel.border_subtitle).replace("\\", "") == "3 workers · 3 servers · 2 ended [d]"
        await pilot.press("d")
        assert [cells[0] for cells in workers_shown(app)] == [*names, "w2, 2nd", "w2"]
        assert panel.table.cursor == len(names)
        await pilot.press("d")
        assert [cells[0] for cells in workers_shown(app)] == names

    run_scenario(scenario)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("language", ["en", "es"])
def test_names_and_lives_are_whole_beside_a_scrollbar_and_long_troubles(language: str, size: tuple[int, int]) -> None:
    tr = translations_for(language, {})
    view = scene.view()
    troubled = next(row for row in view.workers if row.process.presence is Presence.TROUBLED)
    rows = tuple(
        replace(troubled, process=replace(troubled.process, name=f"w{number}", number=number, life=60 + number))
        for number in range(1, 21)
    )

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.pause()
        table = main(app).query_one(WorkerPanel).table
        assert table.show_vertical_scrollbar
        table.move_cursor(12)
        await pilot.pause()
        first, end = table.rows_in_view
        shown = [table.render_line(1 + row - first).text for row in range(first, end)]
        for row, drawn in zip(range(first, end), shown, strict=True):
            assert drawn.startswith(f"w{row + 1}, {tr.ordinal(61 + row)} "), drawn
        assert tr("2 minutes") in table.render_line(0).text

    run_scenario(scenario, FakeSource(replace(view, workers=rows)), size=size, tr=tr)


def test_a_worker_of_whom_nothing_is_known_counts_as_nobody() -> None:
    view = scene.view()
    unknown = replace(view.workers[0], process=replace(view.workers[0].process, presence=Presence.UNKNOWN))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        assert workers_shown(app)[0][1] == "? unknown"
        assert str(main(app).query_one(WorkerPanel).border_subtitle).startswith("2 workers · 3 servers")

    run_scenario(scenario, FakeSource(replace(view, workers=(unknown, *view.workers[1:]))))


def test_the_totals_are_those_of_all_tasks_and_do_not_fall_with_a_worker() -> None:
    source = FakeSource()
    view = scene.view()
    lost = replace(view.workers[0], process=replace(view.workers[0].process, presence=Presence.LOST))

    def totals(app: Console) -> list[str]:
        return workers_shown(app)[-1][4:6]

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        assert totals(app) == ["1.20M", "312"]
        source.pollers[0].show(replace(view, number=8, workers=(lost, *view.workers[1:])))
        await wait_for(pilot, lambda: "lost" in workers_shown(app)[0][1], "the loss")
        assert totals(app) == ["1.20M", "312"]

    run_scenario(scenario, source)


def test_the_results_of_a_worker_are_found_by_its_whole_name() -> None:
    """A name that is too long for its cell, or drawn otherwise than it is, or followed by its life."""
    source = FakeSource()
    view = scene.view()
    name = "worker-of-the\u00a0night-shift-" + "9" * 40
    named = replace(view.workers[0], process=replace(view.workers[0].process, name=name, life=2))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        source.pollers[0].show(replace(view, workers=(named, *view.workers[1:])))
        await pilot.press("shift+tab", "enter")
        await wait_for(pilot, lambda: len(source.feeds["results"].searches) == 2, "the search")
        assert source.feeds["results"].searches[-1][0].terms == (Term(name, TextField.WORKER),)

    run_scenario(scenario, source)


def test_the_cursor_stays_on_a_worker_that_is_replaced() -> None:
    source = FakeSource()
    view = scene.view()
    replaced = replace(view.workers[1], process=replace(view.workers[1].process, number=99, life=4))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("shift+tab", "down")
        source.pollers[0].show(replace(view, number=8, workers=(replaced, view.workers[0], *view.workers[2:])))
        await wait_for(pilot, lambda: workers_shown(app)[0][0] == "w2, 4th", "the successor")
        assert main(app).query_one(WorkerPanel).table.cursor == 0

    run_scenario(scenario, source)


def test_one_dialog_shows_each_task_from_the_beginning() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the first task")
        first = title(app)
        await pilot.press("s", *"worker", "enter", "end")
        await wait_for(pilot, lambda: "hit 1 of" in text(app), "the hit")
        await pilot.press("escape", "escape")
        await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")
        await pilot.press("ctrl+t", "down", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail) and title(app) != first, "another task")
        assert "hit" not in text(app)
        assert "state" in text(app)
        await pilot.press("down", "q")
        await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the keys to have reached the sheet")

    run_scenario(scenario, FakeSource())


def test_a_task_that_is_opened_twice_is_one_dialog() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for _ in range(2):
            main(app).post_message(DetailRequested(next(iter(scene.tasks()))))
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")
        await pilot.pause()
        await pilot.press("q")
        await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")

    run_scenario(scenario, FakeSource())


def test_a_task_that_is_opened_can_be_copied() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")
        await pilot.press("y")
        await wait_for(pilot, lambda: "worker" in app.clipboard, "the copy")
        await wait_for(pilot, lambda: any("Copied" in each for each in notifications(app)), "the notification")

    run_scenario(scenario, FakeSource())


def test_a_filter_is_applied_and_removed() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        results = monitor(app).results
        assert results.matching == 1000
        await pilot.press("slash", *"import-orders", "enter")
        await wait_for(pilot, lambda: results.matching == 250, "the filter")
        assert "250 tasks · filtered" in text(app)
        await pilot.press("escape")
        await wait_for(pilot, lambda: results.matching == 1000, "everything")

    run_scenario(scenario, source)


def test_an_invalid_filter_is_explained() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"took>soon")
        await wait_for(pilot, lambda: "needs a time" in text(app), "the reason")

    run_scenario(scenario)


def test_new_results_come_on_top_and_do_not_move_the_cursor() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        table = monitor(app).results.table
        source.feeds["results"].grow(scene.task(1001))
        await wait_for(pilot, lambda: table.cursor_key == 1001, "the new one under the cursor at the top")
        await pilot.press("down", "down", "down")
        key = table.cursor_key
        source.feeds["results"].grow(scene.task(1002), scene.task(1003))
        await wait_for(pilot, lambda: "▲ 2 new" in text(app), "the number of new ones")
        assert table.cursor_key == key
        await pilot.press("home")
        await wait_for(pilot, lambda: "▲ 2 new" not in text(app), "the number to go")

    run_scenario(scenario, source)


@pytest.mark.parametrize(("keys", "column"), [(["o"], SortColumn.STATE), (["o", "o"], SortColumn.ID)])
def test_the_order_can_be_changed(keys: list[str], column: SortColumn) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*keys, "O")
        await wait_for(pilot, lambda: len(source.feeds["results"].searches) == len(keys) + 2, "the searches")
        assert source.feeds["results"].searches[-1][1] == SortOrder(column, descending=False)

    run_scenario(scenario, source)


def test_a_list_that_is_read_anew_moves_neither_the_view_nor_the_cursor() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        browser = monitor(app).results
        await wait_for(pilot, lambda: browser.matching == 1000, "the results")
        browser.table.move_cursor(500)
        await pilot.pause()
        key, (first, _) = browser.table.cursor_key, browser.table.rows_in_view
        listed = array("q", [*(seq for seq in range(1, 1001) if seq != 998), 2001, 2002, 2003])
        source.feeds["results"].list_again(listed)
        await wait_for(pilot, lambda: browser.matching == 1002, "the list")
        assert browser.table.cursor_key == key
        assert browser.table.rows_in_view[0] == first + 2
        # When the task under the cursor has left, the cursor stays in its place.
        source.feeds["results"].list_again(array("q", [1, 2, 3]))
        await wait_for(pilot, lambda: browser.matching == 3, "the list")
        assert browser.table.cursor_key == 1

    run_scenario(scenario, source)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("found.csv", "/srv/tasks/found.csv"),
        ("a/b.jsonl", "/srv/tasks/a/b.jsonl"),
        ("/else/found.csv", "/else/found.csv"),
    ],
)
def test_the_results_are_exported_to_the_named_file_of_the_systems_directory(name: str, path: str) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("E")
        await wait_for(pilot, lambda: "in /srv/tasks, unless you give another directory" in text(app), "the directory")
        app.screen.query_one(Input).value = name
        await pilot.press("enter")
        await wait_for(pilot, lambda: bool(source.control_calls.done), "the export")
        assert [str(part) for part in source.control_calls.done[0]] == ["export", path]
        await wait_for(pilot, lambda: f"12 tasks written to {path}" in notifications(app), "the word")

    run_scenario(scenario, source, size=(80, 24))


# Submit.


@pytest.mark.parametrize(
    ("progressed", "shown", "percentage"),
    [
        (SubmissionProgress(1200, None, 2.0, 0.34), "1,200 answered · 34% of the file · 600/s · F8 cancels", 0.34),
        (SubmissionProgress(1200, 4800, 2.0), "1,200 of 4,800 answered · 600/s · F8 cancels", 0.25),
        (SubmissionProgress(1200, None, 2.0), "1,200 answered · 600/s · F8 cancels", None),
    ],
)
def test_a_long_submission_shows_its_progress(
    progressed: SubmissionProgress, shown: str, percentage: float | None
) -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).show_submission(progressed)
        await wait_for(pilot, lambda: shown in text(app), "how far it is")
        bar = app.screen.query_one(ProgressBar)
        assert bar.display == (percentage is not None)
        assert bar.percentage == percentage

    run_scenario(scenario, tab="submit")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_enter_submits_and_the_outcome_is_followed(size: tuple[int, int]) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno dos", "enter")
        await wait_for(pilot, lambda: bool(source.control_calls.done), "the task")
        assert source.control_calls.done == [("submit", NewSubmission("simulate", "uno dos"), "127.0.0.1:7100")]
        await wait_for(pilot, lambda: source.feeds["submitted"].ids == ("order-48901",), "the outcome to be asked for")
        await wait_for(pilot, lambda: "✓ done" in text(app), "the outcome")
        assert "2.3 ms" in text(app)
        # It is said, and the next key begins another task.
        assert "Accepted as order-48901. Its outcome comes below." in text(app)
        assert main(app).query_one(PayloadEditor).text == ""
        await pilot.press("x")
        assert main(app).query_one(PayloadEditor).text == "x"

    run_scenario(scenario, source, "submit", size)


@pytest.mark.parametrize("typed", ["", " "])
def test_an_empty_editor_submits_nothing_and_what_to_type_is_shown(typed: str) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        assert '{"fail": "out of paper"}' in text(app)
        for count, key in enumerate(("enter", "ctrl+s", "ctrl+l"), 1):
            app.clear_notifications()
            await pilot.press(*typed, key)
            await wait_for(pilot, lambda: any("type a task first" in each for each in notifications(app)), "the reason")
            await pilot.press("x", "enter")
            await wait_for(pilot, lambda: main(app).query_one(PayloadEditor).text == "", "the next task")
            assert [task.payload for task in source.control_calls.tasks] == [f"{typed}x"] * count

    run_scenario(scenario, source, "submit", (80, 24))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize(
    ("language", "empty", "accepted"),
    [
        ("en", "type a task first", "Accepted as order-48901. Its outcome comes below."),
        ("es", "escriba antes una tarea", "Aceptada: order-48901. El resultado saldrá debajo."),
    ],
)
def test_a_submission_is_explained_in_each_language(
    language: str, empty: str, accepted: str, size: tuple[int, int]
) -> None:
    source = FakeSource()
    app = console(source, "submit", tr=translations_for(language, {}))

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            assert '{"fail": "out of paper"}' in text(app)
            await pilot.press("enter")
            await wait_for(pilot, lambda: any(empty in each for each in notifications(app)), "what to type")
            await pilot.press("x", "enter")
            await wait_for(pilot, lambda: accepted in text(app), "the id")

    asyncio.run(run())


def test_what_is_typed_while_a_task_is_submitted_stays() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        sent = NewSubmission("simulate", "uno")
        await pilot.press(*"uno dos")
        main(app).show_submission(SubmissionAccepted(sent, SubmitResult("a", State.ACCEPTED, False, 0.002), scene.NOW))
        assert main(app).query_one(PayloadEditor).text == "uno dos"

    run_scenario(scenario, source, "submit")


def test_the_kinds_that_workers_run_are_offered_and_the_selected_one_stays() -> None:
    source = FakeSource(view=replace(scene.view(), kinds=("echo", "simulate")))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        kind: Select[str] = main(app).query_one("#kind", Select)

        async def offer(*kinds: str) -> None:
            source.pollers[0].show(replace(scene.view(), kinds=kinds))
            await wait_for(pilot, lambda: main(app).view.kinds == kinds, "the view")
            await pilot.pause()

        def offered() -> list[str]:
            return [str(value) for _, value in kind._options]  # noqa: SLF001 - the widget tells them in no other way

        await wait_for(pilot, lambda: offered() == ["simulate", "echo"], "the first view")
        await offer("echo", "fail", "simulate")
        assert offered() == ["simulate", "echo", "fail"]
        kind.value = "fail"
        await offer("echo", "simulate")
        assert offered() == ["simulate", "echo", "fail"]
        assert kind.value == "fail"
        kind.value = "echo"
        await offer("echo", "import-orders", "simulate")
        assert offered() == ["simulate", "echo", "import-orders"]

    run_scenario(scenario, source, "submit")


def test_the_payload_of_a_typed_kind_is_filled_in_field_by_field_and_submitted() -> None:
    told = {scene.TOLD.kind: scene.TOLD}
    source = FakeSource(view=replace(scene.view(), kinds=("import-orders", "simulate"), told=told))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        kind: Select[str] = main(app).query_one("#kind", Select)
        editor = main(app).query_one(PayloadEditor)
        await pilot.press("f10")
        await wait_for(pilot, lambda: "simulate does not tell which fields" in text(app), "the word")
        await wait_for(pilot, lambda: main(app).view.told == told, "the view")
        kind.value = "import-orders"
        await wait_for(pilot, lambda: "Import the orders of a file" in text(app), "the description")
        await pilot.press("f10", *"17.csv", "enter")
        await wait_for(pilot, lambda: "format: this field is required" in text(app), "the refusal")
        await pilot.press("down", *"csv", "up", "end", *"2", "enter")
        await wait_for(pilot, lambda: not isinstance(app.screen, FieldsDialog), "the end of the dialog")
        filled = {"path": "17.csv2", "format": "csv", "rows": 1000, "dry_run": False}
        assert json.loads(editor.text) == filled
        await pilot.press("f10")
        await wait_for(pilot, lambda: isinstance(app.screen, FieldsDialog), "the dialog")
        assert app.screen.query(Input).first().value == "17.csv2"
        await pilot.press("escape")
        assert json.loads(editor.text) == filled
        await pilot.press("enter")
        await wait_for(pilot, lambda: bool(source.control_calls.tasks), "the submission")
        assert source.control_calls.tasks == [NewSubmission("import-orders", filled)]

    run_scenario(scenario, source, "submit")


def test_the_id_of_a_submitted_task_is_not_used_again_and_a_repetition_is_named() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).query_one("#task-id", Input).value = "mine"
        await pilot.press(*"uno")
        sent = NewSubmission("simulate", "uno", "mine")
        main(app).show_submission(SubmissionAccepted(sent, SubmitResult("mine", State.DONE, True, 0.002), scene.NOW))
        assert main(app).query_one("#task-id", Input).value == ""
        await wait_for(pilot, lambda: "mine was accepted before: nothing new" in text(app), "the word")

    run_scenario(scenario, tab="submit")


def test_a_payload_that_is_json_is_sent_as_json() -> None:
    source = FakeSource()
    payloads = (
        ("42", 42, "a JSON number"),
        ('{"a": 1}', {"a": 1}, "a JSON object"),
        ("[1", "[1", "a text of 2 characters"),
        ("true", True, "a JSON boolean"),
        ("null", None, "JSON null"),
        ('""', "", "a JSON string"),
    )

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for count, (typed, payload, described) in enumerate(payloads, 1):
            await pilot.press(*typed)
            await pilot.pause()
            assert f"payload: {described}" in text(app)
            await pilot.press("enter")
            await wait_for(pilot, lambda: main(app).query_one(PayloadEditor).text == "", "the task")
            sent = [task for _, task, _ in source.control_calls.done]
            assert (len(sent), sent[-1]) == (count, NewSubmission("simulate", payload))

    run_scenario(scenario, source, "submit")


def test_each_line_is_submitted_as_a_task() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno", "ctrl+j", *"dos", "ctrl+j", "ctrl+l")
        await wait_for(pilot, lambda: bool(source.control_calls.done), "the tasks")
        assert source.control_calls.done[0][1] == (NewSubmission("simulate", "uno"), NewSubmission("simulate", "dos"))
        await wait_for(pilot, lambda: "2 accepted in 2.0 s (1.0/s)" in text(app), "the tally")

    run_scenario(scenario, source, "submit")


def test_a_file_to_submit_is_one_of_the_systems_directory() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+o")
        await wait_for(pilot, lambda: "in /srv/tasks, unless you give another directory" in text(app), "the directory")
        app.screen.query_one(Input).value = "no-such-lines.txt"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "/srv/tasks/no-such-lines.txt can't be read" in text(app), "the whole path")

    run_scenario(scenario, tab="submit")


def test_a_read_only_console_says_why_it_submits_nothing() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("x", "enter")
        await wait_for(pilot, lambda: any("read-only" in each for each in notifications(app)), "the reason")
        assert "Submitting" not in text(app)

    run_scenario(scenario, FakeSource(read_only=True), "submit")


def test_an_invalid_field_is_explained_and_nothing_is_submitted() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).query_one("#delay", Input).value = "soon"
        await pilot.press("enter")
        await wait_for(pilot, lambda: any("delay" in each for each in notifications(app)), "the reason")
        assert source.control_calls.done == []

    run_scenario(scenario, source, "submit")


def test_a_refusal_stays_on_the_screen() -> None:
    source = FakeSource()
    source.control_calls.trouble = "no server answers at 127.0.0.1:7100"

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("x", "enter")
        await wait_for(pilot, lambda: "no server answers" in text(app), "the reason")

    run_scenario(scenario, source, "submit")


def test_an_earlier_submission_can_be_edited_and_submitted_again() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno", "enter")
        await wait_for(pilot, lambda: "order-48901" in text(app), "the first")
        await pilot.press(*"dos", "enter")
        await wait_for(pilot, lambda: "order-48902" in text(app), "the second, typed over the first")
        await pilot.press("escape", "down", "ctrl+r")
        await wait_for(pilot, lambda: "payload: a text of 3 characters" in text(app), "the first in the form")
        await pilot.press("x", "enter")
        await wait_for(pilot, lambda: len(source.control_calls.done) == 3, "the third")
        assert [task.payload for task in source.control_calls.tasks] == ["uno", "dos", "unox"]

    run_scenario(scenario, source, "submit")


def test_a_load_is_configured_in_a_dialog() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+g")
        app.screen.query_one("#tasks", Input).value = "0"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "must be a whole number from 1" in text(app), "the reason")
        app.screen.query_one("#tasks", Input).value = "500"
        app.screen.query_one("#rate", Input).value = "0"
        await pilot.press("enter")
        await wait_for(pilot, lambda: bool(source.control_calls.done), "the load")
        [order] = source.control_calls.loads
        assert (order.tasks, order.rate, order.connections) == (500, None, 4)
        await wait_for(pilot, lambda: "p50 2.0 ms" in text(app), "the figures")

    run_scenario(scenario, source, "submit")


# Processes.


def test_keys_start_and_stop_the_process_under_the_cursor() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "s", "x", "r")
        await wait_for(pilot, lambda: len(source.control_calls.done) == 3, "the orders")
        assert sorted(map(str, source.control_calls.done)) == sorted(
            map(str, [("start", "s1"), ("stop", "s1"), ("restart", "s1")])
        )

    run_scenario(scenario, source, "processes")


def test_a_kill_is_confirmed_first_and_the_safe_answer_has_the_focus() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("X")
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert "Kill epmd?" in text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert source.control_calls.done == []
        await pilot.press("X")
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        await pilot.press("right", "enter")
        await wait_for(pilot, lambda: source.control_calls.done == [("kill", "epmd")], "the kill")

    run_scenario(scenario, source, "processes")


@pytest.mark.parametrize(
    ("down", "key", "order"), [(3, "+", ("scale", 4, None)), (5, "-", ("scale", None, 3)), (0, "+", None)]
)
def test_processes_are_scaled_by_one(down: int, key: str, order: tuple[object, ...] | None) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*["down"] * down, "plus" if key == "+" else "minus")
        if order is None:
            await wait_for(
                pilot, lambda: any("Only servers and workers" in each for each in notifications(app)), "the reason"
            )
            assert source.control_calls.done == []
        else:
            await wait_for(pilot, lambda: source.control_calls.done == [order], "the order")

    run_scenario(scenario, source, "processes")


def test_the_log_of_one_process_and_of_all() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        tab = main(app).tab
        assert isinstance(tab, ProcessesTab)
        await wait_for(pilot, lambda: len(tab.logs.text.lines) == 7, "all lines")
        await pilot.press("down", "down", "enter")
        await wait_for(pilot, lambda: "Log of s1" in text(app) and len(tab.logs.text.lines) == 1, "its line")
        source.log_sources[0].write(LogLine("s1", "cauce.server: something new", Level.INFO, scene.NOW))
        await wait_for(pilot, lambda: "something new" in text(app), "the new line")
        await pilot.press("escape")
        await wait_for(pilot, lambda: len(tab.logs.text.lines) == 7, "all lines again")

    run_scenario(scenario, source, "processes")


def test_logs_are_filtered_by_text_and_level() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        tab = main(app).tab
        assert isinstance(tab, ProcessesTab)
        tab.logs.text.focus()
        await pilot.press("v")
        await wait_for(pilot, lambda: len(tab.logs.text.lines) == 3, "warnings and worse")
        await pilot.press("slash", *"module", "enter")
        await wait_for(pilot, lambda: len(tab.logs.text.lines) == 1, "the line")
        await pilot.press("escape")
        await wait_for(pilot, lambda: len(tab.logs.text.lines) == 7, "every line")

    run_scenario(scenario, tab="processes")


def test_the_system_is_started_only_when_it_is_not_running() -> None:
    source = FakeSource(scene.nothing_runs(), tasks={}, lines=())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("u")
        await wait_for(pilot, lambda: source.control_calls.done == [("up",)], "the start")
        source.pollers[0].show(scene.view())
        await pilot.pause()
        await pilot.press("u")
        await wait_for(pilot, lambda: any("running already" in each for each in notifications(app)), "the word")
        assert source.control_calls.done == [("up",)]

    run_scenario(scenario, source)


# Failed.


def failures(app: Console) -> FailedTab:
    """The tab."""
    tab = main(app).tab
    assert isinstance(tab, FailedTab)
    return tab


def test_only_failed_tasks_are_listed_with_their_errors() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        assert failures(app).failures.matching == 200
        assert "KeyError: 'customer_id'" in text(app)

    run_scenario(scenario, tab="failed")


def nothing_runs() -> FakeSource:
    """Return the source of a directory in which nothing is running."""
    return FakeSource(scene.nothing_runs(), tasks={}, lines=())


def test_a_start_is_shown_process_by_process_until_everything_is_ready() -> None:
    start = FakeStart()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await wait_for(pilot, lambda: "Starting: waiting for s1, w1" in text(app), "the start")
        assert "● rabbitmq  ◐ s1  ○ w1" in text(app)
        assert "s1: port 7101 is not open yet" in text(app)
        # Nothing advises to start it.
        assert "The workers are starting." in text(app)
        assert "Press u" not in text(app)
        # Everything else can be used meanwhile, except a second start.
        await pilot.press("1")
        assert "New task" in text(app)
        await pilot.press("escape", "u")
        await wait_for(pilot, lambda: any("being started already" in each for each in notifications(app)), "the word")
        start.goes_on.set()
        await wait_for(pilot, lambda: "waiting for s1" not in text(app), "the end")
        assert start.began == 1

    run_scenario(scenario, nothing_runs(), start=start)


def test_a_failed_start_is_explained_until_the_system_runs() -> None:
    start, source = FakeStart(), nothing_runs()
    start.trouble = "s1 can't be started:\n  127.0.0.1:7101 is taken by \x1b[2J another program"
    start.goes_on.set()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await wait_for(pilot, lambda: "The system could not be started" in text(app), "the failure")
        assert "127.0.0.1:7101 is taken by" in text(app)
        assert "\x1b" not in text(app)
        assert "press u to start again" in text(app)
        await pilot.press("u")
        await wait_for(pilot, lambda: source.control_calls.done == [("up",)], "another start")
        await wait_for(pilot, lambda: "could not be started" not in text(app), "the failure to go")

    run_scenario(scenario, source, start=start)


def test_a_failed_start_is_dismissed_by_a_running_system_or_a_click() -> None:
    start, source = FakeStart(), nothing_runs()
    start.trouble = "no"
    start.goes_on.set()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await wait_for(pilot, lambda: "could not be started" in text(app), "the failure")
        source.pollers[0].show(scene.view())
        await wait_for(pilot, lambda: "could not be started" not in text(app), "the failure to go")

    async def another(app: Console, pilot: Pilot[None]) -> None:
        await wait_for(pilot, lambda: "could not be started" in text(app), "the failure")
        await pilot.click("#start")
        await wait_for(pilot, lambda: "could not be started" not in text(app), "the failure to go")

    run_scenario(scenario, source, start=start)
    run_scenario(another, nothing_runs(), start=start)


@pytest.mark.parametrize(("key", "act"), [("R", "retry"), ("D", "discard")])
def test_bulk_actions_are_confirmed_for_one_task_or_the_marked_ones(key: str, act: str) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(key)
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert "this task" in text(app)
        assert "match the filter" not in text(app)
        await pilot.press("right", "enter")
        await wait_for(pilot, lambda: source.control_calls.done == [(act, 1000)], "the order")
        await wait_for(pilot, lambda: len(source.feeds["failed"].searches) == 2, "a fresh look")
        await pilot.press("space", "down", "space", key)
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert "2 tasks" in text(app)
        assert "match the filter" not in text(app)
        await pilot.press("right", "enter")
        await wait_for(pilot, lambda: len(source.control_calls.done) == 2, "the order")
        assert source.control_calls.done[1] == (act, 990, 1000)

    run_scenario(scenario, source, "failed")


def test_all_matching_tasks_can_be_marked() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"KeyError", "enter")
        await wait_for(pilot, lambda: failures(app).failures.matching == 67, "the filter")
        await pilot.press("a")
        assert len(failures(app).failures.model.marks) == 67
        await pilot.press("R")
        await wait_for(pilot, lambda: "Retry 67 tasks?" in text(app), "the question")
        assert "67 match the filter." in text(app)
        await pilot.press("escape")
        await pilot.press("a")
        assert failures(app).failures.model.marks == set()
        assert source.control_calls.done == []

    run_scenario(scenario, source, "failed")


def test_the_last_bulk_action_is_undone() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("z")
        await wait_for(pilot, lambda: any("nothing to undo" in each for each in notifications(app)), "the word")
        await pilot.press("D")
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        await pilot.press("right", "enter")
        await wait_for(pilot, lambda: len(source.control_calls.done) == 1, "the order")
        await wait_for(pilot, lambda: any("discarded" in each for each in notifications(app)), "its end")
        await pilot.press("z")
        await wait_for(pilot, lambda: source.control_calls.done[-1] == ("undo", 5), "the undo")

    run_scenario(scenario, source, "failed")


@pytest.mark.parametrize(
    ("keys", "progress", "expected"),
    [
        (("R", "right", "enter"), "2 of 4", "2 of 4 retried, then cancelled. z undoes what was done."),
        (("D", "right", "enter"), "2 of 4", "2 of 4 discarded, then cancelled. z undoes what was done."),
        (("z",), "2 of 4", "2 of 4 are failed again, then cancelled. z undoes the rest."),
        # An export covers what it finds, however many tasks the table lists.
        (("E", "enter"), "6 of 12", "Cancelled after 6 of 12: no file was written."),
    ],
)
def test_long_jobs_show_progress_and_can_be_cancelled(keys: Sequence[str], progress: str, expected: str) -> None:
    source = FakeSource(tasks=scene.tasks(20))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("a", "D")
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        await pilot.press("right", "enter")
        await wait_for(
            pilot, lambda: any("4 tasks discarded" in each for each in notifications(app)), "something to undo"
        )
        await wait_for(pilot, lambda: len(source.feeds["failed"].searches) == 2, "a fresh look")
        source.control_calls.takes_long = True
        await pilot.press("a")
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await wait_for(pilot, lambda: f"{progress} · F8 cancels" in text(app), "the progress")
        # From any tab.
        await pilot.press("2", "f8")
        await wait_for(pilot, lambda: any(expected in each for each in notifications(app)), "the end")
        assert "F8 cancels" not in text(app)
        await pilot.press("f8")
        await wait_for(pilot, lambda: any("nothing to cancel" in each for each in notifications(app)), "the word")

    run_scenario(scenario, source, "failed")


def test_a_long_job_is_started_once_and_ends_with_the_console() -> None:
    source = FakeSource()
    source.control_calls.takes_long = True

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for _ in range(2):
            await pilot.press("E", "enter")
            await pilot.pause()
        await wait_for(
            pilot, lambda: any("running already; F8 cancels" in each for each in notifications(app)), "the word"
        )
        assert [each[0] for each in source.control_calls.done] == ["export"]
        # A suspended job could hold the journal's lock.
        app.action_suspend()
        await wait_for(pilot, lambda: any("suspend later" in each for each in notifications(app)), "the reason")

    run_scenario(scenario, source, "failed")


# Leaving, and the read-only console.


@pytest.mark.parametrize(
    ("keys", "ends", "orders"),
    [
        (["enter"], False, []),
        (["escape"], False, []),
        (["right", "enter"], True, []),
        (["right", "right", "enter"], True, [("down",)]),
    ],
)
def test_leaving_asks_what_becomes_of_the_system(keys: list[str], ends: bool, orders: list[tuple[object, ...]]) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await wait_for(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert app.screen.query_one("#answer-0", Button).has_focus
        await pilot.press(*keys)
        if ends:
            await wait_for(pilot, lambda: app._exit, "the end")  # noqa: SLF001 - whether it ends
        await wait_for(pilot, lambda: source.control_calls.done == orders, "the orders")

    app = run_scenario(scenario, source)
    assert app.return_code in {0, None}


def test_leaving_asks_nothing_when_nothing_is_running() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await wait_for(pilot, lambda: app._exit, "the end")  # noqa: SLF001 - whether it ends

    run_scenario(scenario, FakeSource(scene.nothing_runs(), tasks={}))


def test_the_poller_is_stopped_when_the_console_ends() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.pause()

    run_scenario(scenario, source)
    assert source.pollers[0].stopped


def test_a_read_only_console_has_no_command_that_changes_the_system() -> None:
    source = FakeSource(read_only=True)

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for tab in ("submit", "processes", "failed", "monitor"):
            await main(app).action_show_tab(tab)
            await pilot.pause()
            ids = {active.binding.id for active in app.screen.active_bindings.values() if active.enabled}
            assert [command.id for command in ALL if command.changes_system and command.id in ids] == []
            await pilot.press("s", "x", "R", "D", "U", "u", "X", "ctrl+s", "ctrl+l", "ctrl+g")
            await pilot.pause()
            assert source.control_calls.done == []
            assert isinstance(app.screen, MainScreen)

    run_scenario(scenario, source)


def test_a_failed_operation_is_notified() -> None:
    source = FakeSource()
    source.control_calls.trouble = "no supervisor runs in /srv/tasks; `up` starts one"

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await wait_for(pilot, lambda: any("no supervisor runs" in each for each in notifications(app)), "the reason")

    run_scenario(scenario, source, "processes")


def test_a_starting_system_is_shown() -> None:
    view = replace(scene.view(), report=scene.report(Phase.STARTING))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert "starting" in text(app).split("\n")[0]

    run_scenario(scenario, FakeSource(view))


def test_a_missing_task_is_notified() -> None:
    tasks = dict(scene.tasks(10))
    source = FakeSource(tasks=tasks)

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        tasks.clear()
        await pilot.press("enter")
        await wait_for(pilot, lambda: any("not in the journal" in each for each in notifications(app)), "the word")

    run_scenario(scenario, source)


def test_a_task_that_cannot_be_read_can_be_opened_later() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        source.trouble = "the journal is locked"
        await pilot.press("enter")
        await wait_for(pilot, lambda: any("the journal is locked" in each for each in notifications(app)), "the reason")
        source.trouble = ""
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")

    run_scenario(scenario, source)


# The person's keys.


def test_a_command_can_be_given_another_key() -> None:
    source = FakeSource()
    app = Console(
        source,
        Translations(keys=KeyNames(keymap({"processes.start": "f8", "app.help": "f12"}, "cauce.toml"))),
        all_tabs(Translations(), scene.KINDS),
        first="processes",
    )

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            await pilot.press("s", "f8")
            await wait_for(pilot, lambda: source.control_calls.done == [("start", "epmd")], "the order")
            assert "F8 Start" in text(app)
            await pilot.press("f12")
            await wait_for(pilot, lambda: isinstance(app.screen, HelpDialog), "the help")
            assert "F8" in text(app)

    asyncio.run(run())


def test_texts_name_the_keys_that_the_user_has_given() -> None:
    tr = Translations(keys=KeyNames({"monitor.ended": "ctrl+e,F", "app.up": "f10"}))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        panel = main(app).query_one(WorkerPanel)
        assert str(panel.border_subtitle).replace("\\", "").endswith("2 ended [Ctrl+E]")
        await pilot.press("3")
        await wait_for(pilot, lambda: "Press F10 to start" in text(app), "the note")

    view = scene.view()
    run_scenario(scenario, FakeSource(replace(view, report=None, snapshot=EMPTY)), tr=tr)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"processes.strat": "f8"}, "is not a command of the console; do you mean 'processes.start'"),
        ({"app.quit": 8}, "must be keys separated by commas"),
        ({"app.quit": "ctrl+"}, "must be keys separated by commas"),
        ({"app.quit": ""}, "must be keys separated by commas"),
    ],
)
def test_an_invalid_key_is_explained(wanted: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        keymap(wanted, "cauce.toml")


# Faults in the console.


class BrokenTab(Tab):
    """A tab that can't show a view."""

    def show(self, view: View) -> None:
        """Fail."""
        word = "sesame"
        raise RuntimeError(f"no way of {len(word)}")


def test_a_fault_in_a_tab_is_shown_and_the_others_go_on() -> None:
    tabs = dict(all_tabs(Translations(), scene.KINDS))
    tabs["diagram"] = ("Diagram", lambda tr: BrokenTab(tr, id="diagram"))
    source = FakeSource()
    app = Console(source, Translations(), tabs, first="diagram")

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await wait_for(pilot, lambda: "This tab has a fault" in text(app), "the word")
            assert "no way of 6" in text(app)
            source.pollers[0].show(scene.view())
            await pilot.press("2")
            await wait_for(pilot, lambda: "order-49000" in text(app), "another tab")
            await pilot.press("5")
            await pilot.pause()
            assert text(app).count("This tab has a fault") == 1

    asyncio.run(run())


def test_a_crash_prints_no_values_and_is_logged(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    app = console(FakeSource())
    log = logging.FileHandler(tmp_path / "log")

    def fail() -> None:
        word = "sesame"
        raise RuntimeError(f"broken by {len(word)}")

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            app.call_later(fail)
            await pilot.pause()

    logging.getLogger("cauce.tui").addHandler(log)
    try:
        with pytest.raises(RuntimeError, match="broken by 6"):
            asyncio.run(run())
    finally:
        logging.getLogger("cauce.tui").removeHandler(log)
        log.close()
    assert app.return_code == 1
    printed = capsys.readouterr()
    assert "sesame" not in printed.out + printed.err
    assert "Traceback" not in printed.out + printed.err
    assert "the console broke down" in (tmp_path / "log").read_text("utf-8")


def test_no_key_of_the_form_is_used_by_its_editor() -> None:
    taken = {key for binding in PayloadEditor.BINDINGS for key in key_names(binding)}
    mine = {key for command in commands.SUBMIT for key in command.key.split(",")}
    mine |= {key for command in commands.GLOBAL for key in command.key.split(",") if re.fullmatch(r"f\d+", key)}
    assert mine & taken == set()


def key_names(binding: BindingType) -> list[str]:
    """The keys of a binding."""
    return (binding.key if isinstance(binding, Binding) else binding[0]).split(",")


def test_closed_dialogs_are_freed() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        async def open_and_close() -> None:
            await pilot.press("enter")
            await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the sheet")
            await pilot.press("q")
            await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")

        def drawn() -> int:
            gc.collect()
            return sum(isinstance(each, Strip) for each in gc.get_objects())

        for _ in range(3):
            await open_and_close()
        before = drawn()
        for _ in range(10):
            await open_and_close()
        # Ten dialogs of forty lines would be four hundred at least.
        assert drawn() - before < 200

    run_scenario(scenario)


def test_a_signal_before_the_first_or_after_the_last_frame_ends_the_console() -> None:
    app = console(FakeSource())
    with app.stopped_by_signals():
        signal.raise_signal(signal.SIGTERM)

        async def scenario() -> None:
            async with app.run_test() as pilot:
                await wait_for(pilot, lambda: app.return_code is not None, "the end")

        asyncio.run(scenario())
        assert app.return_code == 128 + signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
