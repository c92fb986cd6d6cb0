"""The tab of what has failed: the error in the table itself, and what can be done about it, and undone."""

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.widget import Widget

from core.model import State
from core.repository.archive import BulkAction
from tui import commands
from tui.messages import BulkActionRequested, UndoRequested
from tui.tabs.base import Tab
from tui.task_feed import News
from tui.translations import Translations
from tui.widgets.task_browser import TaskBrowser
from tui.widgets.task_rows import failed_columns

FEED = "failed"


class Failures(TaskBrowser, inherit_bindings=False):
    """Failed tasks, which can be marked, retried and discarded."""

    BINDINGS: ClassVar = commands.bindings(commands.FAILED)

    def action_mark(self) -> None:
        """Mark the task, or take the mark away, and go on to the next."""
        key = self.table.cursor_key
        if isinstance(key, int):
            self.model.marks ^= {key}
            self.table.changed()
            self.table.action_move(1)
            self._title_it()

    def action_mark_all(self) -> None:
        """Mark everything that is found, or nothing."""
        everything = self.model.all_seqs
        if len(self.model.marks) == len(everything):
            self.model.marks.clear()
        else:
            self.model.marks = set(everything)
        self.table.changed()
        self._title_it()

    def action_settle(self, what: Literal["retry", "discard"]) -> None:
        """Have what is marked run once more, or have done with it; without marks the task under the cursor."""
        key = self.table.cursor_key
        chosen = sorted(self.model.marks) or ([key] if isinstance(key, int) else [])
        if chosen:
            self.post_message(BulkActionRequested(BulkAction(what), chosen, self.matching))

    def action_undo(self) -> None:
        """Take back the last of these."""
        self.post_message(UndoRequested())

    def refreshed(self) -> None:
        """Look anew: what was settled is no longer here."""
        self._search()


class FailedTab(Tab):
    """Everything that has failed."""

    feeds = (FEED,)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self.failures = Failures(
            tr,
            FEED,
            tr("Failed"),
            failed_columns(tr),
            states=(State.FAILED,),
            empty=tr("Nothing has failed."),
            id="failures",
        )

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.failures

    @property
    def first_focus(self) -> Widget:
        """The table."""
        return self.failures.table

    def take(self, feed: str, news: News) -> None:
        """Take in what was found."""
        self.failures.take(news)

    def settled(self) -> None:
        """Look anew: what was retried or discarded is no longer here."""
        self.failures.refreshed()

    def searching(self, feed: str, number: int) -> None:
        """The search has begun."""
        self.failures.searching(number)
