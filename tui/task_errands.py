"""The errands about tasks: submitting one or many, retrying and discarding what has failed, writing results to a file.

Nothing here draws. What takes its time runs in a thread of its own; what can't simply be taken back asks first.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

from textual import on

from core import formatting
from core.client.load_command import LoadOptions
from core.repository.archive import BulkAction
from tui import payloads
from tui.dialogs.load import LoadDialog
from tui.dialogs.text_prompt import TextPrompt
from tui.exporting import Exported
from tui.file_lines import FileLines
from tui.long_errands import LongErrands, Teller
from tui.messages import (
    BulkActionRequested,
    BulkSubmitRequested,
    ExportRequested,
    LoadRequested,
    SubmitRequested,
    UndoRequested,
)
from tui.source import Source, SystemControl
from tui.submission_events import SubmissionAccepted, SubmissionFinished, SubmissionRefused
from tui.system_control import BulkActionResult, BulkProgress, BulkSubmitResult, Progress, SubmitResult
from tui.translations import Translations

SUBMITTING = "submitting"
SETTLING = "settling"
EXPORTING = "exporting"


class TaskErrands(LongErrands):
    """Has things done about tasks.

    Args:
        source: of everything that is done.
        tr: translates the texts of the console.
        clock: tells the time, in seconds since the epoch.
    """

    def __init__(self, source: Source, tr: Translations, clock: Callable[[], float]) -> None:
        super().__init__(source, tr, clock)
        self._last_settled: list[BulkActionResult] = []

    @on(SubmitRequested)
    def _submit(self, event: SubmitRequested) -> None:
        event.stop()
        control = self.acting()
        if control is None:
            return
        listen = self.view.listen

        def done(submitted: SubmitResult) -> None:
            self.answer(SubmissionAccepted(event.task, submitted, self._clock()))

        self.work("submit", lambda: control.submit(event.task, listen), done, self._refused)

    @on(BulkSubmitRequested)
    def _submit_many(self, event: BulkSubmitRequested) -> None:
        event.stop()
        if event.text is not None:
            lines = event.text.split("\n")
            progress = Teller(sum(bool(line.strip()) for line in lines), self.answer, self.deliver)
            self._submit_lines(event, lines, progress)
            return

        def named(name: str | None) -> None:
            if name:
                lines = FileLines(Path(name).expanduser())
                self._submit_lines(event, lines, Teller(None, self.answer, self.deliver, lambda: lines.share))

        self.app.push_screen(TextPrompt(self.tr, self.tr("Submit each line of which file?")), named)

    def _submit_lines(self, event: BulkSubmitRequested, lines: Iterable[str], progress: Progress) -> None:
        listen = self.view.listen

        def submit(control: SystemControl, cancelled: Event) -> BulkSubmitResult:
            tasks = payloads.tasks_of_lines(iter(lines), event.task, as_text=event.as_text)
            return control.submit_many(tasks, listen, progress, cancelled)

        self.take_long(SUBMITTING, submit, self._submitted, self._refused)

    @on(LoadRequested)
    def _ask_for_load(self, event: LoadRequested) -> None:
        event.stop()
        if self.acting() is None:
            return

        def ordered(order: LoadOptions | None) -> None:
            if order is not None:
                listen = self.view.listen
                progress = Teller(order.tasks, self.answer, self.deliver)
                self.take_long(
                    SUBMITTING,
                    lambda control, cancelled: control.load(order, listen, progress, cancelled),
                    self._submitted,
                    self._refused,
                )

        self.app.push_screen(LoadDialog(self.tr, event.task), ordered)

    def _submitted(self, tally: BulkSubmitResult, cancelled: bool) -> None:
        self.answer(SubmissionFinished(tally, cancelled))

    def _refused(self, reason: str) -> None:
        self.answer(SubmissionRefused(reason))
        self.tell(reason, trouble=True)

    @on(BulkActionRequested)
    def _settle(self, event: BulkActionRequested) -> None:
        event.stop()
        if self.acting() is None or not len(event.seqs):
            return
        count = len(event.seqs)
        more = self.tr("{count} match the filter.", count=formatting.count(event.matching))
        if event.act is BulkAction.RETRY:
            question = self.tr.count(count, "Run this task once more?", "Run {count} tasks once more?")
            yes = self.tr("Retry")
        else:
            question = self.tr.count(count, "Discard this task?", "Discard {count} tasks?")
            yes = self.tr("Discard")
        self._ask_first(question, yes, lambda: self._settle_now(event), more=f"{more} {self.tr('z undoes it.')}")

    def _settle_now(self, event: BulkActionRequested) -> None:
        def done(settled: BulkActionResult, _: bool) -> None:
            if settled.extent.moved:
                self._last_settled.append(settled)
            self.tell(self._of_settled(settled), trouble=bool(settled.extent.trouble))
            self.settled()

        progress = self.noting(SETTLING, len(event.seqs))
        self.take_long(
            SETTLING, lambda control, cancelled: control.settle(event.act, event.seqs, progress, cancelled), done
        )

    def _of_settled(self, settled: BulkActionResult) -> str:
        extent, retried = settled.extent, settled.act is BulkAction.RETRY
        if extent.whole:
            told = ("{count} task runs again", "{count} tasks run again")
            if not retried:
                told = ("{count} task discarded", "{count} tasks discarded")
            return self.tr.count(extent.moved, *told)
        return self._of_part(extent, "{count} of {total} retried" if retried else "{count} of {total} discarded")

    def _of_part(self, extent: BulkProgress, told: str) -> str:
        """How far something came that ended early, and why it did."""
        count, total = formatting.count(extent.moved), formatting.count(extent.of)
        came = self.tr(told, count=count, total=total)
        if extent.cancelled:
            return self.tr("{came}, then cancelled. z undoes what was done.", came=came)
        return self.tr("{came}, then: {reason}", came=came, reason=extent.trouble)

    @on(UndoRequested)
    def _undo(self, event: UndoRequested) -> None:
        event.stop()
        if self.acting() is None:
            return
        found = self._last_operation()
        if found is None:
            self.tell(self.tr("There is nothing to undo."))
            return
        operation, total = found

        def done(extent: BulkProgress, _: bool) -> None:
            if extent.whole:
                self._last_settled = [each for each in self._last_settled if each.operation != operation]
            self.tell(self._of_undone(extent), trouble=bool(extent.trouble))
            self.settled()

        progress = self.noting(SETTLING, total)
        self.take_long(
            SETTLING,
            lambda control, cancelled: control.undo(operation, lambda: self.view.running_ids, progress, cancelled),
            done,
        )

    def _last_operation(self) -> tuple[int, int] | None:
        """The last operation that can be undone, and how many tasks it has moved: one of this console before others."""
        undone = {operation.number for operation in self.view.operations if operation.undone_at is not None}
        known = {settled.operation: settled.extent.moved for settled in self._last_settled}
        known = known or {each.number: each.tasks for each in self.view.operations if each.tasks}
        open_ones = sorted(number for number in known if number not in undone)
        return (open_ones[-1], known[open_ones[-1]]) if open_ones else None

    def _of_undone(self, extent: BulkProgress) -> str:
        if extent.whole:
            return self.tr.count(extent.moved, "{count} task is failed again", "{count} tasks are failed again")
        count, total = formatting.count(extent.moved), formatting.count(extent.of)
        came = self.tr("{count} of {total} are failed again", count=count, total=total)
        if extent.cancelled:
            return self.tr("{came}, then cancelled. z undoes the rest.", came=came)
        return self.tr("{came}, then: {reason}", came=came, reason=extent.trouble)

    @on(ExportRequested)
    def _export(self, event: ExportRequested) -> None:
        event.stop()
        if self.acting() is None:
            return
        question = self.tr(
            "Write {count} tasks to which new file? (.jsonl or .csv)", count=formatting.count(event.count)
        )

        def begin(name: str | None) -> None:
            if name:
                self._export_to(event, Path(name).expanduser())

        self.app.push_screen(TextPrompt(self.tr, question, "results.jsonl"), begin)

    def _export_to(self, event: ExportRequested, path: Path) -> None:
        def done(exported: Exported, _: bool) -> None:
            count, total = formatting.count(exported.written), formatting.count(exported.of)
            if exported.cancelled:
                self.tell(self.tr("Cancelled after {count} of {total}: no file was left.", count=count, total=total))
            else:
                self.tell(self.tr("{count} tasks written to {path}", count=count, path=str(path)))

        progress = self.noting(EXPORTING, event.count)
        self.take_long(
            EXPORTING,
            lambda control, cancelled: control.export(event.search, event.order, path, progress, cancelled),
            done,
        )
