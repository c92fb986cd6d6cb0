"""What every tab is: made when it is first opened, shown the view while it is open, at rest while it is not."""

from collections.abc import Mapping

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
        id: of the tab.
    """

    feeds: tuple[str, ...] = ()
    """The names of the feeds that it needs while it is open."""
    reads_logs = False
    read_only = False
    """Whether the console changes nothing; the screen sets it before it mounts the tab."""

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.view = EMPTY

    def on_mount(self) -> None:
        """Tell the panels whether the console is read-only."""
        for panel in self.query(Panel):
            panel.read_only = self.read_only

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the commands that change something in a read-only console."""
        return commands.is_allowed(action, read_only=self.read_only)

    def show(self, view: View) -> None:
        """Show this moment."""
        self.view = view

    def broken(self, reason: str) -> None:
        """Say what is wrong with this tab; the others go on."""
        found = self.query(".fault")
        if found:
            found.first(Static).update(reason)
        else:
            self.mount(Static(reason, classes="fault", markup=False), before=0)

    @property
    def remembered(self) -> Mapping[str, object]:
        """What a person finds again the next time, by names."""
        return {}

    @property
    def first_focus(self) -> Widget | None:
        """What has the focus when the tab is opened."""
        return None

    def take(self, feed: str, news: News) -> None:
        """Take in what a feed has found."""

    def searching(self, feed: str, number: int) -> None:
        """A feed has begun a search of this number."""

    def answered(self, answer: SubmissionEvent) -> None:
        """Take in what has come of what the tab has asked for."""

    def settled(self) -> None:
        """Look anew for what has failed: something was done about it."""

    def take_logs(self, news: LogBatch) -> None:
        """Take in lines of logs."""

    def choosing(self, number: int) -> None:
        """The logs of a choice of this number are being read."""
