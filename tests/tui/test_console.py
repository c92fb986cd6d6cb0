"""What the console does, by messages and cells: the source is made of values, and notes what is to be done."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Button, Input, ProgressBar, TextArea

from core.client import NewSubmission
from core.errors import ConfigurationError
from core.repository.search import SortColumn, SortOrder, Term, TextField
from core.supervisor.logs.log_reading import Level, LogLine
from core.supervisor.status import Phase
from tests.tui import scene
from tests.tui.fakes import FakeSource, FakeStart, console
from tui import commands
from tui.app import Console
from tui.commands import ALL, Scope, keymap
from tui.dialogs.confirm import ChoiceDialog
from tui.dialogs.help import HelpDialog
from tui.dialogs.task_detail import TaskDetail
from tui.messages import DetailRequested
from tui.screen import MainScreen
from tui.submission_events import SubmissionProgress
from tui.tabs import all_tabs
from tui.tabs.base import Tab
from tui.tabs.failed import FailedTab
from tui.tabs.monitor import MonitorTab
from tui.tabs.processes import ProcessesTab
from tui.translations import Translations
from tui.view import View
from tui.widgets.task_browser import TaskBrowser

Scenario = Callable[[Console, Pilot[None]], Awaitable[None]]


def play(
    scenario: Scenario,
    source: FakeSource | None = None,
    tab: str = "monitor",
    size: tuple[int, int] = (120, 40),
    start: FakeStart | None = None,
) -> Console:
    """Play a scenario in a console; the console, after its end."""
    app = console(source or FakeSource(), tab, start=start)

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await scenario(app, pilot)

    asyncio.run(run())
    return app


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    """Let the console work until something holds."""
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"in vain for {what}")


def title(app: Console) -> str:
    """The first line of a sheet: what it is about."""
    return next(line for line in text(app).splitlines() if "Task " in line)


def main(app: Console) -> MainScreen:
    """The screen under all dialogs."""
    screen = app.screen_stack[0]
    assert isinstance(screen, MainScreen)
    return screen


def text(app: Console) -> str:
    """What is on the screen."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()  # noqa: SLF001 - Textual has no public way to read its cells
    return "\n".join("".join(segment.text for segment in line)[:width] for line in lines[:height])


def following(source: FakeSource) -> dict[str, bool]:
    """Which feeds follow what comes."""
    return {name: feed.following for name, feed in source.feeds.items()}


def told(app: Console) -> list[str]:
    """What the console has said."""
    return [notification.message for notification in app._notifications]  # noqa: SLF001 - nor its toasts


# Tabs and frame.


@pytest.mark.parametrize(
    ("key", "tab"), [("1", "submit"), ("2", "monitor"), ("3", "processes"), ("4", "failed"), ("5", "diagram")]
)
def test_a_number_opens_a_tab(key: str, tab: str) -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(key)
        assert main(app).tab_name == tab

    play(scenario, tab="diagram" if tab == "monitor" else "monitor")


def test_the_ledger_is_in_a_line_whatever_the_width() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for width in (60, 80, 120, 200):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            line = text(app).split("\n")[1]
            assert "312 failed" in line, (width, line)

    play(scenario)


def test_a_click_opens_a_tab() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.click("#tabs", offset=(14, 0))
        await until(pilot, lambda: main(app).tab_name == "monitor", "the tab")

    play(scenario, tab="submit")


def test_a_hidden_tab_lets_its_feed_rest() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        assert following(source) == {"results": True}
        await pilot.press("4")
        assert following(source) == {"results": False, "failed": True}
        await pilot.press("3")
        assert following(source) == {"results": False, "failed": False}
        assert source.log_sources[0].following

    play(scenario, source)


def test_a_frozen_picture_stays_until_it_is_let_go() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+f")
        ledger = replace(scene.view().snapshot.ledger, failed=999)
        source.pollers[0].show(replace(scene.view(), snapshot=replace(scene.view().snapshot, ledger=ledger)))
        await pilot.pause()
        assert "312 failed" in text(app)
        await pilot.press("ctrl+f")
        await until(pilot, lambda: "999 failed" in text(app), "the new picture")

    play(scenario, source)


@pytest.mark.parametrize("size", [(59, 24), (80, 15), (1, 1)])
def test_a_window_that_is_too_small_says_so_and_comes_back(size: tuple[int, int]) -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert not main(app).query_one("#everything").display
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Results" in text(app), "the console to come back")

    play(scenario)


