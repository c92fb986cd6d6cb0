"""The tab of the failed tasks, with their errors, and the commands that retry, discard and undo."""

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
from tui.view import View
from tui.widgets.task_browser import TaskBrowser
from tui.widgets.task_rows import failed_columns

FEED = "failed"


class Failures(TaskBrowser, inherit_bindings=False):
    """The panel of the failed tasks, which can be marked, retried and discarded."""

    BINDINGS: ClassVar = commands.bindings(commands.FAILED)
    clear_command = "failed.clear"

    def action_mark(self) -> None:
        """Mark or unmark the task, and move to the next."""
        key = self.table.cursor_key
        if isinstance(key, int):
            self.model.marks ^= {key}
            self.table.redraw()
            self.table.action_move(1)
            self._update_title()

    def action_mark_all(self) -> None:
        """Mark all tasks found; when all are marked, unmark them."""
        seqs = self.model.all_seqs
        if len(self.model.marks) == len(seqs):
            self.model.marks.clear()
        else:
            self.model.marks = set(seqs)
        self.table.redraw()
        self._update_title()

    def action_bulk_action(self, action: Literal["retry", "discard"]) -> None:
        """Retry or discard the marked tasks, or the one under the cursor."""
        key = self.table.cursor_key
        seqs = sorted(self.model.marks) or ([key] if isinstance(key, int) else [])
        if seqs:
            self.post_message(BulkActionRequested(BulkAction(action), seqs, self.scope if len(seqs) > 1 else ""))

    def action_undo(self) -> None:
        """Undo the last retry or discard."""
        self.post_message(UndoRequested())

    def reload(self) -> None:
        """Search again."""
        self._search()


class FailedTab(Tab):
    """A tab with the panel of the failed tasks."""

    feeds = (FEED,)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self.failures = Failures(
            tr,
            FEED,
            tr("Failed"),
            failed_columns(tr),
            states=(State.FAILED,),
            empty=tr("No failed tasks."),
            id="failures",
        )

    def compose(self) -> ComposeResult:
        """Compose the table."""
        yield self.failures

    @property
    def first_focus(self) -> Widget:
        """The table."""
        return self.failures.table

    def show(self, view: View) -> None:
        """Show which of the tasks run again."""
        super().show(view)
        self.failures.show_running(view.running)

    def update_from(self, feed: str, news: News) -> None:
        """Show what the feed has found."""
        self.failures.update_from(news)

    def reload_failed(self) -> None:
        """Search again, after tasks were retried or discarded."""
        self.failures.reload()

    def expect_search(self, feed: str, number: int) -> None:
        """Show the results of the search with this number from now on."""
        self.failures.expect(number)
