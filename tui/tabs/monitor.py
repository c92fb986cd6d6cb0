"""The tab that shows the work: the workers, a chart of tasks in and out, and the results."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from core.repository.search import NEWEST_FIRST, SortColumn, SortOrder
from tui import commands
from tui.messages import WorkerSelected
from tui.tabs.base import Tab
from tui.task_feed import News
from tui.translations import Translations
from tui.view import View
from tui.widgets.chart import RateChart
from tui.widgets.panel import Panel
from tui.widgets.task_browser import TaskBrowser
from tui.widgets.task_rows import result_columns
from tui.widgets.worker_panel import WorkerPanel

FEED = "results"


class MonitorTab(Tab):
    """A tab with the workers above and the results below.

    Args:
        tr: translates the texts of the console.
        id: the id of the tab.
    """

    BINDINGS: ClassVar = commands.bindings(commands.MONITOR)
    feeds = (FEED,)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self._workers = WorkerPanel(tr, id="workers")
        self.chart = RateChart(tr, id="chart")
        self.results = TaskBrowser(
            tr,
            FEED,
            tr("Results"),
            result_columns(tr),
            empty=tr("No results yet. Submit a task on tab {key:app.submit}."),
            id="results",
        )

    def compose(self) -> ComposeResult:
        """Compose the workers, the chart and the results."""
        with Horizontal(id="above"):
            yield self._workers
            panel = Panel(id="flow")
            panel.set_title(self.tr("In and out"), subtitle=self.tr("tasks/s, 5 minutes"))
            with panel:
                yield self.chart
        yield self.results

    @property
    def first_focus(self) -> Widget:
        """The table of the results."""
        return self.results.table

    def show(self, view: View) -> None:
        """Show a view."""
        super().show(view)
        self._workers.show(view)
        self.chart.show(view.chart.taken_in, view.chart.ended)
        self.results.show_running(view.running)

    def action_toggle_ended(self) -> None:
        """Show or hide the workers that have ended."""
        self._workers.toggle_ended()

    def update_from(self, feed: str, news: News) -> None:
        """Show what the feed has found."""
        self.results.update_from(news)

    def expect_search(self, feed: str, number: int) -> None:
        """Show the results of the search with this number from now on."""
        self.results.expect(number)

    @on(WorkerSelected)
    def _show_results_of(self, event: WorkerSelected) -> None:
        """Show the results of a worker, the slowest first, so that the next Enter opens the slowest."""
        event.stop()
        if event.name:
            quoted = f'"{event.name}"' if any(map(str.isspace, event.name)) else event.name
            self.results.search_for(f"worker:{quoted}", SortOrder(SortColumn.TOOK))
        else:
            self.results.search_for("", NEWEST_FIRST)
        self.results.table.focus()
