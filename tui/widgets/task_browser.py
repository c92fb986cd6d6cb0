"""A browser of tasks: a table of any length with a filter, an order, and marks."""

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from core.errors import SearchError
from core.model import State
from core.repository import search
from core.repository.archive import MAX_RESULTS
from core.repository.search import NEWEST_FIRST, Search, SortColumn, SortOrder
from core.task_state import RunningTasks
from tui import commands, core_texts, display_text
from tui.messages import (
    CopyRequested,
    DetailRequested,
    ExportRequested,
    NotificationRequested,
    RowsRequested,
    SearchRequested,
)
from tui.task_feed import FeedTrouble, ListGrown, News, RowsRead, TasksListed
from tui.translations import Translations
from tui.widgets.message_line import MessageLine
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import TableColumn
from tui.widgets.task_rows import TaskModel


class TaskBrowser(Panel):
    """A panel of the tasks that a feed finds.

    Args:
        tr: translates the texts of the console.
        feed: the name of the feed.
        title: the title of the panel.
        columns: the columns of the table.
        states: the states of the tasks to show; all when empty.
        empty: the note when there are no tasks at all.
        id: the id of the widget.
    """

    BINDINGS: ClassVar = commands.bindings(commands.RESULTS)
    clear_command = "results.clear"
    """The id of the command that clears the filter."""

    def __init__(
        self,
        tr: Translations,
        feed: str,
        title: str,
        columns: Sequence[TableColumn],
        *,
        states: tuple[State, ...] = (),
        empty: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.tr = tr
        self._feed = feed
        self._title = title
        self._states = states
        self._empty = empty
        self.model = TaskModel(columns, tr)
        self.table = Table(columns)
        self._input = Input(
            placeholder=tr("words  kind:echo  worker:w1  -state:done  error:text  took>500ms  since:10m")
        )
        self._note = MessageLine()
        self._text = ""
        self._order = NEWEST_FIRST
        self._search_number = 0
        self._is_complete = False
        self._trouble = ""
        self._new_count = 0

    def compose(self) -> ComposeResult:
        """Compose the filter, hidden while it is empty, a note, and the table."""
        self._input.display = False
        yield self._input
        yield self._note
        yield self.table

    def on_mount(self) -> None:
        """Start the first search."""
        self.table.show(self.model)
        self.table.show_order(self._order.column, descending=self._order.descending)
        self._search()

    # The search.

    def search_for(self, text: str, order: SortOrder) -> None:
        """Show the tasks that match a filter, in an order."""
        self._text = text
        self._order = order
        self._input.value = text
        self._input.display = bool(text)
        self.table.show_order(order.column, descending=order.descending)
        self._search()

    @property
    def search_query(self) -> Search:
        """The search that the filter describes.

        Raises:
            SearchError: the filter is not valid.
        """
        parsed = search.parse(self._text, time.time())
        return Search(self._states, parsed.terms, parsed.comparisons)

    @property
    def text(self) -> str:
        """The filter, as it was typed."""
        return self._text

    @property
    def order(self) -> SortOrder:
        """The order of the tasks."""
        return self._order

    @property
    def matching(self) -> int:
        """The number of tasks found."""
        return len(self.model)

    @property
    def scope(self) -> str:
        """A sentence on how many tasks the filter matches, or an empty text without a filter."""
        if not self._text:
            return ""
        exact = self._is_complete and self.matching < MAX_RESULTS
        return self.tr(
            "{count} match the filter." if exact else "At least {count} match the filter.",
            count=self.tr.amount(self.matching),
        )

    def _search(self) -> None:
        try:
            query = self.search_query
        except SearchError as error:
            self._show_note(core_texts.translate(str(error), self.tr), bad=True)
            return
        self._is_complete = False
        self._new_count = 0
        self.model.marks.clear()
        # When a handler of the parent calls this, Textual takes the parent as the sender and stops the bubbling there.
        self.post_message(SearchRequested(self._feed, query, self._order).set_sender(self))

    def expect(self, number: int) -> None:
        """Show the results of the search with this number from now on."""
        self._search_number = number

    # The results.

    def update_from(self, news: News) -> None:
        """Show what the feed has found, unless it belongs to another search."""
        match news:
            case TasksListed(number=number) if number == self._search_number:
                self._show_list(news)
            case ListGrown(number=number) if number == self._search_number:
                self._show_growth(news)
            case RowsRead(rows):
                if self.model.store_rows(rows):
                    self.table.redraw()
            case FeedTrouble(text):
                self._trouble = text
                self._update_title()

    def show_running(self, running: RunningTasks) -> None:
        """Show these tasks as running."""
        if self.model.show_running(running):
            self.table.redraw()

    def _show_list(self, news: TasksListed) -> None:
        self._is_complete = news.complete
        to_top = not news.complete or self.table.at_top
        key, before = self.table.cursor_key, self.table.cursor
        self.model.replace_all(news.seqs, news.rows, is_reversed=self._order.is_live)
        index = None if to_top else self.model.index_of(key)
        if index is None:
            self.table.show(self.model, cursor_key=_NO_ROW)
        else:
            self.table.show_added(index - before)
        if to_top:
            self.table.move_cursor(0)
        self._update_title()

    def _show_growth(self, news: ListGrown) -> None:
        added = 0 if self.table.at_top else len(news.seqs)
        self.model.append(news.seqs, news.rows)
        self.table.show_added(added)
        self._new_count = self._new_count + added if added else 0
        self._update_title()

    def _update_title(self) -> None:
        tr = self.tr
        count = tr.count(self.matching, "{count} task", "{count} tasks")
        parts = [count if self._is_complete else tr("{count} and more …", count=count)]
        if self.matching >= MAX_RESULTS:
            parts = [tr("the first {count}", count=count)]
        if self._text:
            parts.append(tr("filtered"))
        if not self._order.is_live:
            parts.append(tr("new results not shown"))
        if self._new_count:
            parts.append(tr("▲ {count} new", count=tr.amount(self._new_count)))
        if self.model.marks:
            parts.append(tr("{count} marked", count=tr.amount(len(self.model.marks))))
        self.set_title(self._title, subtitle=" · ".join(parts))
        self._update_note()

    def _update_note(self) -> None:
        if self._trouble:
            self._show_note(display_text.clean(core_texts.translate(self._trouble, self.tr)), bad=True)
        elif self._is_complete and not self.matching:
            self._show_note(
                self.tr(
                    "No task matches. Press {clear} to clear the filter.", clear=self.tr.keys.of(self.clear_command)
                )
                if self._text
                else self._empty
            )
        else:
            self._show_note("")

    def _show_note(self, text: str, *, bad: bool = False) -> None:
        self._note.show_text(text)
        self._note.set_class(bad, "-bad")

    # Events of the table.

    @on(Table.ViewportChanged)
    def _read_rows(self, event: Table.ViewportChanged) -> None:
        """Request the rows in view, and a page above and below."""
        event.stop()
        height = max(1, event.end - event.first)
        self.post_message(RowsRequested(self._feed, self.model.seqs_between(event.first - height, event.end + height)))

    @on(Table.RowSelected)
    def _show_details(self, event: Table.RowSelected) -> None:
        event.stop()
        if isinstance(event.key, int):
            self.post_message(DetailRequested(event.key))

    @on(Table.HeaderSelected)
    def _order_by(self, event: Table.HeaderSelected) -> None:
        event.stop()
        same = event.column == self._order.column
        self.search_for(self._text, SortOrder(SortColumn(event.column), not self._order.descending if same else True))

    @on(Table.RowHighlighted)
    def _row_highlighted(self, event: Table.RowHighlighted) -> None:
        event.stop()
        if self._new_count and self.table.at_top:
            self._new_count = 0
            self._update_title()

    # The filter.

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        """Search a moment after the last change."""
        event.stop()
        if event.value != self._text:
            self._text = event.value
            self.set_timer(0.2, lambda: self._search() if self._text == event.value else None)

    @on(Input.Submitted)
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self._input.display = bool(self._text)
        self.table.focus()

    # Actions of the commands.

    def action_show_details(self) -> None:
        """Show all details of the task."""
        self.table.action_select_cursor()

    def action_filter(self) -> None:
        """Open the filter."""
        self._input.display = True
        self._input.focus()

    def action_clear(self) -> None:
        """Clear the filter, the order and the marks; without any, go to the first row."""
        if self._text or self._order != NEWEST_FIRST or self.model.marks:
            self.search_for("", NEWEST_FIRST)
        else:
            self.table.move_cursor(0)
        self.table.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        keys = [column.key for column in self.table.columns if column.sortable]
        index = keys.index(self._order.column) if self._order.column in keys else -1
        self.search_for(self._text, SortOrder(SortColumn(keys[(index + 1) % len(keys)])))

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.search_for(self._text, SortOrder(self._order.column, not self._order.descending))

    def action_export(self) -> None:
        """Export the tasks that match the filter to a file."""
        try:
            self.post_message(ExportRequested(self.search_query, self._order))
        except SearchError as error:
            self.post_message(NotificationRequested(str(error), trouble=True))

    def action_copy(self) -> None:
        """Copy the id of the task."""
        key = self.table.cursor_key
        row = self.model.task_row(key) if isinstance(key, int) else None
        if row is not None:
            self.post_message(CopyRequested(row.id, self.tr("the id")))


_NO_ROW = object()
"""A key that no row has, so that the cursor stays at its index."""
