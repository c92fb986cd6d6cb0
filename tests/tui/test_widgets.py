"""The widgets that draw themselves: tables, texts, the chart. Each is alone in an app."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeAlias

import pytest
from msgspec.structs import replace
from textual import events
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widget import Widget

from core.model import State
from tests.tui import scene
from tui import display_text
from tui.translations import Translations
from tui.widgets.chart import RateChart, ceiling
from tui.widgets.check_box import CheckBox
from tui.widgets.message_line import MessageLine
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, Cells, ListModel, TableColumn, TableModel, lay_out
from tui.widgets.task_rows import MAX_ROWS, TaskModel, failed_columns, result_columns, state_cell, task_cells
from tui.widgets.text_view import StyledLine, TextView

WORDS = Translations()
COLUMNS = (
    TableColumn(key="name", label="name", width=6),
    TableColumn(key="note", label="note", width=8, grow=1, rank=1),
    TableColumn(key="count", label="count", width=5, right=True),
)


class Bench(App[None]):
    """An app with one widget, which records the messages of tables."""

    CSS = """
    Table, TextView, RateChart { width: 1fr; height: 1fr; scrollbar-size: 1 1; }
    TextView { overflow-x: hidden; }
    Table > .table--cursor { background: blue; }
    Table > .table--cursor-blurred { background: green; }
    RateChart > .chart--in { color: blue; }
    RateChart > .chart--both { color: green; }
    """

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget
        self.messages: list[Message] = []

    def compose(self) -> ComposeResult:
        """Compose the widget."""
        yield self.widget

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        """Record the message."""
        self.messages.append(event)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        """Record the message."""
        self.messages.append(event)

    def on_table_viewport_changed(self, event: Table.ViewportChanged) -> None:
        """Record the message."""
        self.messages.append(event)

    def on_table_header_selected(self, event: Table.HeaderSelected) -> None:
        """Record the message."""
        self.messages.append(event)


Steps: TypeAlias = Callable[[Pilot[None], Bench], Awaitable[None]]


def run(widget: Widget, steps: Steps, size: tuple[int, int] = (40, 10)) -> None:
    """Run steps with a widget on the screen."""

    async def play() -> None:
        bench = Bench(widget)
        async with bench.run_test(size=size) as pilot:
            await pilot.pause()
            widget.focus()
            for _ in range(500):
                if widget.has_focus or not widget.can_focus:
                    break
                await pilot.pause(0.01)
            await pilot.pause()
            await steps(pilot, bench)

    asyncio.run(play())


def line(widget: Table | TextView | RateChart, y: int) -> str:
    """Return a line as it is drawn."""
    return widget.render_line(y).text


def lines(widget: Table | TextView | RateChart) -> list[str]:
    """Return the drawn lines, without the blanks at their ends."""
    return [line(widget, y).rstrip() for y in range(widget.scrollable_content_region.height)]


# The table.


def rows(*names: str, note: str = "-") -> ListModel:
    """Return rows with these names, and their indices as counts."""
    return ListModel([(name, [Cell(name), Cell(note), Cell(str(index))]) for index, name in enumerate(names)])


def names(count: int, first: int = 0) -> tuple[str, ...]:
    """Return names of rows."""
    return tuple(f"r{number}" for number in range(first, first + count))


@pytest.mark.parametrize(
    ("text", "width", "end", "head"),
    [
        ("load-a8602587f01c-12345", 13, "load…1c-12345", "load-a860258…"),
        ("load-a", 13, "load-a", "load-a"),
        ("一二三四五六七", 9, "一…五六七", "一二三四…"),
        ("abcdef", 3, "ab…", "ab…"),
    ],
)
def test_a_long_text_is_cut_where_it_tells_least(text: str, width: int, end: str, head: str) -> None:
    assert (display_text.cut(text, width, keeps_end=True), display_text.cut(text, width)) == (end, head)


@pytest.mark.parametrize("width", [76, 78, 116, 118])
@pytest.mark.parametrize("columns", [result_columns(Translations()), failed_columns(Translations())])
def test_the_outcome_has_the_widest_column(columns: Sequence[TableColumn], width: int) -> None:
    """Beside a scrollbar, too, in windows of 80 and 120 columns; with texts that all need more than there is."""
    laid_out = lay_out(columns, width, [100] * len(columns))
    widths = {column.key: width for _, column, width in laid_out.columns}
    assert laid_out.width <= width
    assert widths["outcome"] >= 28
    assert widths["outcome"] == max(widths.values())


WIDE = (
    TableColumn(key="at", label="at", width=8),
    TableColumn(key="payload", label="payload", width=14, grow=3),
    TableColumn(key="error", label="error", width=16, grow=4),
)


@pytest.mark.parametrize(
    ("needs", "widths"),
    [
        ((), [8, 26, 33]),
        # An empty column leaves its width to the one that needs it.
        ([8, 0, 60], [8, 9, 51]),
        ([8, 20, 20], [8, 28, 31]),
        ([8, 60, 60], [8, 26, 33]),
        ([8, 30, 20], [8, 34, 25]),
    ],
)
def test_the_spare_width_goes_to_the_columns_that_need_it(needs: Sequence[int], widths: Sequence[int]) -> None:
    assert [width for _, _, width in lay_out(WIDE, 70, needs).columns] == widths


def shown_table(model: TableModel, columns: Sequence[TableColumn] = COLUMNS) -> Table:
    """Return a table that shows a model from the beginning."""
    table = Table(columns)
    table.model = model
    return table


def keys(bench: Bench, kind: type[Table.RowHighlighted] | type[Table.RowSelected]) -> list[Hashable | None]:
    """Return the keys in the recorded messages of a kind."""
    return [event.key for event in bench.messages if isinstance(event, kind)]


def test_cells_are_drawn_in_their_columns() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("one", "two"))
        await pilot.pause()
        # The spare width goes to the column that grows; numbers are aligned to the right.
        assert line(table, 0) == "name   note" + " " * 24 + "count"
        assert line(table, 1) == "one    -" + " " * 31 + "0"
        assert line(table, 2) == "two    -" + " " * 31 + "1"
        assert line(table, 3).strip() == ""

    table = Table(COLUMNS)
    run(table, steps)


def test_only_rows_that_changed_are_redrawn() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(before)
        await pilot.pause()
        drawn.clear()
        table.show(ListModel(changed))
        await pilot.pause()
        assert drawn == {2}
        assert [line(table, y).split()[1] for y in (1, 2, 3)] == ["-", "other", "-"]
        drawn.clear()
        table.show(ListModel(changed))
        await pilot.pause()
        assert drawn == set()
        # With other keys everything is redrawn.
        table.show(rows("one", "four", "three"))
        await pilot.pause()
        assert line(table, 2).split()[0] == "four"

    class Watched(Table):
        """A table that records which of its lines are drawn."""

        def render_line(self, y: int) -> Strip:
            drawn.add(y)
            return super().render_line(y)

    before = rows("one", "two", "three")
    changed = [(key, cells if key != "two" else [Cell("two"), Cell("other"), Cell("1")]) for key, cells in before.rows]
    drawn: set[int] = set()
    table = Watched(COLUMNS)
    run(table, steps)


def test_a_row_that_changed_out_of_view_is_redrawn_when_it_is_scrolled_to() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        many = rows(*names(60))
        table.show(many)
        await pilot.pause()
        table.show(ListModel([*many.rows[:-1], ("r59", [Cell("r59"), Cell("late"), Cell("59")])]))
        table.move_cursor(59)
        await pilot.pause()
        assert "late" in "".join(line(table, y) for y in range(table.size.height))

    table = Table(COLUMNS)
    run(table, steps)


def test_a_note_is_hidden_while_it_is_empty() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        shown = []
        for text in ("", "[b]all is well[/]", "[b]all is well[/]", ""):
            note.show_text(text)
            await pilot.pause()
            shown.append((note.display, str(note.render())))
        assert shown == [(False, ""), (True, "[b]all is well[/]"), (True, "[b]all is well[/]"), (False, "")]

    note = MessageLine()
    run(note, steps)


def test_long_cells_are_cut_also_in_wide_characters() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(ListModel([("x", [Cell("abcdefghi"), Cell("日本語" * 20), Cell("1234567")])]))
        await pilot.pause()
        drawn = table.render_line(1)
        assert drawn.text.startswith("abcde… 日本語")
        assert drawn.text.endswith("… 1234…")
        assert drawn.cell_length == 40

    table = Table(COLUMNS)
    run(table, steps)


def test_nothing_in_a_cell_is_interpreted() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("r", note="[red]a[/] $b"))
        await pilot.pause()
        assert "[red]a[/] $b" in line(table, 1)

    table = Table(COLUMNS)
    run(table, steps)


def test_columns_of_the_highest_rank_are_left_out_when_the_table_is_narrow() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("one"))
        await pilot.pause()
        assert "note" in line(table, 0)
        await pilot.resize_terminal(18, 10)
        await pilot.pause()
        assert line(table, 0).split() == ["name", "count"]
        assert line(table, 1).split() == ["one", "0"]
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert line(table, 0).split() == ["name", "note", "count"]

    table = Table(COLUMNS)
    run(table, steps)


def test_a_table_that_is_too_wide_can_be_scrolled_sideways() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("one"))
        await pilot.pause()
        assert line(table, 0) == "name   coun"
        await pilot.press("right")
        assert line(table, 0) == "ame   count"
        await pilot.press("left")
        assert line(table, 0) == "name   coun"

    table = Table(COLUMNS)
    run(table, steps, size=(11, 10))


def test_keys_move_the_cursor_and_each_move_is_posted() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows(*names(100)))
        await pilot.pause()
        bench.messages.clear()
        for key, index in (
            ("down", 1), ("j", 2), ("k", 1), ("up", 0), ("up", 0), ("end", 99), ("down", 99), ("home", 0),
            ("pagedown", 8), ("pageup", 0), ("G", 99), ("g", 0),
        ):  # fmt: skip
            await pilot.press(key)
            assert table.cursor == index, key
            assert table.cursor_key == f"r{index}"
            first, end = table.rows_in_view
            assert first <= index < end
        assert keys(bench, Table.RowHighlighted) == [f"r{n}" for n in (1, 2, 1, 0, 99, 0, 8, 0, 99, 0)]

    table = Table(COLUMNS)
    run(table, steps)


def test_the_cursor_stays_on_its_key_when_rows_change() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows(*names(50)))
        table.move_cursor(7)
        await pilot.pause()
        table.show(rows(*names(50, first=100), *names(50)))
        await pilot.pause()
        assert (table.cursor, table.cursor_key) == (57, "r7")
        first, end = table.rows_in_view
        assert first <= 57 < end
        table.show(rows("r9", "r7", "r8"))
        await pilot.pause()
        assert (table.cursor, table.cursor_key) == (1, "r7")

    table = Table(COLUMNS)
    run(table, steps)


def test_when_the_row_under_the_cursor_goes_the_next_one_is_posted() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("a", "b", "c"))
        table.move_cursor(1)
        await pilot.pause()
        bench.messages.clear()
        table.show(rows("a", "c", "d"))
        await pilot.pause()
        assert (table.cursor, table.cursor_key) == (1, "c")
        assert keys(bench, Table.RowHighlighted) == ["c"]
        table.show(rows("a"))
        await pilot.pause()
        assert table.cursor_key == "a"
        table.show(ListModel())
        await pilot.pause()
        assert table.cursor == 0
        assert keys(bench, Table.RowHighlighted) == ["c", "a", None]

    table = Table(COLUMNS)
    run(table, steps)


def test_nothing_is_posted_when_the_cursor_stays_on_its_key() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("a", "b"))
        await pilot.pause()
        bench.messages.clear()
        table.show(rows("a", "b", note="changed"))
        await pilot.pause()
        assert "changed" in line(table, 1)
        assert keys(bench, Table.RowHighlighted) == []

    table = Table(COLUMNS)
    run(table, steps)


def test_a_cursor_key_moves_the_cursor_to_it() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows(*names(100)))
        table.show(rows(*names(100)), cursor_key="r60")
        await pilot.pause()
        assert table.cursor == 60
        first, end = table.rows_in_view
        assert first <= 60 < end
        table.show(rows(*names(100)), cursor_key="unknown")
        assert table.cursor == 60

    table = Table(COLUMNS)
    run(table, steps)


def test_an_empty_table_accepts_every_key() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        await pilot.press("down", "up", "pagedown", "end", "home", "right", "left")
        table.action_select_cursor()
        await pilot.pause()
        assert (table.cursor, table.cursor_key, table.rows_in_view) == (0, None, (0, 0))
        assert keys(bench, Table.RowSelected) == []

    table = Table(COLUMNS)
    run(table, steps)


def test_a_click_highlights_a_row_and_a_second_one_selects_it() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows(*names(5)))
        await pilot.pause()
        await pilot.click(table, offset=(2, 3))
        assert table.cursor_key == "r2"
        assert keys(bench, Table.RowSelected) == []
        await pilot.click(table, offset=(2, 3), times=2)
        await pilot.pause()
        assert keys(bench, Table.RowSelected) == ["r2"]
        await pilot.click(table, offset=(2, 8))
        assert table.cursor_key == "r2"

    table = Table(COLUMNS)
    run(table, steps)


def test_a_click_on_the_heading_of_a_sortable_column_is_posted() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows(*names(5)))
        await pilot.pause()
        await pilot.click(table, offset=(2, 0))
        await pilot.click(table, offset=(9, 0))
        await pilot.pause()
        assert [event.column for event in bench.messages if isinstance(event, Table.HeaderSelected)] == ["name"]

    table = Table(
        (TableColumn(key="name", label="name", width=6), TableColumn(key="x", label="no", width=6, sortable=False))
    )
    run(table, steps)


def test_the_headings_show_the_order() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("a"))
        table.show_order("name", descending=True)
        assert line(table, 0).startswith("name ▼")
        table.show_order("name", descending=False)
        assert line(table, 0).startswith("name ▲")
        table.show_order("note", descending=True)
        assert "note ▼" in line(table, 0)
        assert line(table, 0).startswith("name  ")

    table = Table(COLUMNS)
    run(table, steps)


@pytest.mark.parametrize(("width", "shown"), [(8, "worker ▼"), (7, "worker▼"), (6, "work…▼"), (2, "…▼")])
def test_a_narrow_heading_keeps_its_arrow(width: int, shown: str) -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("a"))
        table.show_order("name", descending=True)
        assert line(table, 0).rstrip() == shown

    table = Table([TableColumn(key="name", label="worker", width=width)])
    run(table, steps)


def test_a_box_that_is_not_ticked_is_empty() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        assert "X" not in box.render().plain
        await pilot.press("tab", "space")
        assert box.value
        assert "X" in box.render().plain

    box = CheckBox("as text")
    run(box, steps)


class Growing(TableModel):
    """A model of any number of rows, which are made on demand; the indices asked for are recorded."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.above = 0
        self.asked: set[int] = set()
        self.known = True

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> Hashable:
        """Return the number of a row, which stays the same when rows are added above it."""
        return index - self.above

    def index_of(self, key: Hashable) -> int | None:
        """Return the index of a row."""
        return key + self.above if isinstance(key, int) else None

    def cells(self, index: int) -> Cells | None:
        """Return a cell with the number of the row."""
        self.asked.add(index)
        return [Cell(f"n{index - self.above}")] if self.known else None

    def grow(self, above: int) -> None:
        """Add rows above the first."""
        self.count += above
        self.above += above