def test_help_is_made_of_the_commands_that_count() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpDialog), "the help")
        shown = text(app)
        assert "Failed" in shown
        for command in ALL:
            if command.where is Scope.FAILED:
                assert command.label in shown
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen), "the help to go")

    play(scenario, tab="failed", size=(140, 60))


def test_every_command_has_a_key_of_its_own_where_it_counts() -> None:
    seen: dict[tuple[str, str], str] = {}
    for command in ALL:
        for key in command.key.split(","):
            place = (command.id.partition(".")[0], key)
            assert place not in seen, (command.id, seen.get(place))
            seen[place] = command.id
    assert len({command.id for command in ALL}) == len(ALL)


def test_the_palette_gives_commands() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"Diagram")
        await until(pilot, lambda: "live picture" in text(app), "the command")
        await pilot.press("enter")
        await until(pilot, lambda: main(app).tab_name == "diagram", "the tab")

    play(scenario, source)


def test_theme_and_density_are_told_so_that_they_can_be_kept() -> None:
    kept: dict[str, object] = {}
    app = console(FakeSource())
    app._on_change = kept.__setitem__  # noqa: SLF001 - what a program gives it

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("ctrl+t", "ctrl+d")
            await pilot.pause()

    asyncio.run(run())
    order = {"filter": "", "sort": "ended", "descending": True}
    assert kept == {"theme": "cauce-light", "compact": True, "tab": "monitor", **order}


@pytest.mark.parametrize(
    ("remembered", "text_of", "order"),
    [
        ({"filter": "kind:echo", "sort": "took", "descending": False}, "kind:echo", SortOrder(SortColumn.TOOK, False)),
        ({"filter": 8, "sort": "nonsense", "descending": "x"}, "8", SortOrder()),
        ({}, "", SortOrder()),
    ],
)
def test_the_filter_and_the_order_of_the_last_time_are_found_again(
    remembered: dict[str, object], text_of: str, order: SortOrder
) -> None:
    source = FakeSource()
    app = Console(source, Translations(), all_tabs(Translations(), scene.KINDS, remembered), first="monitor")

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: bool(source.feeds), "the search")
            assert (monitor(app).results.text, monitor(app).results.order) == (text_of, order)
            assert source.feeds["results"].searches[0][1] == order

    asyncio.run(run())


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
        await until(pilot, lambda: len(source.feeds["results"].searches) == 2, "the search")
        search, order = source.feeds["results"].searches[-1]
        assert search.terms == (Term("w3", TextField.WORKER),)
        assert order == SortOrder(SortColumn.TOOK)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")
        assert "worker      w3" in text(app)

    play(scenario, source)


def test_one_sheet_shows_one_task_after_the_other_each_from_the_beginning() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TaskDetail), "the first task")
        first = title(app)
        await pilot.press("s", *"worker", "enter", "end")
        await until(pilot, lambda: "hit 1 of" in text(app), "the hit")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")
        await pilot.press("ctrl+t", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, TaskDetail) and title(app) != first, "another task")
        assert "hit" not in text(app)
        assert "state" in text(app)
        await pilot.press("down", "q")
        await until(pilot, lambda: isinstance(app.screen, MainScreen), "the keys to have reached the sheet")

    play(scenario, FakeSource())


def test_a_task_that_is_opened_twice_at_once_is_one_sheet() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for _ in range(2):
            main(app).post_message(DetailRequested(next(iter(scene.tasks()))))
        await until(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")
        await pilot.pause()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")

    play(scenario, FakeSource())


def test_a_filter_is_looked_for_and_taken_away() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        results = monitor(app).results
        assert results.matching == 1000
        await pilot.press("slash", *"import-orders", "enter")
        await until(pilot, lambda: results.matching == 250, "the filter")
        assert "250 tasks · filtered" in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: results.matching == 1000, "everything")

    play(scenario, source)


def test_a_filter_that_cannot_be_understood_is_explained() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"took>soon")
        await until(pilot, lambda: "needs a time" in text(app), "the reason")

    play(scenario)


