"""The tab of the local processes and their logs."""

from textual import on
from textual.app import ComposeResult
from textual.widget import Widget

from tui.log_feed import LogBatch
from tui.messages import LogsRequested
from tui.tabs.base import Tab
from tui.translations import Translations
from tui.view import View
from tui.widgets.log_panel import LogPanel
from tui.widgets.process_panel import ProcessPanel


class ProcessesTab(Tab):
    """A tab with the processes above and their logs below."""

    reads_logs = True

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self.processes = ProcessPanel(tr, id="processes-panel")
        self.logs = LogPanel(tr, id="logs")

    def compose(self) -> ComposeResult:
        """Compose the processes and the logs."""
        yield self.processes
        yield self.logs

    def on_mount(self) -> None:
        """Request the logs of all processes."""
        self.post_message(LogsRequested(None))

    @property
    def first_focus(self) -> Widget:
        """The table of the processes."""
        return self.processes.table

    def show(self, view: View) -> None:
        """Show a view."""
        super().show(view)
        self.processes.show(view)

    @on(LogsRequested)
    def _show_log(self, event: LogsRequested) -> None:
        """Prepare the panel. The message bubbles on to the screen, which reads the log."""
        self.logs.show_log_of(event.names[0] if event.names else "")

    def expect_logs(self, number: int) -> None:
        """Show the lines of the request with this number from now on."""
        self.logs.expect(number)

    def add_logs(self, news: LogBatch) -> None:
        """Show log lines that were read."""
        self.logs.add(news)