def test_of_a_million_rows_only_those_in_view_are_requested() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        model.asked.clear()
        for key in ("end", "home", "pagedown", "end", "up"):
            await pilot.press(key)
            first, end = table.rows_in_view
            lines(table)
            assert model.asked >= set(range(first, end))
        assert len(model.asked) < 200
        assert table.cursor_key == 999_998
        assert "n999998" in "".join(lines(table))

    model = Growing(1_000_000)
    table = shown_table(model, [TableColumn(key="number", label="number", width=10)])
    run(table, steps)


def test_each_drawing_asks_only_for_the_rows_in_view() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.move_cursor(500_000)
        await pilot.pause()
        model.asked.clear()
        for _ in range(20):
            table.redraw()
            lines(table)
        assert model.asked <= set(range(*table.rows_in_view))

    model = Growing(1_000_000)
    table = shown_table(model)
    run(table, steps, size=(140, 50))


def test_rows_added_above_move_neither_the_view_nor_the_cursor() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.move_cursor(50)
        await pilot.pause()
        before, key = lines(table), table.cursor_key
        for above in (1, 7, 300):
            model.grow(above)
            table.show_added(above)
            await pilot.pause()
            assert lines(table) == before
            assert table.cursor_key == key
        first, end = table.rows_in_view
        assert first <= table.cursor < end

    model = Growing(1000)
    table = shown_table(model)
    run(table, steps)


