"""A question whose answer is a line of text."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from tui.translations import Translations
from tui.widgets.text_input import TextInput


class TextPrompt(ModalScreen[str]):
    """Asks; gives back the text, which is empty when the person leaves it.

    Args:
        tr: translates the texts of the console.
        question: what is asked.
        proposal: what stands there at first.
    """

    BINDINGS: ClassVar = [Binding("escape", "leave", "Cancel", show=False)]

    def __init__(self, tr: Translations, question: str, proposal: str = "") -> None:
        super().__init__()
        self.tr = tr
        self._question = question
        self._proposal = proposal

    def compose(self) -> ComposeResult:
        """The question, and the place for the answer."""
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False, classes="question")
            yield TextInput(self._proposal)
            yield Static(self.tr("Enter does it, Escape does not"), classes="hint", markup=False)

    def on_mount(self) -> None:
        """Write at once."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _answered(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Give no answer."""
        self.dismiss("")
