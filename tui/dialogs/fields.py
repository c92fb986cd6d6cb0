"""The dialog with the fields of a typed kind's payload."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from core.jsontext import Json
from tui import display_text, payload_fields
from tui.payload_fields import Field
from tui.payloads import DraftError
from tui.translations import Translations
from tui.widgets.text_input import TextInput


class FieldsDialog(ModalScreen[dict[str, Json] | None]):
    """A field for each member of a payload. Its result is the payload, or None when the user cancels.

    Args:
        tr: translates the texts of the console.
        kind: the kind of the task.
        fields: the fields.
        payload: what was typed before.
    """

    BINDINGS: ClassVar = [
        Binding("escape", "cancel", "Cancel", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, tr: Translations, kind: str, fields: Sequence[Field], payload: Json) -> None:
        super().__init__()
        self.tr = tr
        self._kind = kind
        self._fields = fields
        texts = payload_fields.texts_of(fields, payload)
        self._inputs = [TextInput(text, compact=True) for text in texts]
        self._error = Static(classes="trouble", markup=False)

    def compose(self) -> ComposeResult:
        """Compose the fields."""
        tr = self.tr
        with Vertical(classes="dialog", id="fields"):
            kind = display_text.clean(self._kind, 40)
            yield Label(tr("The payload of a task of kind {kind}", kind=kind), markup=False, classes="question")
            with VerticalScroll(can_focus=False):
                for field, value in zip(self._fields, self._inputs, strict=True):
                    with Horizontal(classes="row"):
                        mark = "*" if field.is_required else ""
                        yield Label(display_text.clean(f"{field.name}{mark}", 24), markup=False, classes="name")
                        yield value
                        yield Label(display_text.clean(self._note(field), 60), markup=False, classes="note")
            yield self._error
            hint = tr("* is required · Enter fills the form · Escape cancels")
            yield Static(hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        """Focus the first field."""
        self._inputs[0].focus()

    def _note(self, field: Field) -> str:
        note = field.note(self.tr)
        return f"{note}: {field.description}" if field.description else note

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            texts = [value.value for value in self._inputs]
            payload = payload_fields.payload_of_fields(self._fields, texts, self.tr)
        except DraftError as error:
            self._error.update(str(error))
        else:
            self.dismiss(payload)

    def action_cancel(self) -> None:
        """Close without a result."""
        self.dismiss(None)