def test_at_the_top_added_rows_are_shown() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        assert table.at_top
        model.grow(3)
        table.show_added(3)
        await pilot.pause()
        assert line(table, 1).startswith("n-3")
        assert table.at_top
        await pilot.press("down")
        assert not table.at_top

    model = Growing(1000)
    table = shown_table(model)
    run(table, steps)


def test_the_end_can_be_reached_after_rows_were_added() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        await pilot.press("end")
        model.grow(20)
        table.show_added(20)
        await pilot.press("end")
        assert lines(table)[-1] == "n19"

    model = Growing(20)
    table = shown_table(model)
    run(table, steps)


@pytest.mark.parametrize(
    ("before", "after", "laid_out"),
    [
        pytest.param(50, 60, False, id="more, with a bar"),
        pytest.param(3, 5, False, id="more, without"),
        pytest.param(3, 50, True, id="the bar comes"),
        pytest.param(50, 3, True, id="the bar goes"),
        pytest.param(60, 50, True, id="fewer"),
    ],
)
@pytest.mark.parametrize("kind", [Table, TextView])
def test_growth_needs_no_new_layout_unless_the_scrollbar_appears_or_goes(
    kind: type[Table] | type[TextView], before: int, after: int, *, laid_out: bool
) -> None:
    widget = shown_table(rows(*names(before))) if kind is Table else TextView()

    def show(count: int) -> None:
        if isinstance(widget, Table):
            widget.show(rows(*names(count)))
        else:
            widget.show([(name, "") for name in names(count)])

    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        for _ in range(3):
            # Until the width beside the scrollbar is final.
            show(before)
            await pilot.pause()
        layouts: list[None] = []
        bench.screen.screen_layout_refresh_signal.subscribe(bench, lambda _: layouts.append(None))
        show(after)
        await pilot.pause()
        assert bool(layouts) == laid_out
        heading = 1 if kind is Table else 0
        assert widget.virtual_size.height == after + heading
        assert widget.show_vertical_scrollbar == (after + heading > 10)
        if widget.show_vertical_scrollbar:
            assert widget.vertical_scrollbar.window_virtual_size == after + heading
        await pilot.press("end")
        await pilot.pause()
        assert names(after)[-1] in lines(widget)[min(after + heading, 10) - 1]

    run(widget, steps)


