"""A browser of tasks: a table of any length, a filter above it, an order, and marks where they are of use."""

import time
from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from core import formatting
from core.errors import SearchError
from core.model import State
from core.repository import search
from core.repository.archive import MAX_RESULTS
from core.repository.search import NEWEST_FIRST, Search, SortOrder
from core.repository.search import SortColumn as By
from tui import commands, display_text
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
from tui.widgets.live_tasks import LiveTasks
from tui.widgets.message_line import MessageLine
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import TableColumn


class TaskBrowser(Panel):
    """Shows tasks that a feed finds.

    Args:
        tr: translates the texts of the console.
        feed: the name of the feed.
        title: of the panel.
        columns: of the table.
        states: only these; all when empty.
        empty: what to say when there is nothing at all.
        text: what to look for at first.
        order: in which order.
        id: of the widget.
    """

    BINDINGS: ClassVar = commands.bindings(commands.RESULTS)

    def __init__(
        self,
        tr: Translations,
        feed: str,
        title: str,
        columns: Sequence[TableColumn],
        *,
        states: tuple[State, ...] = (),
        empty: str = "",
        text: str = "",
        order: SortOrder = NEWEST_FIRST,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.tr = tr
        self._feed = feed
        self._title = title
        self._states = states
        self._empty = empty
        self.model = LiveTasks(columns, tr)
        self.table = Table(columns)
        self._input = Input(
            placeholder=tr("words  kind:echo  worker:w1  -state:done  error:text  took>500ms  since:10m")
        )
        self._note = MessageLine()
        self._text = text
        self._order = order
        self._number = 0
        self._complete = False
        self._trouble = ""
        self._new = 0

    def compose(self) -> ComposeResult:
        """The filter, hidden at first; a note for what there is to say; the table."""
        self._input.display = bool(self._text)
        self._input.value = self._text
        yield self._input
        yield self._note
        yield self.table

    def on_mount(self) -> None:
        """Begin with the newest."""
        self.table.show(self.model)
        self.table.order(self._order.column, descending=self._order.descending)
        self._search()

    # What is looked for.

    def look_for(self, text: str, order: SortOrder) -> None:
        """Show what a search finds."""
        self._text = text
        self._order = order
        self._input.value = text
        self._input.display = bool(text)
        self.table.order(order.column, descending=order.descending)
        self._search()

    @property
    def wanted(self) -> Search:
        """What is looked for.

        Raises:
            SearchError: it can't be understood.
        """
        found = search.parse(self._text, time.time())
        return Search(self._states, found.terms, found.comparisons)

    @property
    def text(self) -> str:
        """What was typed to look for."""
        return self._text

    @property
    def order(self) -> SortOrder:
        """The order of what is found."""
        return self._order

    @property
    def matching(self) -> int:
        """How many tasks are found."""
        return len(self.model)

    def _search(self) -> None:
        try:
            wanted = self.wanted
        except SearchError as error:
            self._say(str(error), bad=True)
            return
        self._complete = False
        self._new = 0
        self.model.marks.clear()
        # A message that a parent causes goes no further than to that parent: this one is to be our own.
        self.post_message(SearchRequested(self._feed, wanted, self._order).set_sender(self))

    def searching(self, number: int) -> None:
        """The feed has begun a search of this number."""
        self._number = number

    # What is found.

    def take(self, news: News) -> None:
        """Take in what the feed has found; what belongs to another search is passed by."""
        match news:
            case TasksListed(number=number) if number == self._number:
                self._listed(news)
            case ListGrown(number=number) if number == self._number:
                self._grown(news)
            case RowsRead(rows):
                if self.model.read(rows):
                    self.table.changed()
            case FeedTrouble(text):
                self._trouble = text
                self._title_it()

    def _listed(self, news: TasksListed) -> None:
        self._complete = news.complete
        first = not news.complete or self.table.at_top
        key = _TOP if first else self.table.cursor_key
        self.model.listed(news.seqs, news.rows, turned=self._order.is_live)
        self.table.show(self.model, keep=key)
        if first:
            self.table.go_to(0)
        self._title_it()

    def _grown(self, news: ListGrown) -> None:
        away = not self.table.at_top
        cursor = self.table.cursor
        gone = self.model.renew(news.cut, news.seqs, news.rows, news.again)
        above = len(news.seqs) - news.cut
        self.table.grown(above - sum(place < cursor for place in gone) if away else 0)
        self._new = self._new + max(0, above) if away else 0
        self._title_it()

    def _title_it(self) -> None:
        tr = self.tr
        count = tr.count(self.matching, "{count} task", "{count} tasks")
        told = [count if self._complete else tr("{count} and more …", count=count)]
        if self.matching >= MAX_RESULTS:
            told = [tr("the first {count}", count=count)]
        if self._text:
            told.append(tr("filtered"))
        if not self._order.is_live:
            told.append(tr("order at rest"))
        if self._new:
            told.append(tr("▲ {count} new", count=formatting.count(self._new)))
        if self.model.marks:
            told.append(tr("{count} marked", count=formatting.count(len(self.model.marks))))
        self.titled(self._title, count=" · ".join(told))
        self._say_state()

    def _say_state(self) -> None:
        if self._trouble:
            self._say(display_text.clean(self._trouble), bad=True)
        elif self._complete and not self.matching:
            self._say(self.tr("Nothing matches. Escape shows everything again.") if self._text else self._empty)
        else:
            self._say("")

    def _say(self, text: str, *, bad: bool = False) -> None:
        self._note.say(text)
        self._note.set_class(bad, "-bad")

    # What the table says.

    @on(Table.Wanting)
    def _read_rows(self, event: Table.Wanting) -> None:
        """Read what is in view and a page around it."""
        event.stop()
        height = max(1, event.end - event.first)
        self.post_message(RowsRequested(self._feed, self.model.seqs(event.first - height, event.end + height)))

    @on(Table.Picked)
    def _show_detail(self, event: Table.Picked) -> None:
        event.stop()
        self._detail(event.key)

    @on(Table.HeadingClicked)
    def _order_by(self, event: Table.HeadingClicked) -> None:
        event.stop()
        same = event.column == self._order.column
        self.look_for(self._text, SortOrder(By(event.column), not self._order.descending if same else True))

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        if self._new and self.table.at_top:
            self._new = 0
            self._title_it()

    def _detail(self, key: Hashable) -> None:
        if isinstance(key, int):
            self.post_message(DetailRequested(key))

    # The filter.

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        """Look for it a moment after the last key."""
        event.stop()
        if event.value != self._text:
            self._text = event.value
            self.set_timer(0.2, lambda: self._search() if self._text == event.value else None)

    @on(Input.Submitted)
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self._input.display = bool(self._text)
        self.table.focus()

    # What the commands do.

    def action_pick(self) -> None:
        """Show everything about the task."""
        self.table.action_pick()

    def action_filter(self) -> None:
        """Open the filter."""
        self._input.display = True
        self._input.focus()

    def action_clear(self) -> None:
        """Show everything again, the newest first."""
        if self._text or self._order != NEWEST_FIRST or self.model.marks:
            self.look_for("", NEWEST_FIRST)
        else:
            self.table.go_to(0)
        self.table.focus()

    def action_sort(self) -> None:
        """Order by the next column."""
        keys = [column.key for column in self.table.columns if column.sortable]
        place = keys.index(self._order.column) if self._order.column in keys else -1
        self.look_for(self._text, SortOrder(By(keys[(place + 1) % len(keys)])))

    def action_turn(self) -> None:
        """Turn the order around."""
        self.look_for(self._text, SortOrder(self._order.column, not self._order.descending))

    def action_export(self) -> None:
        """Write what the filter finds to a file."""
        try:
            self.post_message(ExportRequested(self.wanted, self._order, self.matching))
        except SearchError as error:
            self.post_message(NotificationRequested(str(error), trouble=True))

    def action_copy(self) -> None:
        """Copy the id of the task."""
        key = self.table.cursor_key
        row = self.model.task(key) if isinstance(key, int) else None
        if row is not None:
            self.post_message(CopyRequested(row.id, self.tr("the id")))


_TOP = object()
"""A key that no row has: the cursor goes nowhere."""
