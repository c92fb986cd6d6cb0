"""The form with the fields of a task, and the editor of its payload."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Label, Select, Static, TextArea

from core.client import NewSubmission
from core.jsontext import Json
from core.model import KindDescription
from core.tasks.builtin import DEFAULT_KIND
from tui import display_text, payload_fields, payloads
from tui.payload_fields import Field
from tui.payloads import Draft, DraftError
from tui.translations import Translations
from tui.widgets.check_box import CheckBox
from tui.widgets.panel import Panel
from tui.widgets.text_input import TextInput

EXAMPLES = 'uno dos tres      {"seconds": 20}      {"fail": "out of paper"}'
"""Payloads of the default kind: one that succeeds, one that takes a while, one that fails."""


class PayloadEditor(TextArea, inherit_bindings=False):
    """The editor of the payload: Enter submits, Ctrl+J starts a new line, and a paste keeps its lines.

    F6 and F7 do what they do everywhere in the console. Ctrl+Z undoes only where it can't suspend the console, so undo
    has another key.
    """

    BINDINGS: ClassVar = [
        *(each for each in TextArea.BINDINGS if not (isinstance(each, Binding) and each.key in {"f6", "f7"})),
        Binding("ctrl+underscore", "undo", "Undo", show=False),
    ]

    def on_mount(self) -> None:
        """Turn the blinking of the cursor off."""
        self.cursor_blink = False

    class Submitted(Message):
        """Posted when Enter is pressed."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted())
            return
        if event.key in {"ctrl+j", "shift+enter"}:
            event.stop()
            event.prevent_default()
            self.insert("\n")
            return
        await super()._on_key(event)


class SubmitForm(Panel):
    """The form of a task to submit.

    Args:
        tr: translates the texts of the console.
        kinds: the descriptions of Cauce's own kinds by name, the default kind first.
        id: the id of the widget.
    """

    def __init__(self, tr: Translations, kinds: Mapping[str, str], *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self._descriptions = kinds
        self._told: Mapping[str, KindDescription] = {}
        first = next(iter(kinds), "")
        self._offered: tuple[str, ...] = (first,)
        self._kind: Select[str] = Select(self._options(first), value=first, allow_blank=False, id="kind", compact=True)
        self.payload = PayloadEditor(
            soft_wrap=True,
            show_line_numbers=False,
            id="payload",
        )
        self._delay = TextInput(placeholder="0", id="delay", compact=True)
        self._retries = TextInput(placeholder=tr("default"), id="retries", compact=True)
        self._task_id = TextInput(placeholder=tr("automatic"), id="task-id", compact=True)
        self._as_text = CheckBox(tr("always as text"), id="as-text", compact=True)
        self._kind_note = Static(id="about-kind", markup=False)
        self._payload_note = Static(id="about-payload", markup=False)

    def compose(self) -> ComposeResult:
        """Compose the fields."""
        tr = self.tr
        with Horizontal(classes="field"):
            yield Label(tr("kind"))
            yield self._kind
            yield self._kind_note
        yield self.payload
        yield self._payload_note
        with Horizontal(classes="field", id="small-fields"):
            yield Label(tr("delay (s)"))
            yield self._delay
            yield Label(tr("retries"))
            yield self._retries
            yield Label(tr("id"))
            yield self._task_id
            yield self._as_text

    def on_mount(self) -> None:
        """Show the title and the notes."""
        self.set_title(
            self.tr("New task"), subtitle=self.tr("Enter submits · Ctrl+J new line · {key:submit.again} earlier task")
        )
        self._update_notes()

    @property
    def draft(self) -> Draft:
        """What the fields contain."""
        kind = self._kind.value
        return Draft(
            kind=kind if isinstance(kind, str) else "",
            payload=self.payload.text,
            id=self._task_id.value,
            delay=self._delay.value,
            retries=self._retries.value,
            as_text=self._as_text.value,
        )

    def fill(self, task: NewSubmission, text: str) -> None:
        """Fill the form with an earlier submission, except its id, because it will be another task."""
        if task.kind:
            self._select(task.kind)
        self.payload.text = text
        self.payload.move_cursor(self.payload.document.end)
        self._delay.value = f"{task.delay:g}" if task.delay else ""
        self._retries.value = "" if task.retries is None else str(task.retries)
        self._task_id.value = ""

    def clear_sent(self, task: NewSubmission) -> None:
        """Clear the payload and the id of a task that was submitted, unless something else has been typed since."""
        with contextlib.suppress(DraftError):
            if payloads.task_of(self.draft, self.tr) == task:
                self.payload.clear()
                self._task_id.value = ""

    def fill_payload(self, payload: Json) -> None:
        """Put a payload into the editor, and send it as what it is."""
        self._as_text.value = False
        self.payload.text = display_text.as_json(payload)
        self.payload.move_cursor(self.payload.document.end)

    @property
    def fields(self) -> Sequence[Field]:
        """The fields of the payloads of the selected kind; none when it does not tell them."""
        told = self._told.get(self.draft.kind)
        return payload_fields.fields_of_text(told.schema) if told is not None else ()

    def offer(self, kinds: Collection[str], told: Mapping[str, KindDescription]) -> None:
        """Offer these kinds, the default kind first. The selected one stays.

        Args:
            kinds: the kinds.
            told: what workers have told of their kinds.
        """
        if told != self._told:
            self._told = told
            self._update_notes()
        first = next(iter(self._descriptions), "")
        offered = tuple(sorted(kinds, key=lambda kind: kind != first))
        if offered and offered != self._offered:
            self._offered = offered
            self._select(self.draft.kind)

    def _about(self, kind: str) -> str:
        """Return what is known of a kind, in a line: our own words for our own kinds."""
        if kind in self._descriptions:
            return self.tr(self._descriptions[kind])
        told = self._told.get(kind)
        return display_text.clean(told.description, 200) if told is not None else ""

    def _select(self, kind: str) -> None:
        self._kind.set_options(self._options(kind))
        self._kind.value = kind

    def _options(self, selected: str) -> list[tuple[str, str]]:
        return [(display_text.clean(kind, 40), kind) for kind in dict.fromkeys((*self._offered, selected))]

    @on(Select.Changed)
    @on(TextArea.Changed)
    @on(Checkbox.Changed)
    def _changed(self) -> None:
        self._update_notes()

    def _update_notes(self) -> None:
        draft = self.draft
        self._kind_note.update(self._about(draft.kind), layout=False)
        hint = self.tr("Type a task and press Enter.")
        if draft.kind == DEFAULT_KIND:
            hint = self.tr("Type a task and press Enter. For example:") + f"\n{EXAMPLES}"
        elif fields := self.fields:
            names = ", ".join(display_text.clean(field.name, 24) for field in fields)
            hint = self.tr("{key:submit.fields} fills in the fields: {names}", names=names)
        self.payload.placeholder = Content(hint)
        payload = payloads.describe(draft.payload, self.tr, as_text=draft.as_text)
        self._payload_note.update(self.tr("payload: {what}", what=payload), layout=False)