def test_rows_that_are_not_known_are_requested_and_drawn_when_they_are() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        assert line(table, 1).strip() == ""
        await pilot.pause()
        viewports = [event for event in bench.messages if isinstance(event, Table.ViewportChanged)]
        assert (viewports[-1].first, viewports[-1].end) == (0, 9)
        model.known = True
        table.redraw()
        assert line(table, 1).startswith("n0")

    model = Growing(1000)
    model.known = False
    table = shown_table(model)
    run(table, steps)


def test_scrolling_posts_the_viewport_once_a_turn() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        bench.messages.clear()
        for index in range(100, 900, 10):
            table.move_cursor(index)
        await pilot.pause()
        viewports = [event for event in bench.messages if isinstance(event, Table.ViewportChanged)]
        assert 1 <= len(viewports) <= 3
        assert (viewports[-1].first, viewports[-1].end) == table.rows_in_view

    table = shown_table(Growing(1000))
    run(table, steps)


def test_the_cursor_is_visible_and_looks_different_without_the_focus() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        table.show(rows("a", "b", "c"))
        await pilot.pause()
        focused = [list(table.render_line(y)) for y in (1, 3)]
        assert focused[0][0].style != focused[1][0].style
        bench.screen.set_focus(None)
        await pilot.pause()
        [blurred, *_] = table.render_line(1)
        assert blurred.style not in {focused[0][0].style, focused[1][0].style}

    table = Table(COLUMNS)
    run(table, steps)


