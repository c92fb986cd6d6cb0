"""A table that draws only what is in view, however long it is. What it shows comes from a model."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui.widgets.long_view import LongView
from tui.widgets.table_model import EMPTY_CELL, ListModel, Row, TableColumn, TableModel, lay_out

_STRIPS = 512


class Table(LongView, can_focus=True):
    """The table.

    Args:
        columns: from left to right.
        id: of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--sorted",
        "table--even",
        "table--odd",
        "table--cursor",
        "table--cursor-blurred",
        "table--marked",
        "table--good",
        "table--bad",
        "table--warn",
        "table--dim",
        "table--accent",
    }
    BINDINGS: ClassVar = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "jump(0)", "First", show=False),
        Binding("end,G", "jump(-1)", "Last", show=False),
        Binding("left,h", "shift(-8)", "Left", show=False),
        Binding("right,l", "shift(8)", "Right", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Picked(Message):
        """A row was chosen, by Enter or by a second click on it."""

        def __init__(self, table: "Table", key: Hashable) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "Table":
            """The table."""
            return self.table

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, table: "Table", key: Hashable | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "Table":
            """The table."""
            return self.table

    class HeadingClicked(Message):
        """A heading was clicked: the table is to be ordered by that column."""

        def __init__(self, table: "Table", column: str) -> None:
            super().__init__()
            self.table = table
            self.column = column

        @property
        def control(self) -> "Table":
            """The table."""
            return self.table

    class Wanting(Message):
        """Rows are in view that are not known yet, or others are in view now: places from `first` up to `end`."""

        def __init__(self, table: "Table", first: int, end: int) -> None:
            super().__init__()
            self.table = table
            self.first = first
            self.end = end

        @property
        def control(self) -> "Table":
            """The table."""
            return self.table

    def __init__(self, columns: Sequence[TableColumn], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.model: TableModel = ListModel()
        self.sorted_by = ""
        self.descending = True
        self._column_layout = lay_out((), 0)
        self._laid_out_for = -1
        self._strips: dict[Hashable, Strip] = {}
        self._wanting = False

    # What is shown.

    def show(self, model: TableModel, *, keep: Hashable | None = None) -> None:
        """Show other rows. The cursor stays on the row that it is on, or goes to the one of the key `keep`."""
        if keep is None and self._renewed(model):
            return
        before, place_before = self.cursor_key, self.cursor
        key = keep if keep is not None else before
        self.model = model
        self._strips.clear()
        self._measure()
        place = None if key is None else model.place(key)
        self._put_cursor(place if place is not None else self.cursor)
        if self.cursor == place_before and self.cursor_key != before:
            self.post_message(self.Moved(self, self.cursor_key))
        self.refresh()
        self._ask()

    def _renewed(self, model: TableModel) -> bool:
        """Draw only the lines that look different now, where the rows are the same; whether that was so."""
        differing = model.differing(self.model)
        if differing is None:
            return False
        self.model = model
        self._strips.clear()
        width, top = self.scrollable_content_region.width, self.scroll_offset.y
        for place in differing:
            if place >= top:
                self.refresh(Region(0, place + 1 - top, width, 1))
        return True

    def changed(self) -> None:
        """Draw anew: rows have become known, or have changed."""
        self._strips.clear()
        self.refresh()

    def grown(self, above: int) -> None:
        """The model has more rows, `above` of them before those that were the first: the view stays where it is."""
        self._strips.clear()
        self._measure()
        if above and (self.cursor > 0 or self.scroll_offset.y > 0):
            self.set_reactive(Table.cursor, min(max(0, self.cursor + above), max(0, len(self.model) - 1)))
            self.scroll_to(y=max(0, self.scroll_offset.y + above), animate=False, immediate=True)
        self.refresh()
        self._ask()

    def order(self, column: str, *, descending: bool) -> None:
        """Show by which column the rows are ordered."""
        self.sorted_by = column
        self.descending = descending
        self._strips.clear()
        self.refresh()

    @property
    def cursor_key(self) -> Hashable | None:
        """The key of the row that the cursor is on; None when there are no rows."""
        return self.model.key(self.cursor) if 0 <= self.cursor < len(self.model) else None

    @property
    def rows_in_view(self) -> tuple[int, int]:
        """The places from the first row in view up to the one after the last."""
        first = self.scroll_offset.y
        return first, min(len(self.model), first + self._height)

    @property
    def at_top(self) -> bool:
        """Whether the first row is in view, and the cursor is on it."""
        return self.cursor == 0 and self.scroll_offset.y == 0

    def go_to(self, place: int) -> None:
        """Put the cursor on a row."""
        self.cursor = place

    # Drawing.

    def notify_style_update(self) -> None:
        """Forget what was drawn in other colours."""
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Lay the columns out anew."""
        self._strips.clear()
        self._measure()
        self._put_cursor(self.cursor)
        self._ask()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.scrollable_content_region.width
        if width != self._laid_out_for:
            self._measure()
        shift, top = self.scroll_offset
        if y == 0:
            strip = self._cached(("heading", self.sorted_by, self.descending), self._draw_heading)
        elif top + y - 1 < len(self.model):
            strip = self._draw_row(top + y - 1)
        else:
            return Strip.blank(width, self.rich_style)
        return strip.crop_extend(shift, shift + width, self.rich_style)

    @property
    def _height(self) -> int:
        return max(0, self.scrollable_content_region.height - 1)

    def _measure(self) -> None:
        """Give every column its width."""
        width = self.scrollable_content_region.width
        self._laid_out_for = width
        self._strips.clear()
        self._column_layout = lay_out(self.columns, width)
        self.measures(Size(max(width, self._column_layout.width), len(self.model) + 1))

    def _draw_heading(self) -> Strip:
        plain = self.get_component_rich_style("table--header")
        chosen = self.get_component_rich_style("table--sorted")
        segments = []
        for number, (_, column, width) in enumerate(self._column_layout.columns):
            label = column.label
            if column.key == self.sorted_by:
                label = f"{label} {'▼' if self.descending else '▲'}"
            style = chosen if column.key == self.sorted_by else plain
            meta = Style(meta={"column": column.key}) if column.sortable else Style()
            segments.append(Segment(self._fit(label, column, width), style + meta))
            if number + 1 < len(self._column_layout.columns):
                segments.append(Segment(" " * self._column_layout.gap, plain))
        return Strip(segments).extend_cell_length(self.scrollable_content_region.width, plain)

    def _draw_row(self, place: int) -> Strip:
        key = self.model.key(place)
        on_cursor = place == self.cursor
        marked = self.model.marked(place)
        row = self.model.row(place)
        if row is None:
            self._ask()
            row = [EMPTY_CELL] * len(self.columns)
            return self._draw_cells(row, place, on_cursor=on_cursor, marked=marked)
        looks = (key, on_cursor and self.has_focus, on_cursor, marked, place & 1)
        return self._cached(looks, lambda: self._draw_cells(row, place, on_cursor=on_cursor, marked=marked))

    def _draw_cells(self, row: Row, place: int, *, on_cursor: bool, marked: bool) -> Strip:
        base = self._base(place, on_cursor=on_cursor, marked=marked)
        segments = []
        for number, (index, column, width) in enumerate(self._column_layout.columns):
            cell = row[index] if index < len(row) else EMPTY_CELL
            style = base
            if cell.style and not (on_cursor and self.has_focus):
                style = base + self.get_component_rich_style(f"table--{cell.style}", partial=True)
            segments.append(Segment(self._fit(cell.text, column, width), style))
            if number + 1 < len(self._column_layout.columns):
                segments.append(Segment(" " * self._column_layout.gap, base))
        strip = Strip(segments).simplify()
        return strip.extend_cell_length(self.scrollable_content_region.width, base)

    def _base(self, place: int, *, on_cursor: bool, marked: bool) -> Style:
        if on_cursor and self.has_focus:
            return self.get_component_rich_style("table--cursor")
        if marked:
            return self.get_component_rich_style("table--marked")
        if on_cursor:
            return self.get_component_rich_style("table--cursor-blurred")
        return self.get_component_rich_style("table--odd" if place & 1 else "table--even")

    @staticmethod
    def _fit(text: str, column: TableColumn, width: int) -> str:
        length = cell_len(text)
        if length > width:
            return set_cell_size(text, max(0, width - 1)) + "…"
        blank = " " * (width - length)
        return blank + text if column.right else text + blank

    def _cached(self, looks: Hashable, draw: Callable[[], Strip]) -> Strip:
        strip = self._strips.get(looks)
        if strip is None:
            if len(self._strips) > _STRIPS:
                self._strips.clear()
            strip = self._strips[looks] = draw()
        return strip

    def _ask(self) -> None:
        """Say which rows are in view, once for each turn of the loop."""
        if not self._wanting and self.is_attached:
            self._wanting = True
            self.call_later(self._say_what_is_wanted)

    def _say_what_is_wanted(self) -> None:
        self._wanting = False
        first, end = self.rows_in_view
        self.post_message(self.Wanting(self, first, end))

    # Moving.

    def validate_cursor(self, place: int) -> int:
        """Keep it on a row."""
        return max(0, min(place, len(self.model) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Keep it in view."""
        self._bring_into_view(new)
        top = self.scroll_offset.y
        for place in (old, new):
            self.refresh(Region(0, place - top + 1, self.size.width, 1))
        self.post_message(self.Moved(self, self.cursor_key))

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Other rows are in view."""
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self._ask()

    def watch_has_focus(self, focused: bool) -> None:
        """The cursor looks different."""
        super().watch_has_focus(focused)
        self.refresh()

    def _put_cursor(self, place: int) -> None:
        """Put the cursor on a row without a word when it is the same one."""
        self.cursor = place
        self._bring_into_view(self.cursor)

    def _bring_into_view(self, place: int) -> None:
        top, height = self.scroll_offset.y, self._height
        if height <= 0:
            return
        # By force: the scrollbar of rows that are shown for the first time comes a turn later.
        if place < top:
            self.scroll_to(y=place, animate=False, immediate=True, force=True)
        elif place >= top + height:
            self.scroll_to(y=place - height + 1, animate=False, immediate=True, force=True)

    def action_move(self, rows: int) -> None:
        """Go down, or up."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Go down a page, or up."""
        self.cursor += pages * max(1, self._height - 1)

    def action_jump(self, place: int) -> None:
        """Go to a row; -1 for the last."""
        self.cursor = place if place >= 0 else len(self.model) - 1

    def action_shift(self, columns: int) -> None:
        """Show what is farther right, or left."""
        self.scroll_to(x=self.scroll_offset.x + columns, animate=False, immediate=True)

    def action_pick(self) -> None:
        """Choose the row that the cursor is on."""
        key = self.cursor_key
        if key is not None:
            self.post_message(self.Picked(self, key))

    def on_click(self, event: events.Click) -> None:
        """Order by a heading, or put the cursor on a row; choose it by a click on the row that it is on."""
        event.stop()
        if event.y == 0:
            column = event.style.meta.get("column")
            if column:
                self.post_message(self.HeadingClicked(self, column))
            return
        place = self.scroll_offset.y + event.y - 1
        if place >= len(self.model):
            return
        if place == self.cursor and event.chain > 1:
            self.action_pick()
        self.cursor = place
