"""The tab of the local processes: what the supervisor runs, what it can be told, and what the processes say."""

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
    """Processes above, logs below."""

    reads_logs = True

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self.processes = ProcessPanel(tr, id="processes-panel")
        self.logs = LogPanel(tr, id="logs")

    def compose(self) -> ComposeResult:
        """The parts."""
        yield self.processes
        yield self.logs

    def on_mount(self) -> None:
        """Begin with all logs."""
        self.post_message(LogsRequested(None))

    @property
    def first_focus(self) -> Widget:
        """The processes."""
        return self.processes.table

    def show(self, view: View) -> None:
        """Show this moment."""
        super().show(view)
        self.processes.show(view)

    @on(LogsRequested)
    def _choose(self, event: LogsRequested) -> None:
        """Say whose log it is; the message goes on to the screen, which has it read."""
        self.logs.choose(event.names[0] if event.names else "")

    def choosing(self, number: int) -> None:
        """The logs of a choice are on their way."""
        self.logs.choosing(number)

    def take_logs(self, news: LogBatch) -> None:
        """Take in lines."""
        self.logs.take(news)