# Tasks as rows.


def test_every_column_of_a_task_has_a_cell() -> None:
    task = scene.row(scene.task(5))
    for columns in (result_columns(WORDS), failed_columns(WORDS)):
        drawn = {column.key: cell.text for column, cell in zip(columns, task_cells(task, columns, WORDS), strict=True)}
        assert drawn["id"] == "order-48005"
        assert drawn["attempts"] == "4"
        assert drawn["outcome"].startswith(("TimeoutError", "KeyError", "ValueError"))


def test_a_state_is_shown_by_a_sign_and_a_word() -> None:
    texts = [state_cell(state, WORDS).text for state in State]
    assert len(set(texts)) == len(State)
    assert all(text.split()[1] == state.value for text, state in zip(texts, State, strict=True))


def test_the_texts_of_a_task_are_cleaned() -> None:
    hostile = "\x1b[2J\x9b\x00\u202e"
    task = replace(scene.row(scene.task(5)), id=hostile, kind=hostile, payload=hostile, outcome=hostile, worker=hostile)
    assert all(cell.text.isprintable() for cell in task_cells(task, result_columns(WORDS), WORDS))


def model_of(count: int, *, is_reversed: bool) -> TaskModel:
    """Return tasks of which no row is known."""
    model = TaskModel(result_columns(WORDS), WORDS)
    model.replace_all(array("q", range(1, count + 1)), {}, is_reversed=is_reversed)
    return model


