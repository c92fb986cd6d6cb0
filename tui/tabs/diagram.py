"""The tab that draws the system: the parts that run, and on each way between them how much goes over it."""

from textual.app import ComposeResult

from tui.tabs.base import Tab
from tui.translations import Translations
from tui.view import View
from tui.widgets.diagram import Diagram
from tui.widgets.panel import Panel


class DiagramTab(Tab):
    """The picture."""

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self._diagram = Diagram(tr)

    def compose(self) -> ComposeResult:
        """The picture in its frame."""
        panel = Panel(id="picture")
        panel.titled(self.tr("The way of a task"), count=self.tr("counts and rates of this moment"))
        panel.can_focus = True
        with panel:
            yield self._diagram

    @property
    def first_focus(self) -> Panel:
        """The frame, so that the keys of everywhere count."""
        return self.query_one("#picture", Panel)

    def show(self, view: View) -> None:
        """Show this moment."""
        super().show(view)
        self._diagram.show_view(view)
