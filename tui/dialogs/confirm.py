"""Questions with a few answers, of which the safe one has the focus."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from tui.translations import Translations


class ChoiceDialog(ModalScreen[str]):
    """A question. Its result is the id of the chosen answer, which is empty when the user cancels.

    Args:
        tr: translates the texts of the console.
        question: the question, with the number or the names of its subjects.
        answers: the id, the label and the CSS class of each; first the safe one, whose id is empty.
        more: what else the user should know.
    """

    BINDINGS: ClassVar = [
        Binding("escape", "answer('')", "Cancel", show=False),
        Binding("left,up,h,k", "app.focus_previous", "Previous", show=False),
        Binding("right,down,l,j", "app.focus_next", "Next", show=False),
    ]

    def __init__(
        self, tr: Translations, question: str, answers: Sequence[tuple[str, str, str]], *, more: str = ""
    ) -> None:
        super().__init__()
        self.tr = tr
        self._question = question
        self._answers = answers
        self._more = more

    def compose(self) -> ComposeResult:
        """Compose the question and the answers."""
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False, classes="question")
            if self._more:
                yield Label(self._more, markup=False, classes="more")
            with Horizontal(classes="answers"):
                for number, (name, label, style) in enumerate(self._answers):
                    yield Button(label, id=f"answer-{number}", classes=style, name=name)

    def on_mount(self) -> None:
        """Focus the safe answer."""
        self.query_one("#answer-0", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.name or "")

    def action_answer(self, answer: str) -> None:
        """Close with this answer."""
        self.dismiss(answer)


def confirm(tr: Translations, question: str, yes: str, *, more: str = "") -> ChoiceDialog:
    """Make a dialog that asks before an operation. Its result is `yes`, or empty."""
    return ChoiceDialog(tr, question, [("", tr("Cancel"), "-safe"), ("yes", yes, "-danger")], more=more)
