"""A field in which a person writes what a text is searched for: the text goes to the nearest hit at each key."""

from textual import on
from textual.message import Message
from textual.widgets import Input

from core import formatting
from tui import display_text
from tui.translations import Translations
from tui.widgets.text_input import TextInput
from tui.widgets.text_view import TextView


class SearchInput(TextInput):
    """Hidden until it is wanted.

    Args:
        tr: translates the texts of the console.
        view: the text that is searched.
    """

    class Searched(Message):
        """There are other hits, or a person has gone to another."""

    def __init__(self, tr: Translations, view: TextView) -> None:
        super().__init__(placeholder=tr("search for this"), compact=True, classes="search")
        self.tr = tr
        self._view = view
        self.display = False

    @property
    def searching(self) -> bool:
        """Whether something is searched for, or is about to be."""
        return self.display or bool(self._view.hits.text)

    @property
    def told(self) -> str:
        """Which hit it is, of how many; empty when nothing is searched for."""
        hits, tr = self._view.hits, self.tr
        if not hits.text:
            return ""
        if not len(hits):
            told = tr("no hit")
        elif hits.rank:
            told = tr("hit {place} of {count}", place=formatting.count(hits.rank), count=formatting.count(len(hits)))
        else:
            told = tr.count(len(hits), "{count} hit", "{count} hits")
        return f"{display_text.clean(hits.text, 24)}: {told}"

    def begin(self) -> None:
        """Ask what is searched for."""
        self.display = True
        self.focus()
        self.select_all()

    def end(self) -> None:
        """Search no more."""
        self.forget()
        self._back()

    def forget(self) -> None:
        """Search for nothing, and hide."""
        self.display = False
        self.value = ""
        if self._view.hits.text:
            self._find("")

    def step(self, *, forward: bool) -> None:
        """Go to the next hit, or to the one before; without a search, ask for what."""
        if not self._view.hits.text:
            self.begin()
            return
        self._view.go_to_hit(forward=forward)
        self.post_message(self.Searched())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        # What was ended has told of its empty value later than it was emptied.
        if event.value == self.value:
            self._find(event.value)

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        event.stop()
        self._back()

    def _find(self, text: str) -> None:
        if text != self._view.hits.text:
            self._view.find(text)
        self.post_message(self.Searched())

    def _back(self) -> None:
        self.display = False
        self._view.focus()
