"""The field for searching a text. At each key the text scrolls to the nearest hit."""

from textual import on
from textual.message import Message
from textual.widgets import Input

from tui import display_text
from tui.translations import Translations
from tui.widgets.text_input import TextInput
from tui.widgets.text_view import TextView


class SearchInput(TextInput):
    """A search field, hidden until it is opened.

    Args:
        tr: translates the texts of the console.
        view: the widget with the text to search.
    """

    class HitsChanged(Message):
        """Posted when the hits have changed, or another hit is current."""

    def __init__(self, tr: Translations, view: TextView) -> None:
        super().__init__(placeholder=tr("search for this text"), compact=True, classes="search")
        self.tr = tr
        self._view = view
        self.display = False

    @property
    def is_searching(self) -> bool:
        """Whether a search is active, or its text is being typed."""
        return self.display or bool(self._view.hits.text)

    @property
    def status(self) -> str:
        """The current hit and the number of hits, for a title; empty without a search."""
        hits, tr = self._view.hits, self.tr
        if not hits.text:
            return ""
        if not len(hits):
            status = tr("no hits")
        elif hits.rank:
            status = tr("hit {place} of {count}", place=tr.amount(hits.rank), count=tr.amount(len(hits)))
        else:
            status = tr.count(len(hits), "{count} hit", "{count} hits")
        return f"{display_text.clean(hits.text, 24)}: {status}"

    def start_search(self) -> None:
        """Show the field, with its text selected."""
        self.display = True
        self.focus()
        self.select_all()

    def end_search(self) -> None:
        """End the search, and give the focus back to the text."""
        self.clear_search()
        self._close_field()

    def clear_search(self) -> None:
        """End the search and hide the field."""
        self.display = False
        self.value = ""
        if self._view.hits.text:
            self._find("")

    def step(self, *, forward: bool) -> None:
        """Go to the next or the previous hit; without a search, start one."""
        if not self._view.hits.text:
            self.start_search()
            return
        self._view.go_to_hit(forward=forward)
        self.post_message(self.HitsChanged())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        # An older event may arrive after the field was cleared.
        if event.value == self.value:
            self._find(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_field()

    def _find(self, text: str) -> None:
        if text != self._view.hits.text:
            self._view.find(text)
        self.post_message(self.HitsChanged())

    def _close_field(self) -> None:
        self.display = False
        self._view.focus()


class SearchActions:
    """The actions of a search, for a widget or screen that has a `SearchInput`."""

    _search: SearchInput

    def action_search(self) -> None:
        """Start a search."""
        self._search.start_search()

    def action_next_hit(self) -> None:
        """Go to the next hit."""
        self._search.step(forward=True)

    def action_previous_hit(self) -> None:
        """Go to the previous hit."""
        self._search.step(forward=False)