def test_results_that_come_are_shown_at_the_top_and_do_not_move_what_is_read() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        table = monitor(app).results.table
        source.feeds["results"].grow(scene.task(1001))
        await until(pilot, lambda: table.cursor_key == 1001, "the new one under the cursor at the top")
        await pilot.press("down", "down", "down")
        key = table.cursor_key
        source.feeds["results"].grow(scene.task(1002), scene.task(1003))
        await until(pilot, lambda: "▲ 2 new" in text(app), "the number of new ones")
        assert table.cursor_key == key
        await pilot.press("home")
        await until(pilot, lambda: "▲ 2 new" not in text(app), "the number to go")

    play(scenario, source)


@pytest.mark.parametrize(("keys", "column"), [(["o"], SortColumn.STATE), (["o", "o"], SortColumn.ID)])
def test_the_order_can_be_changed(keys: list[str], column: SortColumn) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*keys, "O")
        await until(pilot, lambda: len(source.feeds["results"].searches) == len(keys) + 2, "the searches")
        assert source.feeds["results"].searches[-1][1] == SortOrder(column, descending=False)

    play(scenario, source)


def test_a_task_that_ends_once_more_is_listed_once_and_the_cursor_stays_on_its_task() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        browser = app.screen.query_one("#results", TaskBrowser)
        await until(pilot, lambda: browser.matching == 1000, "the results")
        await pilot.press("down", "down", "down")
        assert browser.table.cursor_key == 997
        source.feeds["results"].grow(scene.task(998), scene.task(10), again=frozenset({998, 10}))
        await until(pilot, lambda: browser.model.key(0) == 10, "what has ended once more")
        assert browser.matching == 1000
        assert [browser.model.key(place) for place in range(4)] == [10, 998, 1000, 999]
        assert browser.table.cursor_key == 997

    play(scenario, source)


def test_what_is_found_is_exported_to_the_named_file() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("E")
        app.screen.query_one(Input).value = "/tmp/found.csv"  # noqa: S108 - nothing is written there
        await pilot.press("enter")
        await until(pilot, lambda: bool(source.orders.done), "the export")
        assert [str(part) for part in source.orders.done[0]] == ["export", "/tmp/found.csv"]  # noqa: S108 - nor here
        await until(pilot, lambda: any("12 tasks written" in each for each in told(app)), "the word")

    play(scenario, source)


# Submit.


@pytest.mark.parametrize(
    ("progressed", "shown", "percentage"),
    [
        (SubmissionProgress(1200, None, 2.0, 0.34), "1,200 answered · 34% of the file · 600/s · F8 cancels", 0.34),
        (SubmissionProgress(1200, 4800, 2.0), "1,200 of 4,800 answered · 600/s · F8 cancels", 0.25),
        (SubmissionProgress(1200, None, 2.0), "1,200 answered · 600/s · F8 cancels", None),
    ],
)
def test_a_long_submission_shows_how_far_it_is_as_well_as_that_is_known(
    progressed: SubmissionProgress, shown: str, percentage: float | None
) -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).show_submission(progressed)
        await until(pilot, lambda: shown in text(app), "how far it is")
        bar = app.screen.query_one(ProgressBar)
        assert bar.display == (percentage is not None)
        assert bar.percentage == percentage

    play(scenario, tab="submit")


def test_what_is_typed_is_submitted_with_enter_and_its_outcome_followed() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno dos", "enter")
        await until(pilot, lambda: bool(source.orders.done), "the task")
        assert source.orders.done == [("submit", NewSubmission("simulate", "uno dos"), "127.0.0.1:7100")]
        await until(pilot, lambda: source.feeds["submitted"].ids == ("order-48901",), "the outcome to be asked for")
        await until(pilot, lambda: "✓ done" in text(app), "the outcome")
        assert "2.3 ms" in text(app)

    play(scenario, source, "submit")


@pytest.mark.parametrize(
    ("typed", "payload", "described"),
    [
        ("42", 42, "a JSON number"),
        ('{"a": 1}', {"a": 1}, "a JSON object"),
        ("[1", "[1", "a text of 2 characters"),
        ("true", True, "a JSON truth value"),
        ("null", None, "JSON null"),
        ("", "", "an empty text"),
    ],
)
def test_a_payload_that_is_json_is_sent_as_json(typed: str, payload: object, described: str) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*typed)
        await pilot.pause()
        assert f"payload: {described}" in text(app)
        await pilot.press("enter")
        await until(pilot, lambda: bool(source.orders.done), "the task")
        assert source.orders.done[0][1] == NewSubmission("simulate", payload)

    play(scenario, source, "submit")


