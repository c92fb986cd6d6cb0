"""The tab with the diagram of the system: its parts, and the counts and rates between them."""

from textual.app import ComposeResult

from tui.tabs.base import Tab
from tui.translations import Translations
from tui.view import View
from tui.widgets.diagram import Diagram
from tui.widgets.panel import Panel


class DiagramTab(Tab):
    """A tab with the diagram in a panel."""

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(tr, id=id)
        self._diagram = Diagram(tr)

    def compose(self) -> ComposeResult:
        """Compose the panel."""
        panel = Panel(id="picture")
        panel.set_title(self.tr("The path of a task"), subtitle=self.tr("current counts and rates"))
        panel.can_focus = True
        with panel:
            yield self._diagram

    @property
    def first_focus(self) -> Panel:
        """The panel: the global keys work only when a widget has the focus."""
        return self.query_one("#picture", Panel)

    def show(self, view: View) -> None:
        """Show a view."""
        super().show(view)
        self._diagram.show_view(view)
