"""The tab that shows the work: a row for each worker, what comes in and goes out, and everything that has ended."""

from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from core.repository.search import NEWEST_FIRST, SortOrder
from core.repository.search import SortColumn as By
from tui.messages import WorkerSelected
from tui.tabs.base import Tab
from tui.task_feed import News
from tui.translations import Translations
from tui.view import View
from tui.widgets.chart import RateChart
from tui.widgets.panel import Panel
from tui.widgets.task_browser import TaskBrowser
from tui.widgets.task_rows import result_columns
from tui.widgets.worker_panel import Workers

FEED = "results"


class MonitorTab(Tab):
    """Workers above, results below.

    Args:
        tr: translates the texts of the console.
        remembered: the filter and the order of the last time.
        id: of the tab.
    """

    feeds = (FEED,)

    def __init__(self, tr: Translations, remembered: Mapping[str, object], *, id: str) -> None:
        super().__init__(tr, id=id)
        self._workers = Workers(tr, id="workers")
        self.chart = RateChart(id="chart")
        self.results = TaskBrowser(
            tr,
            FEED,
            tr("Results"),
            result_columns(tr),
            empty=tr("Nothing has ended yet. Submit a task on tab 1."),
            text=str(remembered.get("filter", "")),
            order=_order(remembered),
            id="results",
        )

    def compose(self) -> ComposeResult:
        """The parts."""
        with Horizontal(id="above"):
            yield self._workers
            panel = Panel(id="flow")
            panel.titled(self.tr("In and out"), count=self.tr("tasks/s, 5 minutes"))
            with panel:
                yield self.chart
        yield self.results

    @property
    def remembered(self) -> Mapping[str, object]:
        """The filter and the order of the results."""
        order = self.results.order
        return {"filter": self.results.text, "sort": order.column.value, "descending": order.descending}

    @property
    def first_focus(self) -> Widget:
        """The results."""
        return self.results.table

    def show(self, view: View) -> None:
        """Show this moment."""
        super().show(view)
        self._workers.show(view)
        self.chart.show(view.chart.taken_in, view.chart.ended)

    def take(self, feed: str, news: News) -> None:
        """Take in results."""
        self.results.take(news)

    def searching(self, feed: str, number: int) -> None:
        """The search for results has begun."""
        self.results.searching(number)

    @on(WorkerSelected)
    def _show_results_of(self, event: WorkerSelected) -> None:
        """From a worker to its results, the slowest first, so that the next Enter tells the reason."""
        event.stop()
        if event.name:
            quoted = f'"{event.name}"' if " " in event.name else event.name
            self.results.look_for(f"worker:{quoted}", SortOrder(By.TOOK))
        else:
            self.results.look_for("", NEWEST_FIRST)
        self.results.table.focus()


def _order(remembered: Mapping[str, object]) -> SortOrder:
    known = {column.value: column for column in By}
    column = known.get(str(remembered.get("sort", "")), NEWEST_FIRST.column)
    return SortOrder(column, remembered.get("descending", True) is not False)
