"""A question with a safe answer, which has the focus."""

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
    """Asks; gives back the id of the answer, which is empty when the person leaves it.

    Args:
        tr: translates the texts of the console.
        question: what is asked, with the number and the name of what it is about.
        answers: id, label and look of each, the safe one first. Its id is empty.
        more: what else is to be known.
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
        """The question and the answers."""
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False, classes="question")
            if self._more:
                yield Label(self._more, markup=False, classes="more")
            with Horizontal(classes="answers"):
                for number, (name, label, look) in enumerate(self._answers):
                    button = Button(label, id=f"answer-{number}", classes=look, name=name)
                    yield button

    def on_mount(self) -> None:
        """The safe answer has the focus."""
        self.query_one("#answer-0", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.name or "")

    def action_answer(self, answer: str) -> None:
        """Give this answer."""
        self.dismiss(answer)


def confirm(tr: Translations, question: str, yes: str, *, more: str = "") -> ChoiceDialog:
    """Ask whether to do what can't be taken back without more ado."""
    return ChoiceDialog(tr, question, [("", tr("Cancel"), "-safe"), ("yes", yes, "-danger")], more=more)
