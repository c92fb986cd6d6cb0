"""The base of the tabs. A tab is made when it is first opened, and is given the view while it is open."""

from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import commands
from tui.log_feed import LogBatch
from tui.submission_events import SubmissionEvent
from tui.task_feed import News
from tui.translations import Translations
from tui.view import EMPTY, View
from tui.widgets.panel import Panel


class Tab(Vertical):
    """One tab.

    Args:
        tr: translates the texts of the console.
        id: the id of the tab.
    """

    feeds: tuple[str, ...] = ()
    """The names of the feeds that follow new tasks while the tab is open."""
    reads_logs = False
    """Whether the log feed follows new lines while the tab is open."""
    read_only = False
    """Whether the console changes nothing; the screen sets it before it mounts the tab."""

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.view = EMPTY

    def on_mount(self) -> None:
        """Pass `read_only` on to the panels."""
        for panel in self.query(Panel):
            panel.read_only = self.read_only

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a read-only console, disable the commands that change the system."""
        return commands.is_allowed(action, read_only=self.read_only)

    def show(self, view: View) -> None:
        """Show a view."""
        self.view = view

    def show_fault(self, reason: str) -> None:
        """Show a fault of this tab at its top."""
        faults = self.query(".fault")
        if faults:
            faults.first(Static).update(reason)
        else:
            self.mount(Static(reason, classes="fault", markup=False), before=0)

    @property
    def first_focus(self) -> Widget | None:
        """The widget to focus when the tab is opened."""
        return None

    def update_from(self, feed: str, news: News) -> None:
        """Show what a feed has found."""

    def expect_search(self, feed: str, number: int) -> None:
        """Show the results of the search with this number from now on."""

    def show_submission(self, event: SubmissionEvent) -> None:
        """Show the progress or the end of a submission."""

    def reload_failed(self) -> None:
        """Search for failed tasks again, after some were retried or discarded."""

    def add_logs(self, news: LogBatch) -> None:
        """Show log lines that were read."""

    def expect_logs(self, number: int) -> None:
        """Show the lines of the request with this number from now on."""
