"""Searching a text whose lines are added and dropped, and going from hit to hit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from core.supervisor.logs.log_reading import Level, LogLine
from tests.tui import scene
from tests.tui.fakes import FakeSource
from tests.tui.test_console import main, run_scenario, text, wait_for
from tui.app import Console
from tui.dialogs.task_detail import TaskDetail
from tui.tabs.processes import ProcessesTab
from tui.widgets.log_panel import LogPanel
from tui.widgets.search_hits import SearchHits
from tui.widgets.text_view import TextView

# Which lines are hits.


@pytest.mark.parametrize(
    ("wanted", "lines", "indices"),
    [
        ("lost", ["Lost", "found", "LOST again"], [0, 2]),
        ("Lost", ["Lost", "lost", "LOST again"], [0]),
        ("a.b", ["a.b", "axb"], [0]),
        ("ñu", ["ÑU", "nu"], [0]),
        ("", ["", "x"], []),
        ("z", [], []),
    ],
)
def test_a_line_that_contains_the_text_is_a_hit(wanted: str, lines: list[str], indices: list[int]) -> None:
    hits = SearchHits(wanted, lines)
    assert [hits.select_after(index) for index in indices] == indices
    assert len(hits) == len(indices)


def test_every_occurrence_in_a_line_is_found() -> None:
    assert SearchHits("on").spans("On and on") == [(0, 2), (7, 9)]
    assert SearchHits("").spans("On and on") == []


def test_after_the_last_hit_comes_the_first() -> None:
    hits = SearchHits("x", ["-", "x", "-", "x", "x"])
    assert [hits.select_after(index) for index in (0, 2, 4, 5)] == [1, 3, 4, 1]
    assert [hits.select_before(index) for index in (4, 3, 1)] == [3, 1, 4]


@pytest.mark.parametrize(("index", "nearest"), [(0, 1), (2, 3), (4, 3)])
def test_the_nearest_hit_is_the_first_from_there_on_or_the_last(index: int, nearest: int) -> None:
    assert SearchHits("x", ["-", "x", "-", "x", "-"]).select_nearest(index) == nearest


def test_without_hits_there_is_none_to_go_to() -> None:
    hits = SearchHits("x", ["-", "-"])
    assert [hits.select_after(0), hits.select_before(1), hits.select_nearest(0)] == [-1, -1, -1]
    assert hits.rank == 0


def test_hits_stay_right_when_lines_are_dropped_at_the_beginning() -> None:
    hits = SearchHits("x", ["x", "-", "x", "-", "x"])
    hits.select_after(1)
    assert (hits.current, hits.rank, len(hits)) == (2, 2, 3)
    hits.drop(1)
    assert (hits.current, hits.rank, len(hits)) == (1, 1, 2)
    hits.extend(["x"])
    assert [hits.select_after(index) for index in (0, 2, 4)] == [1, 3, 4]
    hits.select_after(0)
    hits.drop(2)
    assert hits.current < 0
    assert (hits.rank, len(hits)) == (0, 2)
    assert hits.select_after(0) == 1


# In a text.


class Bench(App[None]):
    """An app with one text, whose hits have colours."""

    CSS = """
    TextView { width: 1fr; height: 1fr; scrollbar-size: 1 1; overflow-x: hidden; }
    TextView > .text--hit { background: #000001; }
    TextView > .text--hit-here { background: #000002; }
    """

    def __init__(self, view: TextView) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        """Compose the text."""
        yield self._view


Steps: TypeAlias = Callable[[Pilot[None]], Awaitable[None]]


def run(view: TextView, steps: Steps) -> None:
    """Run steps with a text that is shown in 40 columns and 10 lines."""

    async def played() -> None:
        async with Bench(view).run_test(size=(40, 10)) as pilot:
            await pilot.pause()
            await steps(pilot)

    asyncio.run(played())


def numbered(count: int, first: int = 0) -> list[tuple[str, str]]:
    """Return lines, of which each tenth is a hit for `ten`."""
    return [(f"line {number}{' is a ten' if number % 10 == 0 else ''}", "") for number in range(first, first + count)]


def shown(view: TextView) -> list[str]:
    """Return the lines in view."""
    return [view.render_line(y).text.rstrip() for y in range(view.scrollable_content_region.height)]


def highlighted(view: TextView, blue: int) -> list[str]:
    """Return the texts in view with the colour of a hit (1), or of the current hit (2)."""
    return [segment.text for y in range(10) for segment in view.render_line(y) if _blue(segment) == blue]


def _blue(segment: Segment) -> int:
    colour = segment.style.bgcolor if segment.style else None
    triplet = colour.triplet if colour else None
    return triplet.blue if triplet is not None and triplet.red == triplet.green == 0 else 0


def test_a_search_goes_to_the_nearest_hit_and_highlights_all() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show(numbered(100))
        view.find("line 1")
        assert highlighted(view, 2) == ["line 1"]
        assert highlighted(view, 1) == []
        view.find("ten")
        assert highlighted(view, 2) == ["ten"]
        view.go_to_hit(forward=True)
        assert "line 10 is a ten" in shown(view)
        assert view.hits.rank == 2
        view.find("")
        assert highlighted(view, 1) + highlighted(view, 2) == []

    view = TextView()
    run(view, steps)


def test_going_through_hits_wraps_around_in_both_directions() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show(numbered(50))
        view.find("ten")
        ranks = []
        for forward in (True, True, True, True, True, False, False):
            view.go_to_hit(forward=forward)
            ranks.append(view.hits.rank)
            assert f"line {10 * (view.hits.rank - 1)} is a ten" in shown(view)
        assert ranks == [2, 3, 4, 5, 1, 5, 4]

    view = TextView()
    run(view, steps)


def test_after_scrolling_the_next_hit_is_the_next_from_the_view() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show(numbered(100))
        await pilot.pause()
        view.find("ten")
        view.scroll_to(y=55, animate=False, immediate=True)
        view.go_to_hit(forward=True)
        assert view.hits.current == 60
        view.scroll_to(y=35, animate=False, immediate=True)
        view.go_to_hit(forward=False)
        assert view.hits.current == 40

    view = TextView()
    run(view, steps)


def test_a_hit_ends_the_following_and_hits_in_added_lines_count() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show(numbered(100))
        view.find("ten")
        assert not view.follow
        before = shown(view)
        view.extend(numbered(100, 100))
        assert (view.hits.rank, len(view.hits)) == (10, 20)
        assert shown(view) == before
        view.follow_end()
        assert view.hits.rank == 0
        view.go_to_hit(forward=False)
        assert view.hits.current == 190

    view = TextView(follow=True)
    run(view, steps)


def test_a_search_without_a_hit_does_not_end_the_following() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show(numbered(100))
        view.find("nowhere")
        view.go_to_hit(forward=True)
        assert view.follow
        assert shown(view)[-1] == "line 99"

    view = TextView(follow=True)
    run(view, steps)


@pytest.mark.parametrize("wrap", [True, False])
def test_hits_stay_on_their_lines_when_the_oldest_lines_are_dropped(*, wrap: bool) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show([(f"{text} {'x' * 50}", "") for text, _ in numbered(3000)])
        await pilot.pause()
        view.find("line 2900 is a ten")
        before = shown(view)
        view.extend(numbered(2600, 3000))
        assert len(view.lines) == 3000
        assert view.lines[view.hits.current][0].startswith("line 2900 ")
        assert shown(view) == before
        assert highlighted(view, 2) == ["line 2900 is a ten"]
        view.find("ten")
        for _ in range(30):
            view.go_to_hit(forward=True)
            assert " ten" in view.lines[view.hits.current][0]
        assert len(view.hits) == sum(" ten" in text for text, _ in view.lines)

    view = TextView(max_lines=3000, wrap=wrap)
    run(view, steps)


def test_each_line_is_searched_once() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show(numbered(20_000))
        view.find("ten")
        hits = view.hits
        for first in range(20_000, 45_000, 500):
            view.extend(numbered(500, first))
            view.go_to_hit(forward=True)
        assert view.hits is hits
        assert hits.lines_searched == 45_000
        assert len(hits) == sum(" ten" in text for text, _ in view.lines)

    view = TextView(follow=True, wrap=False)
    run(view, steps)


def test_a_hit_that_is_wrapped_is_highlighted_on_both_lines() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show([("-" * 37 + "abcdef" + "-" * 10, ""), ("x", "")])
        view.find("abcdef")
        assert highlighted(view, 2) == ["abc", "def"]

    view = TextView()
    run(view, steps)


def test_a_hit_beyond_the_edge_is_scrolled_into_view() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show([("日本" * 30 + "needle" + "-" * 100, ""), ("needle", "")])
        view.find("needle")
        assert highlighted(view, 2) == ["needle"]
        view.go_to_hit(forward=True)
        assert view.scroll_offset.x == 0
        assert highlighted(view, 2) == ["needle"]

    view = TextView(wrap=False)
    run(view, steps)


def test_a_long_wrapped_line_is_scrolled_to_its_hit() -> None:
    async def steps(pilot: Pilot[None]) -> None:
        view.show([("-" * 4000 + "needle", "")])
        await pilot.pause()
        view.find("needle")
        assert highlighted(view, 2) == ["needle"]

    view = TextView()
    run(view, steps)


# In the console.


def logs_of(app: Console) -> LogPanel:
    """Return the panel of the logs."""
    tab = main(app).tab
    assert isinstance(tab, ProcessesTab)
    return tab.logs


def many(count: int) -> Sequence[LogLine]:
    """Return lines of a log."""
    return [LogLine("w1", line, Level.INFO, scene.NOW) for line, _ in numbered(count)]


def test_a_search_in_the_logs_shows_the_position_and_the_number_of_hits() -> None:
    source = FakeSource(lines=many(170))

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        panel = logs_of(app)
        panel.text.focus()
        await pilot.press("s", *"ten", "enter")
        await wait_for(pilot, lambda: "ten: hit 17 of 17" in text(app), "the last hit")
        assert "paused" in text(app)
        await pilot.press("n", "n")
        await wait_for(pilot, lambda: "ten: hit 2 of 17" in text(app), "the second hit")
        await pilot.press("N")
        await wait_for(pilot, lambda: "ten: hit 1 of 17" in text(app), "the first hit")
        source.log_sources[0].write(LogLine("w1", "one more ten", Level.INFO, scene.NOW))
        await wait_for(pilot, lambda: "ten: hit 1 of 18" in text(app), "another hit")
        await pilot.press("f")
        await wait_for(pilot, lambda: "ten: 18 hits" in text(app) and "FOLLOWING" in text(app), "the end")
        await pilot.press("escape")
        await wait_for(pilot, lambda: "hits" not in text(app), "the end of the search")
        assert app.focused is panel.text

    run_scenario(scenario, source, "processes")


def test_the_next_hit_without_a_search_starts_one_and_escape_ends_it() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        panel = logs_of(app)
        panel.text.focus()
        await pilot.press("n", *"nowhere")
        await wait_for(pilot, lambda: "nowhere: no hits" in text(app), "that there is none")
        await pilot.press("escape")
        await wait_for(pilot, lambda: "no hits" not in text(app) and app.focused is panel.text, "the end of the search")
        await pilot.press("slash", *"ready", "enter", "s", *"w1", "enter")
        await wait_for(pilot, lambda: "w1: hit 1 of 1" in text(app), "a hit in what the filter leaves")
        await pilot.press("escape")
        assert len(panel.text.lines) == 3
        await pilot.press("escape")
        assert len(panel.text.lines) == 7

    run_scenario(scenario, tab="processes")


def test_the_details_of_a_task_can_be_searched() -> None:
    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the task")
        await pilot.press("s", *"customer", "enter")
        await wait_for(pilot, lambda: "customer: hit 1 of" in text(app), "the hit")
        await pilot.press("n")
        await wait_for(pilot, lambda: "customer: hit 2 of" in text(app), "the next hit")
        await pilot.press("escape")
        await wait_for(pilot, lambda: "customer: hit" not in text(app), "the end of the search")
        assert isinstance(app.screen, TaskDetail)
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(app.screen, TaskDetail), "the table")

    run_scenario(scenario, tab="failed")
