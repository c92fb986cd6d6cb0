"""The tab that submits tasks: one, each line of many, or a load; and what becomes of them."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Label, ProgressBar, Select, Static, TextArea

from core import formatting
from core.client import NewSubmission
from core.model import State
from core.repository.archive import TaskRow
from tui import commands, display_text, payloads
from tui.messages import (
    BulkSubmitRequested,
    DetailRequested,
    EditRequested,
    LoadRequested,
    NotificationRequested,
    RowsRequested,
    SubmitRequested,
)
from tui.payloads import Draft, DraftError
from tui.submission_events import (
    SubmissionAccepted,
    SubmissionEvent,
    SubmissionFinished,
    SubmissionProgress,
    SubmissionRefused,
)
from tui.tabs.base import Tab
from tui.task_feed import News, RowsReadById
from tui.translations import Translations
from tui.view import View
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, ListModel, Row, TableColumn
from tui.widgets.task_rows import state_cell
from tui.widgets.text_input import TextInput

FEED = "submitted"
MOST_KEPT = 200
"""How many submissions are kept in view."""


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


class SubmissionHistory(Panel):
    """What was submitted here, and what has become of it."""

    BINDINGS: ClassVar = commands.bindings(commands.HISTORY)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(
            (
                TableColumn(key="at", label=tr("at"), width=8, sortable=False),
                TableColumn(key="kind", label=tr("kind"), width=9, grow=1, sortable=False),
                TableColumn(key="payload", label=tr("payload"), width=12, grow=3, sortable=False, rank=2),
                TableColumn(key="answer", label=tr("answered in"), width=11, right=True, sortable=False),
                TableColumn(key="state", label=tr("state"), width=11, sortable=False),
                TableColumn(key="result", label=tr("result"), width=14, grow=4, sortable=False),
                TableColumn(key="id", label=tr("task"), width=12, grow=2, sortable=False, rank=1),
            )
        )
        self._sent: OrderedDict[str, SubmissionAccepted] = OrderedDict()
        self._rows: dict[str, TaskRow] = {}

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    def on_mount(self) -> None:
        """Say what it is."""
        self._show()

    @property
    def ids(self) -> list[str]:
        """Of the tasks that are kept in view."""
        return list(self._sent)

    @property
    def chosen(self) -> SubmissionAccepted | None:
        """The submission that the cursor is on."""
        key = self.table.cursor_key
        return self._sent.get(key) if isinstance(key, str) else None

    @property
    def chosen_row(self) -> TaskRow | None:
        """What is known of it."""
        chosen = self.chosen
        return self._rows.get(chosen.submitted.id) if chosen else None

    def add(self, accepted: SubmissionAccepted) -> None:
        """Keep a submission."""
        self._sent[accepted.submitted.id] = accepted
        self._sent.move_to_end(accepted.submitted.id)
        while len(self._sent) > MOST_KEPT:
            gone, _ = self._sent.popitem(last=False)
            self._rows.pop(gone, None)
        self._show(to_top=True)

    def read(self, rows: Mapping[str, TaskRow]) -> None:
        """Take in what has become of them."""
        known = {task_id: row for task_id, row in rows.items() if task_id in self._sent}
        if any(self._rows.get(task_id) != row for task_id, row in known.items()):
            self._rows.update(known)
            self._show()

    def _show(self, *, to_top: bool = False) -> None:
        rows: list[tuple[Hashable, Row]] = [(key, self._row(each)) for key, each in reversed(self._sent.items())]
        self.table.show(ListModel(rows))
        if to_top:
            self.table.go_to(0)
        ended = sum(row.state.ended for row in self._rows.values())
        count = self.tr("{ended} of {count} have ended", ended=ended, count=len(rows)) if rows else ""
        self.titled(self.tr("Submitted from here"), count=count)

    def _row(self, each: SubmissionAccepted) -> Row:
        row = self._rows.get(each.submitted.id)
        state = row.state if row is not None else each.submitted.state
        outcome = display_text.clean(row.outcome, 200) if row is not None else ""
        text = each.task.payload if isinstance(each.task.payload, str) else display_text.as_json(each.task.payload)
        return [
            Cell(formatting.time_of_day(each.at), "dim"),
            Cell(display_text.clean(each.task.kind or "simulate", 40), "accent"),
            Cell(display_text.clean(text, 200), "dim"),
            Cell(formatting.compact_duration(each.submitted.seconds)),
            state_cell(state, self.tr),
            Cell(outcome, "bad" if state is State.FAILED else ""),
            Cell(display_text.clean(each.submitted.id, 64), "dim"),
        ]

    @on(Table.Moved)
    @on(Table.Wanting)
    def _passed_by(self, event: Table.Moved | Table.Wanting) -> None:
        event.stop()

    @on(Table.Picked)
    def _pick(self, event: Table.Picked) -> None:
        event.stop()
        self.action_pick()

    def action_pick(self) -> None:
        """Show everything about the task."""
        row = self.chosen_row
        if row is not None:
            self.post_message(DetailRequested(row.seq))


class SubmitTab(Tab):
    """The form, how far a long submission is, and what was submitted."""

    BINDINGS: ClassVar = commands.bindings(commands.SUBMIT)
    feeds = (FEED,)

    def __init__(self, tr: Translations, kinds: Mapping[str, str], *, id: str) -> None:
        super().__init__(tr, id=id)
        self._form = SubmitForm(tr, kinds, id="form")
        self._history = SubmissionHistory(tr, id="history")
        self._bar = ProgressBar(show_eta=False, show_percentage=False, id="bar")
        self._told = Static(id="told", markup=False)
        self._progress = Horizontal(self._bar, self._told, id="progress")

    def compose(self) -> ComposeResult:
        """The parts."""
        self._progress.display = False
        with Vertical():
            yield self._form
            yield self._progress
            yield self._history

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The editor can only be left by whoever is in it."""
        focused = self.screen.focused
        if action == "leave" and (focused is None or self._form not in focused.ancestors):
            return False
        return super().check_action(action, parameters)

    @property
    def first_focus(self) -> Widget:
        """The payload."""
        return self._form.payload

    def show(self, view: View) -> None:
        """Offer the kinds that others have submitted."""
        super().show(view)
        self._form.learn(view.kinds)

    def take(self, feed: str, news: News) -> None:
        """Take in what has become of what was submitted."""
        if isinstance(news, RowsReadById):
            self._history.read(news.rows)

    def answered(self, answer: SubmissionEvent) -> None:
        """Take in what has come of what was asked for."""
        match answer:
            case SubmissionAccepted():
                self._history.add(answer)
                # What is typed next takes its place; Enter submits the same once more.
                self._form.payload.select_all()
                self.post_message(RowsRequested(FEED, ids=self._history.ids))
            case SubmissionProgress():
                self._show_progress(answer)
            case SubmissionFinished():
                self._show_end(answer)
            case SubmissionRefused(reason=reason):
                self._told.update(display_text.clean(reason, 300))
                self._told.set_class(True, "-bad")
                self._progress.display = True
                self._bar.display = False

    def _show_progress(self, progressed: SubmissionProgress) -> None:
        tr, count, total, share = self.tr, progressed.count, progressed.total, progressed.share
        rate = formatting.rate(count / progressed.seconds) if progressed.seconds > 0 else "0"
        told = formatting.count(count)
        if total is None and share is not None:
            self._bar.update(total=1.0, progress=share)
            text = tr(
                "{count} answered · {percent}% of the file · {rate}/s · F8 cancels",
                count=told,
                percent=int(100 * share),
                rate=rate,
            )
        else:
            self._bar.update(total=total, progress=count)
            of = tr(" of {total}", total=formatting.count(total)) if total is not None else ""
            text = tr("{count}{of} answered · {rate}/s · F8 cancels", count=told, of=of, rate=rate)
        self._progress.display = True
        self._bar.display = total is not None or share is not None
        self._told.update(text)
        self._told.set_class(False, "-bad")

    def _show_end(self, finished: SubmissionFinished) -> None:
        tr, tally = self.tr, finished.tally
        rate = formatting.rate(tally.accepted / tally.seconds) if tally.seconds > 0 else "0"
        told = [
            tr(
                "{count} accepted in {span} ({rate}/s)",
                count=formatting.count(tally.accepted),
                span=formatting.compact_duration(tally.seconds),
                rate=rate,
            )
        ]
        if tally.latency_p50 is not None:
            p50, p99 = map(formatting.compact_duration, (tally.latency_p50, tally.latency_p99))
            told.append(f"p50 {p50}, p99 {p99}")
        if tally.refused:
            told.append(
                tr(
                    "{count} refused: {reason}",
                    count=tally.refused,
                    reason=display_text.clean(tally.first_refusal, 200),
                )
            )
        if finished.cancelled:
            told.append(tr("cancelled"))
        self._progress.display = True
        self._bar.display = False
        self._told.update(" · ".join(told))
        self._told.set_class(bool(tally.refused), "-bad")

    # What the commands do.

    @on(PayloadEditor.Sent)
    def _sent(self, event: PayloadEditor.Sent) -> None:
        event.stop()
        self.action_send()

    @on(Input.Submitted)
    def _field_done(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_send()

    def _written(self) -> NewSubmission | None:
        """The task that is written; says what is wrong with it."""
        try:
            return payloads.task_of(self._form.draft, self.tr)
        except DraftError as error:
            self.post_message(NotificationRequested(str(error), trouble=True))
            return None

    def action_send(self) -> None:
        """Submit what is written."""
        task = self._written()
        if task is not None:
            self.post_message(SubmitRequested(task))

    def action_send_lines(self) -> None:
        """Submit each line as a task of its own."""
        task = self._written()
        if task is not None:
            draft = self._form.draft
            self.post_message(BulkSubmitRequested(task, text=draft.payload, as_text=draft.as_text))

    def action_send_file(self) -> None:
        """Submit each line of a file."""
        task = self._written()
        if task is not None:
            self.post_message(BulkSubmitRequested(task, as_text=self._form.draft.as_text))

    def action_load(self) -> None:
        """Submit many tasks at a rate."""
        task = self._written()
        if task is not None:
            self.post_message(LoadRequested(task))

    def action_edit(self) -> None:
        """Write the payload in an editor of one's own."""
        self.post_message(EditRequested(self._form.payload.text, self._edited))

    def _edited(self, text: str) -> None:
        self._form.payload.text = text
        self._form.payload.focus()

    def action_leave(self) -> None:
        """Leave the editor."""
        self._history.table.focus()

    def action_again(self) -> None:
        """Take a former submission up again."""
        chosen = self._history.chosen
        if chosen is None:
            self.post_message(NotificationRequested(self.tr("Nothing was submitted from here yet."), trouble=True))
            return
        payload = chosen.task.payload
        self._form.write(chosen.task, payload if isinstance(payload, str) else display_text.as_json(payload))
        self._form.payload.focus()