def test_each_line_is_a_task_of_its_own() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno", "ctrl+j", *"dos", "ctrl+j", "ctrl+l")
        await until(pilot, lambda: bool(source.orders.done), "the tasks")
        assert source.orders.done[0][1] == (NewSubmission("simulate", "uno"), NewSubmission("simulate", "dos"))
        await until(pilot, lambda: "2 accepted in 2.0 s (1.0/s)" in text(app), "the tally")

    play(scenario, source, "submit")


def test_a_wrong_field_is_explained_and_nothing_is_sent() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).query_one("#delay", Input).value = "soon"
        await pilot.press("enter")
        await until(pilot, lambda: any("delay" in each for each in told(app)), "the reason")
        assert source.orders.done == []

    play(scenario, source, "submit")


def test_a_refusal_stays_to_be_read() -> None:
    source = FakeSource()
    source.orders.trouble = "no server answers at 127.0.0.1:7100"

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("x", "enter")
        await until(pilot, lambda: "no server answers" in text(app), "the reason")

    play(scenario, source, "submit")


def test_a_former_submission_can_be_changed_and_sent_again() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno", "enter")
        await until(pilot, lambda: "order-48901" in text(app), "the first")
        await pilot.press(*"dos", "enter")
        await until(pilot, lambda: "order-48902" in text(app), "the second, typed over the first")
        await pilot.press("escape", "down", "ctrl+r")
        await until(pilot, lambda: "payload: a text of 3 characters" in text(app), "the first in the form")
        await pilot.press("x", "enter")
        await until(pilot, lambda: len(source.orders.done) == 3, "the third")
        assert [task.payload for task in source.orders.tasks] == ["uno", "dos", "unox"]

    play(scenario, source, "submit")


def test_a_load_is_ordered_in_a_dialog() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+g")
        app.screen.query_one("#tasks", Input).value = "0"
        await pilot.press("enter")
        await until(pilot, lambda: "must be a whole number from 1" in text(app), "the reason")
        app.screen.query_one("#tasks", Input).value = "500"
        app.screen.query_one("#rate", Input).value = "0"
        await pilot.press("enter")
        await until(pilot, lambda: bool(source.orders.done), "the load")
        [order] = source.orders.loads
        assert (order.tasks, order.rate, order.connections) == (500, None, 4)
        await until(pilot, lambda: "p50 2.0 ms" in text(app), "the figures")

    play(scenario, source, "submit")


# Processes.


def test_keys_start_and_stop_the_process_under_the_cursor() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "s", "x", "r")
        await until(pilot, lambda: len(source.orders.done) == 3, "the orders")
        assert sorted(map(str, source.orders.done)) == sorted(
            map(str, [("start", "s1"), ("stop", "s1"), ("restart", "s1")])
        )

    play(scenario, source, "processes")


def test_a_kill_asks_first_and_the_safe_answer_has_the_focus() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert "Kill epmd?" in text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert source.orders.done == []
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        await pilot.press("right", "enter")
        await until(pilot, lambda: source.orders.done == [("kill", "epmd")], "the kill")

    play(scenario, source, "processes")


@pytest.mark.parametrize(
    ("down", "key", "order"), [(3, "+", ("scale", 4, None)), (5, "-", ("scale", None, 3)), (0, "+", None)]
)
def test_there_can_be_one_more_or_one_fewer(down: int, key: str, order: tuple[object, ...] | None) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*["down"] * down, "plus" if key == "+" else "minus")
        if order is None:
            await until(pilot, lambda: any("Only servers and workers" in each for each in told(app)), "the reason")
            assert source.orders.done == []
        else:
            await until(pilot, lambda: source.orders.done == [order], "the order")

    play(scenario, source, "processes")


def test_the_log_of_one_process_and_of_all() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        tab = main(app).tab
        assert isinstance(tab, ProcessesTab)
        await until(pilot, lambda: len(tab.logs.text.lines) == 7, "all lines")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: "Log of s1" in text(app) and len(tab.logs.text.lines) == 1, "its line")
        source.log_sources[0].write(LogLine("s1", "cauce.server: something new", Level.INFO, scene.NOW))
        await until(pilot, lambda: "something new" in text(app), "the new line")
        await pilot.press("escape")
        await until(pilot, lambda: len(tab.logs.text.lines) == 7, "all lines again")

    play(scenario, source, "processes")


