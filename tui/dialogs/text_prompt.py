"""A question that is answered with a line of text."""

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
    """A question. Its result is the text, which is empty when the user cancels.

    Args:
        tr: translates the texts of the console.
        question: the text of the question.
        default: the text that the field contains at first.
        more: what else the user should know.
    """

    BINDINGS: ClassVar = [Binding("escape", "cancel", "Cancel", show=False)]

    def __init__(self, tr: Translations, question: str, default: str = "", *, more: str = "") -> None:
        super().__init__()
        self.tr = tr
        self._question = question
        self._default = default
        self._more = more

    def compose(self) -> ComposeResult:
        """Compose the question and the field."""
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False, classes="question")
            yield TextInput(self._default)
            if self._more:
                yield Label(self._more, markup=False, classes="more")
            yield Static(self.tr("Enter confirms · Escape cancels"), classes="hint", markup=False)

    def on_mount(self) -> None:
        """Focus the field."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_cancel(self) -> None:
        """Close with an empty text."""
        self.dismiss("")
