"""A table of any length that draws only the rows in view. Its rows come from a model."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui import display_text
from tui.widgets.long_view import LongView
from tui.widgets.table_model import EMPTY_CELL, Cells, ListModel, TableColumn, TableModel, lay_out

_MAX_STRIPS = 512


class TableMessage(Message):
    """A message of a table."""

    def __init__(self, table: "Table") -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> "Table":
        """The table."""
        return self.table


class Table(LongView, can_focus=True):
    """A table with a cursor on one of its rows.

    Args:
        columns: the columns, from left to right.
        id: the id of the widget.
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

    class RowSelected(TableMessage):
        """Posted when a row is chosen, by Enter or by a second click."""

        def __init__(self, table: "Table", key: Hashable) -> None:
            super().__init__(table)
            self.key = key

    class RowHighlighted(TableMessage):
        """Posted when the cursor is on another row; the key is None when there are no rows."""

        def __init__(self, table: "Table", key: Hashable | None) -> None:
            super().__init__(table)
            self.key = key

    class HeaderSelected(TableMessage):
        """Posted when the heading of a sortable column is clicked."""

        def __init__(self, table: "Table", column: str) -> None:
            super().__init__(table)
            self.column = column

    class ViewportChanged(TableMessage):
        """Posted when other rows are in view, or rows whose cells are not known: those from `first` up to `end`."""

        def __init__(self, table: "Table", first: int, end: int) -> None:
            super().__init__(table)
            self.first = first
            self.end = end

    def __init__(self, columns: Sequence[TableColumn], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.model: TableModel = ListModel()
        self.sorted_by = ""
        self.descending = True
        self._column_layout = lay_out((), 0)
        self._layout_width = -1
        self._needs = [0] * len(self.columns)
        self._measures = any(column.grow for column in self.columns)
        self._strips: dict[Hashable, Strip] = {}
        self._report_scheduled = False

    # Content.

    def show(self, model: TableModel, *, cursor_key: Hashable | None = None) -> None:
        """Show other rows. The cursor goes to `cursor_key`, by default its present key, if a row has it."""
        if cursor_key is None and self._redraw_changed(model):
            return
        key_before, index_before = self.cursor_key, self.cursor
        key = cursor_key if cursor_key is not None else key_before
        self.model = model
        self._strips.clear()
        self._lay_out()
        index = None if key is None else model.index_of(key)
        self._set_cursor(index if index is not None else self.cursor)
        if self.cursor == index_before and self.cursor_key != key_before:
            self.post_message(self.RowHighlighted(self, self.cursor_key))
        self.refresh()
        self._report_viewport()

    def _redraw_changed(self, model: TableModel) -> bool:
        """Redraw only the rows whose cells changed. When the rows themselves changed, do nothing and return False."""
        changed = model.rows_changed_since(self.model)
        if changed is None:
            return False
        self.model = model
        self._strips.clear()
        width, top = self.scrollable_content_region.width, self.scroll_offset.y
        if self._lay_out_again():
            self.refresh()
            return True
        for index in changed:
            if index >= top:
                self.refresh(Region(0, index + 1 - top, width, 1))
        return True

    def redraw(self) -> None:
        """Draw all rows again, because some have become known or have changed."""
        self._strips.clear()
        self._lay_out_again()
        self.refresh()

    def show_added(self, above: int) -> None:
        """Show the rows that the model has gained, `above` of them above the cursor; those in view do not move."""
        self._strips.clear()
        self._lay_out()
        if above and (self.cursor > 0 or self.scroll_offset.y > 0):
            self.set_reactive(Table.cursor, min(max(0, self.cursor + above), max(0, len(self.model) - 1)))
            self.scroll_to(y=max(0, self.scroll_offset.y + above), animate=False, immediate=True)
        self.refresh()
        self._report_viewport()

    def show_order(self, column: str, *, descending: bool) -> None:
        """Mark the heading of the column by which the rows are ordered."""
        self.sorted_by = column
        self.descending = descending
        self._needs = [0] * len(self.columns)
        self._strips.clear()
        self.refresh()

    @property
    def cursor_key(self) -> Hashable | None:
        """The key of the row under the cursor, or None when there are no rows."""
        return self.model.key(self.cursor) if 0 <= self.cursor < len(self.model) else None

    @property
    def rows_in_view(self) -> tuple[int, int]:
        """The index of the first row in view, and the index after the last."""
        first = self.scroll_offset.y
        return first, min(len(self.model), first + self._page_rows)

    @property
    def at_top(self) -> bool:
        """Whether the first row is in view, and the cursor is on it."""
        return self.cursor == 0 and self.scroll_offset.y == 0

    def move_cursor(self, index: int) -> None:
        """Move the cursor to a row."""
        self.cursor = index

    # Drawing.

    def notify_style_update(self) -> None:
        """Drop the strips drawn in the old colours."""
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Lay the columns out for the new width."""
        self._strips.clear()
        self._lay_out()
        self._set_cursor(self.cursor)
        self._report_viewport()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.scrollable_content_region.width
        if width != self._layout_width:
            self._lay_out()
        shift, top = self.scroll_offset
        if y == 0:
            strip = self._cached(("heading", self.sorted_by, self.descending), self._draw_heading)
        elif top + y - 1 < len(self.model):
            strip = self._draw_row(top + y - 1)
        else:
            return Strip.blank(width, self.rich_style)
        return strip.crop_extend(shift, shift + width, self.rich_style)

    @property
    def _page_rows(self) -> int:
        return max(0, self.scrollable_content_region.height - 1)

    def _lay_out(self) -> None:
        """Give every column its width, and the scrollable area its size."""
        width = self.scrollable_content_region.width
        self._layout_width = width
        self._strips.clear()
        self._measure()
        self._column_layout = lay_out(self.columns, width, self._needs if any(self._needs) else ())
        self.set_content_size(Size(max(width, self._column_layout.width), len(self.model) + 1))

    def _lay_out_again(self) -> bool:
        """Lay the columns out for the rows in view. Returns whether their widths have changed."""
        before = self._column_layout
        if self._measure():
            self._lay_out()
        return self._column_layout != before

    def _measure(self) -> bool:
        """Note the width that the cells in view need. Returns whether it has grown.

        It only grows while rows come and go, so that the columns stay where they are; another order begins anew.
        """
        needs = list(self._needs)
        for row in range(*self.rows_in_view) if self._measures else ():
            widths = [cell_len(cell.text) for cell in self.model.cells(row) or ()]
            needs[: len(widths)] = map(max, needs, widths)
        grown = needs != self._needs
        self._needs = needs
        return grown

    def _draw_heading(self) -> Strip:
        plain = self.get_component_rich_style("table--header")
        sorted_style = self.get_component_rich_style("table--sorted")
        segments = []
        for number, (_, column, width) in enumerate(self._column_layout.columns):
            style = sorted_style if column.key == self.sorted_by else plain
            meta = Style(meta={"column": column.key}) if column.sortable else Style()
            segments.append(Segment(self._fit(self._heading(column, width), column, width), style + meta))
            if number + 1 < len(self._column_layout.columns):
                segments.append(Segment(" " * self._column_layout.gap, plain))
        return Strip(segments).extend_cell_length(self.scrollable_content_region.width, plain)

    def _heading(self, column: TableColumn, width: int) -> str:
        """Return the label of a column. In a narrow one the label is cut, and the arrow of the order stays."""
        if column.key != self.sorted_by:
            return column.label
        arrow = "▼" if self.descending else "▲"
        return (
            f"{column.label} {arrow}"
            if cell_len(column.label) + 2 <= width
            else (f"{display_text.cut(column.label, width - 1)}{arrow}")
        )

    def _draw_row(self, row: int) -> Strip:
        on_cursor = row == self.cursor
        marked = self.model.is_marked(row)
        cells = self.model.cells(row)
        if cells is None:
            self._report_viewport()
            cells = [EMPTY_CELL] * len(self.columns)
            return self._draw_cells(cells, row, on_cursor=on_cursor, marked=marked)
        look = (self.model.key(row), on_cursor and self.has_focus, on_cursor, marked, row & 1)
        return self._cached(look, lambda: self._draw_cells(cells, row, on_cursor=on_cursor, marked=marked))

    def _draw_cells(self, cells: Cells, row: int, *, on_cursor: bool, marked: bool) -> Strip:
        base = self._row_style(row, on_cursor=on_cursor, marked=marked)
        segments = []
        for number, (index, column, width) in enumerate(self._column_layout.columns):
            cell = cells[index] if index < len(cells) else EMPTY_CELL
            style = base
            if cell.style and not (on_cursor and self.has_focus):
                style = base + self.get_component_rich_style(f"table--{cell.style}", partial=True)
            segments.append(Segment(self._fit(cell.text, column, width), style))
            if number + 1 < len(self._column_layout.columns):
                segments.append(Segment(" " * self._column_layout.gap, base))
        strip = Strip(segments).simplify()
        return strip.extend_cell_length(self.scrollable_content_region.width, base)

    def _row_style(self, row: int, *, on_cursor: bool, marked: bool) -> Style:
        if on_cursor and self.has_focus:
            return self.get_component_rich_style("table--cursor")
        if marked:
            return self.get_component_rich_style("table--marked")
        if on_cursor:
            return self.get_component_rich_style("table--cursor-blurred")
        return self.get_component_rich_style("table--odd" if row & 1 else "table--even")

    @staticmethod
    def _fit(text: str, column: TableColumn, width: int) -> str:
        text = display_text.cut(text, width, keeps_end=column.keeps_end)
        blank = " " * (width - cell_len(text))
        return blank + text if column.right else text + blank

    def _cached(self, look: Hashable, draw: Callable[[], Strip]) -> Strip:
        strip = self._strips.get(look)
        if strip is None:
            if len(self._strips) > _MAX_STRIPS:
                self._strips.clear()
            strip = self._strips[look] = draw()
        return strip

    def _report_viewport(self) -> None:
        """Post which rows are in view, at most once in a turn of the event loop."""
        if not self._report_scheduled and self.is_attached:
            self._report_scheduled = True
            self.call_later(self._post_viewport)

    def _post_viewport(self) -> None:
        self._report_scheduled = False
        first, end = self.rows_in_view
        self.post_message(self.ViewportChanged(self, first, end))

    # Cursor and scrolling.

    def validate_cursor(self, row: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(row, len(self.model) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Scroll to the cursor, and redraw the rows that it left and entered."""
        self._scroll_to_row(new)
        top = self.scroll_offset.y
        for row in (old, new):
            self.refresh(Region(0, row - top + 1, self.size.width, 1))
        self.post_message(self.RowHighlighted(self, self.cursor_key))

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Report the rows that are in view now."""
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self._lay_out_again()
            self._report_viewport()

    def watch_has_focus(self, focused: bool) -> None:
        """Redraw: the cursor looks different with the focus."""
        super().watch_has_focus(focused)
        self.refresh()

    def _set_cursor(self, row: int) -> None:
        """Move the cursor, and scroll to it even when it is on that row already."""
        self.cursor = row
        self._scroll_to_row(self.cursor)

    def _scroll_to_row(self, row: int) -> None:
        top, height = self.scroll_offset.y, self._page_rows
        if height <= 0:
            return
        # Forced, because the scrollbar of rows that are shown for the first time appears a turn later.
        if row < top:
            self.scroll_to(y=row, animate=False, immediate=True, force=True)
        elif row >= top + height:
            self.scroll_to(y=row - height + 1, animate=False, immediate=True, force=True)

    def action_move(self, rows: int) -> None:
        """Move the cursor down, or up when negative."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Move the cursor down by pages, or up when negative."""
        self.cursor += pages * max(1, self._page_rows - 1)

    def action_jump(self, row: int) -> None:
        """Move the cursor to a row; -1 for the last."""
        self.cursor = row if row >= 0 else len(self.model) - 1

    def action_shift(self, columns: int) -> None:
        """Scroll to the right, or to the left when negative."""
        self.scroll_to(x=self.scroll_offset.x + columns, animate=False, immediate=True)

    def action_select_cursor(self) -> None:
        """Select the row under the cursor."""
        key = self.cursor_key
        if key is not None:
            self.post_message(self.RowSelected(self, key))

    def on_click(self, event: events.Click) -> None:
        """Select a heading, or move the cursor to a row; a second click on the row selects it."""
        event.stop()
        if event.y == 0:
            column = event.style.meta.get("column")
            if column:
                self.post_message(self.HeaderSelected(self, column))
            return
        row = self.scroll_offset.y + event.y - 1
        if row >= len(self.model):
            return
        if row == self.cursor and event.chain > 1:
            self.action_select_cursor()
        self.cursor = row