def test_logs_are_filtered_by_text_and_level() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        tab = main(app).tab
        assert isinstance(tab, ProcessesTab)
        tab.logs.text.focus()
        await pilot.press("v")
        await until(pilot, lambda: len(tab.logs.text.lines) == 3, "warnings and worse")
        await pilot.press("slash", *"module", "enter")
        await until(pilot, lambda: len(tab.logs.text.lines) == 1, "the line")
        await pilot.press("escape")
        await until(pilot, lambda: len(tab.logs.text.lines) == 7, "every line")

    play(scenario, tab="processes")


def test_the_system_is_started_where_nothing_runs_and_not_twice() -> None:
    source = FakeSource(scene.nothing_runs(), tasks={}, lines=())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("u")
        await until(pilot, lambda: source.orders.done == [("up",)], "the start")
        source.pollers[0].show(scene.view())
        await pilot.pause()
        await pilot.press("u")
        await until(pilot, lambda: any("running already" in each for each in told(app)), "the word")
        assert source.orders.done == [("up",)]

    play(scenario, source)


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

    play(scenario, tab="failed")


def nothing_runs() -> FakeSource:
    """A directory in which nothing runs yet."""
    return FakeSource(scene.nothing_runs(), tasks={}, lines=())


def test_a_start_that_was_asked_for_is_shown_by_its_parts_until_everything_is_ready() -> None:
    start = FakeStart()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "Starting: waiting for s1, w1" in text(app), "the start")
        assert "● rabbitmq  ◐ s1  ○ w1" in text(app)
        assert "s1: port 7101 is not open yet" in text(app)
        # Everything else can be used meanwhile, but no second start.
        await pilot.press("1")
        assert "New task" in text(app)
        await pilot.press("escape", "u")
        await until(pilot, lambda: any("being started already" in each for each in told(app)), "the word")
        start.goes_on.set()
        await until(pilot, lambda: "waiting for s1" not in text(app), "the end")
        assert start.began == 1

    play(scenario, nothing_runs(), start=start)


def test_a_start_that_fails_says_why_and_what_to_do_until_the_system_runs() -> None:
    start, source = FakeStart(), nothing_runs()
    start.trouble = "s1 can't be started:\n  127.0.0.1:7101 is taken by \x1b[2J another program"
    start.goes_on.set()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "The system could not be started" in text(app), "the failure")
        assert "127.0.0.1:7101 is taken by" in text(app)
        assert "\x1b" not in text(app)
        assert "press u to start once more" in text(app)
        await pilot.press("u")
        await until(pilot, lambda: source.orders.done == [("up",)], "another start")
        await until(pilot, lambda: "could not be started" not in text(app), "the failure to go")

    play(scenario, source, start=start)


def test_a_failure_to_start_goes_when_the_system_runs_or_it_is_clicked() -> None:
    start, source = FakeStart(), nothing_runs()
    start.trouble = "no"
    start.goes_on.set()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "could not be started" in text(app), "the failure")
        source.pollers[0].show(scene.view())
        await until(pilot, lambda: "could not be started" not in text(app), "the failure to go")

    async def another(app: Console, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "could not be started" in text(app), "the failure")
        await pilot.click("#start")
        await until(pilot, lambda: "could not be started" not in text(app), "the failure to go")

    play(scenario, source, start=start)
    play(another, nothing_runs(), start=start)


@pytest.mark.parametrize(("key", "act"), [("R", "retry"), ("D", "discard")])
def test_one_task_or_the_marked_ones_are_settled_after_a_question(key: str, act: str) -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert "this task" in text(app)
        await pilot.press("right", "enter")
        await until(pilot, lambda: source.orders.done == [(act, 1000)], "the order")
        await until(pilot, lambda: len(source.feeds["failed"].searches) == 2, "a fresh look")
        await pilot.press("space", "down", "space", key)
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert "2 tasks" in text(app)
        assert "200 match the filter" in text(app)
        await pilot.press("right", "enter")
        await until(pilot, lambda: len(source.orders.done) == 2, "the order")
        assert source.orders.done[1] == (act, 990, 1000)

    play(scenario, source, "failed")


