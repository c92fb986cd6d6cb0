"""The tab that submits tasks: one, one for each line, or a load, and shows their outcomes."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, ProgressBar, Static

from core.client import NewSubmission
from core.jsontext import Json
from tui import commands, core_texts, display_text, payloads
from tui.messages import (
    BulkSubmitRequested,
    EditRequested,
    FieldsRequested,
    LoadRequested,
    NotificationRequested,
    RowsRequested,
    SubmitRequested,
)
from tui.payloads import DraftError
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
from tui.widgets.submission_history import SubmissionHistory
from tui.widgets.submit_form import PayloadEditor, SubmitForm

FEED = "submitted"

ID_WIDTH = 36
"""Characters of an id on the line below the form: a generated one fits."""


class SubmitTab(Tab):
    """A tab with the form, the progress of a long submission, and the tasks that were submitted."""

    BINDINGS: ClassVar = commands.bindings(commands.SUBMIT)
    feeds = (FEED,)

    def __init__(self, tr: Translations, kinds: Mapping[str, str], *, id: str) -> None:
        super().__init__(tr, id=id)
        self._form = SubmitForm(tr, kinds, id="form")
        self._history = SubmissionHistory(tr, id="history")
        self._bar = ProgressBar(show_eta=False, show_percentage=False, id="bar")
        self._status = Static(id="status", markup=False)
        self._progress = Horizontal(self._bar, self._status, id="progress")

    def compose(self) -> ComposeResult:
        """Compose the form, the progress and the history."""
        self._progress.display = False
        with Vertical():
            yield self._form
            yield self._progress
            yield self._history

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable the command that leaves the form only while the focus is in it."""
        focused = self.screen.focused
        if action == "leave_form" and (focused is None or self._form not in focused.ancestors):
            return False
        return super().check_action(action, parameters)

    @property
    def first_focus(self) -> Widget:
        """The editor of the payload."""
        return self._form.payload

    def show(self, view: View) -> None:
        """Offer the kinds that workers run, and show which tasks run."""
        super().show(view)
        self._history.show_running(view.running)
        self._form.offer(view.kinds, view.told)

    def update_from(self, feed: str, news: News) -> None:
        """Show the outcomes that the feed has read."""
        if isinstance(news, RowsReadById):
            self._history.update_rows(news.rows)

    def show_submission(self, event: SubmissionEvent) -> None:
        """Show the progress or the end of a submission."""
        match event:
            case SubmissionAccepted():
                self._history.add(event)
                self._show_accepted(event)
                self.post_message(RowsRequested(FEED, ids=self._history.ids))
            case SubmissionProgress():
                self._show_progress(event)
            case SubmissionFinished():
                self._show_tally(event)
            case SubmissionRefused(reason=reason):
                self._show_status(display_text.clean(core_texts.translate(reason, self.tr), 300), bad=True)

    def _show_accepted(self, accepted: SubmissionAccepted) -> None:
        """Show that a task was accepted, and empty the form, unless something else has been typed meanwhile."""
        self._form.clear_sent(accepted.task)
        task_id = display_text.cut(display_text.clean(accepted.submitted.id), ID_WIDTH, keeps_end=True)
        if accepted.submitted.duplicate:
            text = self.tr("{id} was accepted before: nothing new was submitted.", id=task_id)
        else:
            text = self.tr("Accepted as {id}. Its outcome comes below.", id=task_id)
        self._show_status(text)

    def _show_status(self, text: str, *, bad: bool = False) -> None:
        """Show one line in place of a progress."""
        self._status.update(text)
        self._status.set_class(bad, "-bad")
        self._progress.display = True
        self._bar.display = False

    def _show_progress(self, progress: SubmissionProgress) -> None:
        tr, count, total, share = self.tr, progress.count, progress.total, progress.share
        rate = tr.rate(count / progress.seconds) if progress.seconds > 0 else "0"
        count_text = tr.amount(count)
        if total is None and share is not None:
            self._bar.update(total=1.0, progress=share)
            text = tr(
                "{count} answered · {percent}% of the file · {rate}/s · {key:app.cancel} cancels",
                count=count_text,
                percent=int(100 * share),
                rate=rate,
            )
        else:
            self._bar.update(total=total, progress=count)
            of = tr(" of {total}", total=tr.amount(total)) if total is not None else ""
            text = tr("{count}{of} answered · {rate}/s · {key:app.cancel} cancels", count=count_text, of=of, rate=rate)
        self._progress.display = True
        self._bar.display = total is not None or share is not None
        self._status.update(text)
        self._status.set_class(False, "-bad")

    def _show_tally(self, finished: SubmissionFinished) -> None:
        tr, tally = self.tr, finished.tally
        rate = tr.rate(tally.accepted / tally.seconds) if tally.seconds > 0 else "0"
        parts = [
            tr(
                "{count} accepted in {span} ({rate}/s)",
                count=tr.amount(tally.accepted),
                span=tr.duration(tally.seconds),
                rate=rate,
            )
        ]
        if tally.latency_p50 is not None:
            p50, p99 = map(tr.duration, (tally.latency_p50, tally.latency_p99))
            parts.append(tr("reply time p50 {p50}, p99 {p99}", p50=p50, p99=p99))
        if tally.refused:
            parts.append(
                tr(
                    "{count} refused: {reason}",
                    count=tally.refused,
                    reason=display_text.clean(tally.first_refusal, 200),
                )
            )
        if finished.cancelled:
            parts.append(tr("cancelled"))
        self._show_status(" · ".join(parts), bad=bool(tally.refused))

    # Actions of the commands.

    @on(PayloadEditor.Submitted)
    def _payload_submitted(self, event: PayloadEditor.Submitted) -> None:
        event.stop()
        self.action_submit()

    @on(Input.Submitted)
    def _field_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_submit()

    def _read_task(self) -> NewSubmission | None:
        """Return the task in the form. When a field is wrong, notify the user and return None."""
        try:
            return payloads.task_of(self._form.draft, self.tr)
        except DraftError as error:
            self.post_message(NotificationRequested(str(error), trouble=True))
            return None

    def _has_payload(self) -> bool:
        """Return whether a payload was typed. When there is none, notify the user what to type."""
        if self._form.draft.payload.strip():
            return True
        self._form.payload.focus()
        text = self.tr('Nothing to submit yet: type a task first. ("" is an empty text.)')
        self.post_message(NotificationRequested(text, trouble=True))
        return False

    def action_submit(self) -> None:
        """Submit the task in the form."""
        task = self._read_task()
        if task is not None and self._has_payload():
            if not self.read_only:
                self._show_status(self.tr("Submitting …"))
            self.post_message(SubmitRequested(task))

    def action_submit_lines(self) -> None:
        """Submit each line of the payload as a task."""
        task = self._read_task()
        if task is not None and self._has_payload():
            draft = self._form.draft
            self.post_message(BulkSubmitRequested(task, text=draft.payload, as_text=draft.as_text))

    def action_submit_file(self) -> None:
        """Submit each line of a file as a task."""
        task = self._read_task()
        if task is not None:
            self.post_message(BulkSubmitRequested(task, as_text=self._form.draft.as_text))

    def action_load(self) -> None:
        """Submit many tasks at a steady rate."""
        task = self._read_task()
        if task is not None:
            self.post_message(LoadRequested(task))

    def action_fields(self) -> None:
        """Fill in the payload field by field."""
        kind, fields = self._form.draft.kind, self._form.fields
        if not fields:
            shown = display_text.clean(kind, 40)
            text = self.tr("{kind} does not tell which fields its payload has: type it.", kind=shown)
            self.post_message(NotificationRequested(text))
            return
        payload, _ = payloads.payload_of(self._form.draft.payload, as_text=False)
        self.post_message(FieldsRequested(kind, fields, payload, self._filled))

    def _filled(self, payload: dict[str, Json] | None) -> None:
        if payload is not None:
            self._form.fill_payload(payload)
        self._form.payload.focus()

    def action_edit(self) -> None:
        """Edit the payload in the user's editor."""
        self.post_message(EditRequested(self._form.payload.text, self._edited))

    def _edited(self, text: str) -> None:
        self._form.payload.text = text
        self._form.payload.focus()

    def action_leave_form(self) -> None:
        """Move the focus out of the form."""
        self._history.table.focus()

    def action_reuse(self) -> None:
        """Fill the form with the submission under the cursor."""
        selected = self._history.selected
        if selected is None:
            self.post_message(NotificationRequested(self.tr("Nothing was submitted here yet."), trouble=True))
            return
        payload = selected.task.payload
        self._form.fill(selected.task, payload if isinstance(payload, str) else display_text.as_json(payload))
        self._form.payload.focus()
