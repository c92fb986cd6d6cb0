"""The dialog of the load generator: how many tasks, at what rate, over how many connections."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from core.tasks.builtin import DEFAULT_KIND
from tui.translations import Translations
from tui.widgets.text_input import TextInput

MAX_TASKS = 100_000_000
MAX_CONNECTIONS = 1000
MAX_RATE = 1_000_000
WINDOW = 200
"""Tasks that each connection may have without a reply."""


class LoadDialog(ModalScreen[LoadOptions | None]):
    """The options of a load. Its result is None when the user cancels.

    Args:
        tr: translates the texts of the console.
        task: the task to submit many times.
    """

    BINDINGS: ClassVar = [Binding("escape", "cancel", "Cancel", show=False)]

    def __init__(self, tr: Translations, task: NewSubmission) -> None:
        super().__init__()
        self.tr = tr
        self._template = task
        self._error = Static(classes="trouble", markup=False)

    def compose(self) -> ComposeResult:
        """Compose the fields."""
        tr = self.tr
        with Vertical(classes="dialog"):
            kind = self._template.kind or DEFAULT_KIND
            yield Label(tr("Submit many tasks of kind {kind}", kind=kind), markup=False, classes="question")
            for name, label, value in (
                ("tasks", tr("tasks"), "1000"),
                ("rate", tr("tasks per second (0: no limit)"), "100"),
                ("connections", tr("connections"), "4"),
            ):
                with Horizontal(classes="row"):
                    yield Label(label, markup=False)
                    yield TextInput(value, id=name, type="integer", compact=True)
            yield self._error
            yield Static(tr("Enter starts · Escape cancels"), classes="hint", markup=False)

    def on_mount(self) -> None:
        """Focus the first field."""
        self.query_one("#tasks", Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        tasks = self._number("tasks", 1, MAX_TASKS)
        rate = self._number("rate", 0, MAX_RATE)
        connections = self._number("connections", 1, MAX_CONNECTIONS)
        if tasks is None or rate is None or connections is None:
            return
        self.dismiss(
            LoadOptions(
                tasks=tasks,
                connections=connections,
                window=WINDOW,
                rate=float(rate) if rate else None,
                kind=self._template.kind or DEFAULT_KIND,
                payload=self._template.payload,
                wait=False,
            )
        )

    def _number(self, name: str, minimum: int, maximum: int) -> int | None:
        text = self.query_one(f"#{name}", Input).value
        if text.isdecimal() and minimum <= int(text) <= maximum:
            return int(text)
        error = self.tr(
            "{name} must be a whole number from {minimum} to {maximum}",
            name=self.tr(name),
            minimum=self.tr.amount(minimum),
            maximum=self.tr.amount(maximum),
        )
        self._error.update(error)
        return None

    def action_cancel(self) -> None:
        """Close without a result."""
        self.dismiss(None)
