"""The orders of the load generator: how many tasks, how fast, over how many connections."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from tui.translations import Translations
from tui.widgets.text_input import TextInput

MOST_TASKS = 100_000_000
MOST_CONNECTIONS = 1000
MOST_RATE = 1_000_000
WINDOW = 200
"""How many tasks each connection may have without an answer."""


class LoadDialog(ModalScreen[LoadOptions | None]):
    """Asks; gives back the order, or None.

    Args:
        tr: translates the texts of the console.
        task: whose kind and payload every task has.
    """

    BINDINGS: ClassVar = [Binding("escape", "leave", "Cancel", show=False)]

    def __init__(self, tr: Translations, task: NewSubmission) -> None:
        super().__init__()
        self.tr = tr
        self._subject = task
        self._trouble = Static(classes="trouble", markup=False)

    def compose(self) -> ComposeResult:
        """The fields."""
        tr = self.tr
        with Vertical(classes="dialog"):
            kind = self._subject.kind or "simulate"
            yield Label(tr("Submit many tasks of kind {kind}", kind=kind), markup=False, classes="question")
            for name, label, value in (
                ("tasks", tr("tasks"), "1000"),
                ("rate", tr("tasks a second (0: as fast as it goes)"), "100"),
                ("connections", tr("connections"), "4"),
            ):
                with Horizontal(classes="row"):
                    yield Label(label, markup=False)
                    yield TextInput(value, id=name, type="integer", compact=True)
            yield self._trouble
            yield Static(tr("Enter begins, Escape does not"), classes="hint", markup=False)

    def on_mount(self) -> None:
        """Write at once."""
        self.query_one("#tasks", Input).focus()

    @on(Input.Submitted)
    def _answered(self, event: Input.Submitted) -> None:
        event.stop()
        tasks = self._number("tasks", 1, MOST_TASKS)
        rate = self._number("rate", 0, MOST_RATE)
        connections = self._number("connections", 1, MOST_CONNECTIONS)
        if tasks is None or rate is None or connections is None:
            return
        self.dismiss(
            LoadOptions(
                tasks=tasks,
                connections=connections,
                window=WINDOW,
                rate=float(rate) if rate else None,
                kind=self._subject.kind or "simulate",
                payload=self._subject.payload,
                wait=False,
            )
        )

    def _number(self, name: str, least: int, most: int) -> int | None:
        text = self.query_one(f"#{name}", Input).value
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        told = self.tr(
            "{name} must be a whole number from {least} to {most}",
            name=self.tr(name),
            least=f"{least:,}",
            most=f"{most:,}",
        )
        self._trouble.update(told)
        return None

    def action_leave(self) -> None:
        """Give no order."""
        self.dismiss(None)
