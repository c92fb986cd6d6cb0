"""The form of a task to submit."""

from collections.abc import Mapping

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Checkbox, Label, Select, Static, TextArea

from core.client import NewSubmission
from tui import display_text, payloads
from tui.payloads import Draft
from tui.translations import Translations
from tui.widgets.panel import Panel
from tui.widgets.text_input import TextInput


class PayloadEditor(TextArea):
    """The editor of the payload: Enter submits, Ctrl+J breaks the line, and a paste keeps its lines."""

    def on_mount(self) -> None:
        """Keep the cursor calm."""
        self.cursor_blink = False

    class Sent(Message):
        """Enter was pressed."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent())
            return
        if event.key in {"ctrl+j", "shift+enter"}:
            event.stop()
            event.prevent_default()
            self.insert("\n")
            return
        await super()._on_key(event)


class SubmitForm(Panel):
    """What is to be submitted.

    Args:
        tr: translates the texts of the console.
        kinds: descriptions of the kinds that are known from the start, by name.
        id: of the widget.
    """

    def __init__(self, tr: Translations, kinds: Mapping[str, str], *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self._kinds = dict(kinds)
        first = next(iter(self._kinds), "")
        self._kind: Select[str] = Select(self._options(), value=first, allow_blank=False, id="kind", compact=True)
        self.payload = PayloadEditor(
            soft_wrap=True,
            show_line_numbers=False,
            placeholder=tr("Type a task and press Enter."),
            id="payload",
        )
        self._delay = TextInput(placeholder="0", id="delay", compact=True)
        self._retries = TextInput(placeholder=tr("of the kind"), id="retries", compact=True)
        self._task_id = TextInput(placeholder=tr("made by itself"), id="task-id", compact=True)
        self._as_text = Checkbox(tr("always as text"), id="as-text", compact=True)
        self._about = Static(id="about-kind", markup=False)
        self._note = Static(id="about-payload", markup=False)

    def compose(self) -> ComposeResult:
        """The fields."""
        tr = self.tr
        with Horizontal(classes="field"):
            yield Label(tr("kind"))
            yield self._kind
            yield self._about
        yield self.payload
        yield self._note
        with Horizontal(classes="field", id="small-fields"):
            yield Label(tr("delay, s"))
            yield self._delay
            yield Label(tr("retries"))
            yield self._retries
            yield Label(tr("id"))
            yield self._task_id
            yield self._as_text

    def on_mount(self) -> None:
        """Say what it is."""
        self.titled(self.tr("New task"), count=self.tr("Enter submits · Ctrl+J new line"))
        self._describe()

    @property
    def draft(self) -> Draft:
        """What is written."""
        kind = self._kind.value
        return Draft(
            kind=kind if isinstance(kind, str) else "",
            payload=self.payload.text,
            id=self._task_id.value,
            delay=self._delay.value,
            retries=self._retries.value,
            as_text=self._as_text.value,
        )

    def write(self, task: NewSubmission, text: str) -> None:
        """Write a former submission into the form, to be changed; its id is left out, for it is another task."""
        if task.kind:
            self.learn([task.kind])
            self._kind.value = task.kind
        self.payload.text = text
        self.payload.move_cursor(self.payload.document.end)
        self._delay.value = f"{task.delay:g}" if task.delay else ""
        self._retries.value = "" if task.retries is None else str(task.retries)
        self._task_id.value = ""

    def learn(self, kinds: "tuple[str, ...] | list[str]") -> None:
        """Offer these kinds too."""
        new = [kind for kind in kinds if kind not in self._kinds]
        if new:
            chosen = self._kind.value
            self._kinds.update(dict.fromkeys(new, ""))
            self._kind.set_options(self._options())
            self._kind.value = chosen

    def _options(self) -> list[tuple[str, str]]:
        return [(display_text.clean(kind, 40), kind) for kind in self._kinds]

    @on(Select.Changed)
    @on(TextArea.Changed)
    @on(Checkbox.Changed)
    def _changed(self) -> None:
        self._describe()

    def _describe(self) -> None:
        draft = self.draft
        self._about.update(self.tr(self._kinds.get(draft.kind, "")), layout=False)
        told = payloads.describe(draft.payload, self.tr, as_text=draft.as_text)
        self._note.update(self.tr("payload: {what}", what=told), layout=False)