def test_everything_that_matches_can_be_marked() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"KeyError", "enter")
        await until(pilot, lambda: failures(app).failures.matching == 67, "the filter")
        await pilot.press("a")
        assert len(failures(app).failures.model.marks) == 67
        await pilot.press("R")
        await until(pilot, lambda: "Retry 67 tasks?" in text(app), "the question")
        await pilot.press("escape")
        await pilot.press("a")
        assert failures(app).failures.model.marks == set()
        assert source.orders.done == []

    play(scenario, source, "failed")


def test_the_last_of_these_is_undone() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("z")
        await until(pilot, lambda: any("nothing to undo" in each for each in told(app)), "the word")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        await pilot.press("right", "enter")
        await until(pilot, lambda: len(source.orders.done) == 1, "the order")
        await until(pilot, lambda: any("discarded" in each for each in told(app)), "its end")
        await pilot.press("z")
        await until(pilot, lambda: source.orders.done[-1] == ("undo", 5), "the undo")

    play(scenario, source, "failed")


@pytest.mark.parametrize(
    ("keys", "told_so"),
    [
        (("R", "right", "enter"), "2 of 4 retried, then cancelled. z undoes what was done."),
        (("D", "right", "enter"), "2 of 4 discarded, then cancelled. z undoes what was done."),
        (("z",), "2 of 4 are failed again, then cancelled. z undoes the rest."),
        (("E", "enter"), "Cancelled after 6 of 12: no file was written."),
    ],
)
def test_what_takes_long_is_told_and_can_be_cancelled(keys: Sequence[str], told_so: str) -> None:
    source = FakeSource(tasks=scene.tasks(20))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("a", "D")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        await pilot.press("right", "enter")
        await until(pilot, lambda: any("4 tasks discarded" in each for each in told(app)), "something to undo")
        await until(pilot, lambda: len(source.feeds["failed"].searches) == 2, "a fresh look")
        source.orders.takes_long = True
        await pilot.press("a")
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: "· F8 cancels" in text(app), "the progress")
        # From wherever one is by then.
        await pilot.press("2", "f8")
        await until(pilot, lambda: any(told_so in each for each in told(app)), "the end")
        assert "F8 cancels" not in text(app)
        await pilot.press("f8")
        await until(pilot, lambda: any("nothing to cancel" in each for each in told(app)), "the word")

    play(scenario, source, "failed")


def test_what_is_under_way_is_begun_only_once_and_ends_with_the_console() -> None:
    source = FakeSource()
    source.orders.takes_long = True

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        for _ in range(2):
            await pilot.press("E", "enter")
            await pilot.pause()
        await until(pilot, lambda: any("running already; F8 cancels" in each for each in told(app)), "the word")
        assert [each[0] for each in source.orders.done] == ["export"]

    play(scenario, source, "failed")


# Leaving, and a console that only looks.


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
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
        assert app.screen.query_one("#answer-0", Button).has_focus
        await pilot.press(*keys)
        if ends:
            await until(pilot, lambda: app._exit, "the end")  # noqa: SLF001 - whether it ends
        await until(pilot, lambda: source.orders.done == orders, "the orders")

    app = play(scenario, source)
    assert app.return_code in {0, None}


def test_leaving_asks_nothing_where_nothing_runs() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await until(pilot, lambda: app._exit, "the end")  # noqa: SLF001 - whether it ends

    play(scenario, FakeSource(scene.nothing_runs(), tasks={}))


def test_the_watcher_is_stopped_when_the_console_ends() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.pause()

    play(scenario, source)
    assert source.pollers[0].stopped


@pytest.mark.parametrize("tab", ["submit", "processes", "failed", "monitor"])
def test_a_console_that_only_looks_has_no_command_that_acts(tab: str) -> None:
    source = FakeSource(read_only=True)

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        ids = {active.binding.id for active in app.screen.active_bindings.values() if active.enabled}
        assert [command.id for command in ALL if command.changes_system and command.id in ids] == []
        await pilot.press("s", "x", "R", "D", "U", "u", "X", "ctrl+s", "ctrl+l", "ctrl+g")
        await pilot.pause()
        assert source.orders.done == []
        assert isinstance(app.screen, MainScreen)

    play(scenario, source, tab)


def test_what_cannot_be_done_is_told() -> None:
    source = FakeSource()
    source.orders.trouble = "no supervisor runs in /srv/tasks; `up` starts one"

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await until(pilot, lambda: any("no supervisor runs" in each for each in told(app)), "the reason")

    play(scenario, source, "processes")


