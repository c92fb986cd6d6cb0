"""The tab that submits tasks: one, each line of many, or a load; and what becomes of them."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, ProgressBar, Static

from core import formatting
from core.client import NewSubmission
from tui import commands, display_text, payloads
from tui.messages import (
    BulkSubmitRequested,
    EditRequested,
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
