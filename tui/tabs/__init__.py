"""The tabs. Each is a function of the view; none knows of another, or of a service."""

from collections.abc import Callable, Mapping

from tui.tabs.base import Tab
from tui.tabs.diagram import DiagramTab
from tui.tabs.failed import FailedTab
from tui.tabs.monitor import MonitorTab
from tui.tabs.processes import ProcessesTab
from tui.tabs.submit import SubmitTab
from tui.translations import Translations

_NOTHING: Mapping[str, object] = {}


def all_tabs(
    tr: Translations, kinds: Mapping[str, str], remembered: Mapping[str, object] = _NOTHING
) -> Mapping[str, tuple[str, Callable[[Translations], Tab]]]:
    """Label and maker of each, by its id, in their order.

    Args:
        tr: translates the texts of the console.
        kinds: descriptions of the kinds of task that are known from the start, by name.
        remembered: what a person has chosen the last time, by names.
    """
    return {
        "submit": (tr("Submit"), lambda each: SubmitTab(each, kinds, id="submit")),
        "monitor": (tr("Monitor"), lambda each: MonitorTab(each, remembered, id="monitor")),
        "processes": (tr("Processes"), lambda each: ProcessesTab(each, id="processes")),
        "failed": (tr("Failed"), lambda each: FailedTab(each, id="failed")),
        "diagram": (tr("Diagram"), lambda each: DiagramTab(each, id="diagram")),
    }
