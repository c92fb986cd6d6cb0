"""The tabs. Each shows the view and what feeds have read; none knows another tab or a service."""

from collections.abc import Callable, Mapping

from tui.tabs.base import Tab
from tui.tabs.diagram import DiagramTab
from tui.tabs.failed import FailedTab
from tui.tabs.monitor import MonitorTab
from tui.tabs.processes import ProcessesTab
from tui.tabs.submit import SubmitTab
from tui.translations import Translations


def all_tabs(tr: Translations, kinds: Mapping[str, str]) -> Mapping[str, tuple[str, Callable[[Translations], Tab]]]:
    """Return the label and the factory of each tab by its id, in order.

    Args:
        tr: translates the texts of the console.
        kinds: the descriptions of Cauce's own kinds of task by name, the default kind first.
    """
    return {
        "submit": (tr("Submit"), lambda tr: SubmitTab(tr, kinds, id="submit")),
        "monitor": (tr("Monitor"), lambda tr: MonitorTab(tr, id="monitor")),
        "processes": (tr("Processes"), lambda tr: ProcessesTab(tr, id="processes")),
        "failed": (tr("Failed"), lambda tr: FailedTab(tr, id="failed")),
        "diagram": (tr("Diagram"), lambda tr: DiagramTab(tr, id="diagram")),
    }