@pytest.mark.parametrize("is_reversed", [True, False])
@pytest.mark.parametrize("count", [1, 10, 100_000])
def test_a_task_is_found_wherever_it_is(count: int, *, is_reversed: bool) -> None:
    model = model_of(count, is_reversed=is_reversed)
    for index in {0, count // 7, count // 2, count - 1}:
        key = model.key(index)
        assert key == (count - index if is_reversed else index + 1)
        assert model.index_of(key) == index
    assert model.index_of(0) is None
    assert model.index_of("x") is None
    assert model.index_of(None) is None


def test_added_tasks_are_at_the_top_of_a_reversed_list() -> None:
    model = model_of(3, is_reversed=True)
    model.append(array("q", [9, 10]), {})
    assert model.seqs_between(0, 99) == [10, 9, 3, 2, 1]
    assert model.seqs_between(-5, 1) == [10]


def test_only_rows_that_are_new_or_changed_count_as_a_change() -> None:
    model = model_of(10, is_reversed=True)
    row = scene.row(scene.task(3))
    assert all(model.cells(index) is None for index in range(10))
    assert model.store_rows({3: row})
    assert not model.store_rows({3: row})
    found = model.cells(7)
    assert found is not None
    assert model.task_row(3) == row
    assert model.task_row(4) is None


def test_the_rows_kept_are_the_last_ones_read() -> None:
    model = model_of(MAX_ROWS + 100, is_reversed=False)
    row = scene.row(scene.task(1))
    for seq in range(1, MAX_ROWS + 1):
        model.store_rows({seq: row})
    model.store_rows({1: row})
    model.store_rows(dict.fromkeys(range(MAX_ROWS + 1, MAX_ROWS + 101), row))
    assert model.task_row(1) == row
    assert [model.task_row(seq) for seq in (2, 101)] == [None, None]
    assert model.task_row(102) == row


def test_marks_stay_on_their_tasks() -> None:
    model = model_of(3, is_reversed=True)
    model.marks.add(3)
    assert [model.is_marked(index) for index in range(3)] == [True, False, False]
    model.append(array("q", [4]), {})
    assert [model.is_marked(index) for index in range(4)] == [False, True, False, False]


def test_a_table_draws_tasks() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        assert "order-49000" not in line(table, 1)
        model.store_rows({seq: scene.row(scene.task(seq)) for seq in model.seqs_between(*table.rows_in_view)})
        table.redraw()
        assert "order-49000" in line(table, 1)
        assert "✖ failed" in line(table, 1)
        await pilot.resize_terminal(80, 12)
        await pilot.pause()
        assert "payload" not in line(table, 0)
        assert "tries" not in line(table, 0)
        assert "result" in line(table, 0)

    model = model_of(1000, is_reversed=True)
    table = shown_table(model, result_columns(WORDS))
    run(table, steps, size=(120, 12))


# Texts.


def plain(*texts: str) -> list[StyledLine]:
    """Return lines without a style."""
    return [(text, "") for text in texts]


def numbered(count: int, first: int = 0) -> list[StyledLine]:
    """Return lines with their numbers."""
    return plain(*(f"line {number}" for number in range(first, first + count)))


def test_lines_are_shown_from_the_first() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show(numbered(100))
        assert lines(view) == [f"line {number}" for number in range(10)]
        assert len(view.lines) == 100

    view = TextView()
    run(view, steps)


def test_long_lines_are_wrapped_at_the_width_and_again_when_it_changes() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show(plain("x" * 50, "日本語" * 10))
        await pilot.pause()
        assert lines(view)[:4] == ["x" * 40, "x" * 10, ("日本語" * 10)[:20], ("日本語" * 10)[20:]]
        await pilot.resize_terminal(30, 10)
        await pilot.pause()
        assert lines(view)[:2] == ["x" * 30, "x" * 20]
        assert all(view.render_line(y).cell_length == 30 for y in range(10))

    view = TextView()
    run(view, steps)


def test_lines_are_wrapped_before_the_scrollbar() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        text = "".join(f"{number:>10}" for number in range(1, 41))
        view.show(plain(text))
        await pilot.pause()
        view.extend(plain(text))
        await pilot.pause()
        assert view.show_vertical_scrollbar
        assert "".join(line(view, y) for y in range(10)) == text[: 10 * 39]
        view.show(plain("x" * 50))
        await pilot.pause()
        assert lines(view)[:2] == ["x" * 40, "x" * 10]

    view = TextView()
    run(view, steps)


def test_without_wrapping_long_lines_are_cut_and_can_be_scrolled_sideways() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        text = "".join(f"{number:>10}" for number in range(1, 11))
        view.show(plain(text, "short"))
        assert line(view, 0) == text[:39] + "…"
        await pilot.press("right")
        assert line(view, 0) == text[8:48]
        await pilot.press("l", "l", "l", "l", "l", "l", "l", "l", "l")
        assert line(view, 0) == text[60:]
        await pilot.press(*["h"] * 12)
        assert line(view, 0) == text[:39] + "…"
        view.set_wrap(True)
        assert line(view, 1).rstrip() == text[40:80]

    view = TextView(wrap=False)
    run(view, steps)


def test_added_lines_are_shown_while_the_end_is_followed() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show(numbered(50))
        assert lines(view)[-1] == "line 49"
        view.extend(numbered(50, 50))
        assert lines(view)[-1] == "line 99"
        await pilot.resize_terminal(40, 5)
        await pilot.pause()
        assert lines(view)[-1] == "line 99"

    view = TextView(follow=True)
    run(view, steps)


@pytest.mark.parametrize("key", ["up", "k", "pageup", "home", "g"])
def test_following_ends_when_the_user_scrolls_up(key: str) -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show(numbered(50))
        await pilot.press(key)
        assert not view.follow
        before = lines(view)
        view.extend(numbered(500, 50))
        assert lines(view) == before
        view.follow_end()
        assert lines(view)[-1] == "line 549"
        view.extend(numbered(1, 550))
        assert lines(view)[-1] == "line 550"

    view = TextView(follow=True)
    run(view, steps)


def test_the_wheel_scrolls_three_lines_and_ends_the_following() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show(numbered(50))
        await pilot.pause()
        await wheel(pilot, view, events.MouseScrollUp)
        assert lines(view)[0] == "line 37"
        assert not view.follow
        await wheel(pilot, view, events.MouseScrollDown)
        assert lines(view)[0] == "line 40"

    view = TextView(follow=True)
    run(view, steps)


async def wheel(pilot: Pilot[None], view: TextView, kind: type[events.MouseScrollUp | events.MouseScrollDown]) -> None:
    """Turn the mouse wheel over a text by one step."""
    view.post_message(kind(view, 1, 1, 0, 0, 0, False, False, False))
    await pilot.pause()


async def shown(pilot: Pilot[None], view: TextView, first: str) -> None:
    """Wait until this line is the first in view: a text scrolls after its layout."""
    for _ in range(200):
        if lines(view)[0] == first:
            return
        await pilot.pause(0.01)
    assert lines(view)[0] == first


def test_keys_scroll_a_text() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show(numbered(100))
        while not (view.max_scroll_y and view.show_vertical_scrollbar):
            # It can be scrolled after its layout.
            await pilot.pause(0.01)
        await pilot.pause(0.1)
        for key, first in (("down", 1), ("j", 2), ("pagedown", 11), ("space", 20), ("k", 19), ("end", 90), ("home", 0)):
            await pilot.press(key)
            await shown(pilot, view, f"line {first}")

    view = TextView()
    run(view, steps)


def test_the_number_of_lines_is_bounded() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        for first in range(0, 20_000, 500):
            view.extend(numbered(500, first))
            assert len(view.lines) <= 100 + 2000
        assert view.lines[-1] == ("line 19999", "")
        assert lines(view)[-1] == "line 19999"
        view.show(numbered(5000))
        assert [text for text, _ in view.lines] == [f"line {number}" for number in range(4900, 5000)]
        view.extend(numbered(50_000))
        assert len(view.lines) <= 100 + 2000

    view = TextView(follow=True, max_lines=100)
    run(view, steps)


@pytest.mark.parametrize("wrap", [True, False])
def test_the_view_stays_on_its_lines_when_lines_above_are_dropped(*, wrap: bool) -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        long = [(f"line {number} " + "x" * 50, "") for number in range(3000)]
        view.show(long)
        await pilot.pause()
        await pilot.press("end", "up", "up")
        before = lines(view)
        view.extend(numbered(1900))
        assert lines(view) == before
        # Long wrapped lines are dropped at the beginning while short ones are added at the end.
        view.extend(numbered(700, 1900))
        assert len(view.lines) == 3000
        assert lines(view) == before

    view = TextView(max_lines=3000, wrap=wrap)
    run(view, steps)


def test_very_many_lines_are_added_quickly() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        for first in range(0, 50_000, 500):
            view.extend(numbered(500, first))
            lines(view)
        assert lines(view)[-1] == "line 49999"

    view = TextView(follow=True)
    run(view, steps)


def test_nothing_in_a_line_is_interpreted() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        view.show([("[bold]x[/] $y", ""), ("bad", "bad")])
        assert lines(view)[0] == "[bold]x[/] $y"
        assert lines(view)[1] == "bad"

    view = TextView()
    run(view, steps)


# The chart.


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (0.3, 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (806, 1000), (1001, 2000)]
)
def test_the_top_of_a_scale_is_a_round_number_that_is_not_below(most: float, top: float) -> None:
    assert ceiling(most) == top