def test_a_system_that_starts_says_so() -> None:
    view = replace(scene.view(), report=scene.report(Phase.STARTING))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert "starting" in text(app).split("\n")[0]

    play(scenario, FakeSource(view))


def test_a_task_that_is_gone_is_told() -> None:
    tasks = dict(scene.tasks(10))
    source = FakeSource(tasks=tasks)

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        tasks.clear()
        await pilot.press("enter")
        await until(pilot, lambda: any("not in the journal" in each for each in told(app)), "the word")

    play(scenario, source)


def test_a_task_that_can_not_be_read_now_is_told_and_can_be_opened_later() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        source.trouble = "the journal is locked"
        await pilot.press("enter")
        await until(pilot, lambda: any("the journal is locked" in each for each in told(app)), "the reason")
        source.trouble = ""
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")

    play(scenario, source)


# Keys of one's own.


def test_a_command_can_have_another_key() -> None:
    source = FakeSource()
    app = Console(
        source,
        Translations(),
        all_tabs(Translations(), scene.KINDS),
        first="processes",
        keymap=keymap({"processes.start": "f8", "app.help": "f12"}, "cauce.toml"),
    )

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            await pilot.press("s", "f8")
            await until(pilot, lambda: source.orders.done == [("start", "epmd")], "the order")
            assert "f8 Start" in text(app)
            await pilot.press("f12")
            await until(pilot, lambda: isinstance(app.screen, HelpDialog), "the help")
            assert "f8" in text(app)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"processes.strat": "f8"}, "is not a command of the console; do you mean 'processes.start'"),
        ({"app.quit": 8}, "must be keys separated by commas"),
        ({"app.quit": "ctrl+"}, "must be keys separated by commas"),
        ({"app.quit": ""}, "must be keys separated by commas"),
    ],
)
def test_a_key_that_is_none_is_explained(wanted: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        keymap(wanted, "cauce.toml")


# Faults of our own.


class BrokenTab(Tab):
    """Can't show anything."""

    def show(self, view: View) -> None:
        """Fail."""
        word = "sesame"
        raise RuntimeError(f"no way of {len(word)}")


def test_a_tab_that_is_broken_says_so_and_the_others_go_on() -> None:
    tabs = dict(all_tabs(Translations(), scene.KINDS))
    tabs["diagram"] = ("Diagram", lambda tr: BrokenTab(tr, id="diagram"))
    source = FakeSource()
    app = Console(source, Translations(), tabs, first="diagram")

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "This tab has a fault" in text(app), "the word")
            assert "no way of 6" in text(app)
            source.pollers[0].show(scene.view())
            await pilot.press("2")
            await until(pilot, lambda: "order-49000" in text(app), "another tab")
            await pilot.press("5")
            await pilot.pause()
            assert text(app).count("This tab has a fault") == 1

    asyncio.run(run())


def test_a_console_that_breaks_down_prints_no_values_and_writes_its_log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
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


def test_no_key_of_the_form_is_one_that_its_editor_takes_for_itself() -> None:
    taken = {key for binding in TextArea.BINDINGS for key in key_names(binding)}
    mine = {key for command in commands.SUBMIT for key in command.key.split(",")}
    assert mine & taken == set()


def key_names(binding: BindingType) -> list[str]:
    """The keys of a binding."""
    return (binding.key if isinstance(binding, Binding) else binding[0]).split(",")


def test_dialogs_that_were_closed_are_let_go() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        async def open_and_close() -> None:
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TaskDetail), "the sheet")
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")

        def drawn() -> int:
            gc.collect()
            return sum(isinstance(each, Strip) for each in gc.get_objects())

        for _ in range(3):
            await open_and_close()
        before = drawn()
        for _ in range(10):
            await open_and_close()
        # Ten sheets of forty lines would be four hundred at least.
        assert drawn() - before < 200

    play(scenario)


def test_a_signal_before_the_first_frame_or_after_the_last_ends_it_quietly() -> None:
    app = console(FakeSource())
    with app.stopped_by_signals():
        signal.raise_signal(signal.SIGTERM)

        async def scenario() -> None:
            async with app.run_test() as pilot:
                await until(pilot, lambda: app.return_code is not None, "the end")

        asyncio.run(scenario())
        assert app.return_code == 128 + signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