def test_a_chart_is_drawn_with_its_scale() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        chart.show((500.0,) * 66, (0.0,) * 66)
        drawn = lines(chart)
        assert drawn[0].startswith("   500│")
        assert all(each[6] == "│" for each in drawn)
        assert all(chart.render_line(y).cell_length == 40 for y in range(10))
        assert set(drawn[0][7:]) == {"⠉"}
        assert set(drawn[-1][7:]) == {"⣀"}
        assert set("".join(each[7:] for each in drawn[1:-1])) == {"⠀"}

    chart = RateChart(Translations())
    run(chart, steps)


def test_the_newest_value_is_at_the_right() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        chart.show((*(0.0,) * 10, 8.0), ())
        drawn = lines(chart)
        assert drawn[0].startswith("    10│")
        assert drawn[2][-1] != "⠀"
        assert set(drawn[2][7:-1]) == {"⠀"}
        assert drawn[-1][7 : 7 + 27] == "⠀" * 27

    chart = RateChart(Translations())
    run(chart, steps)


def test_a_chart_without_values_or_without_room_is_blank() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        assert all(set(each[7:]) <= {"⠀"} for each in lines(chart))
        chart.show((1.0,) * 300, (2.0,) * 300)
        await pilot.resize_terminal(8, 2)
        await pilot.pause()
        assert all(each == "" for each in lines(chart))
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert lines(chart)[0].startswith("     2│")

    chart = RateChart(Translations())
    run(chart, steps)


def test_two_lines_at_one_place_have_a_colour_of_their_own() -> None:
    async def steps(pilot: Pilot[None], bench: Bench) -> None:
        chart.show((5.0,) * 300, (5.0,) * 300)
        both = list(chart.render_line(0))[-1].style
        chart.show((5.0,) * 300, (0.0,) * 300)
        alone = list(chart.render_line(0))[-1].style
        assert both != alone

    chart = RateChart(Translations())
    run(chart, steps)
