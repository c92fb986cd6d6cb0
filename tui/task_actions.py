"""The actions on tasks: submit one or many, cancel one, retry or discard failed ones, undo that, export to a file.

Nothing here draws. Slow work is a job; what can't simply be undone is confirmed first.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Event

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from core.model import State, Task
from core.repository.archive import BulkAction
from core.repository.search import Search, SortOrder
from tui import bulk_texts, display_text, payloads
from tui.action_screen import ActionScreen, confirm_first
from tui.dialogs.confirm import ChoiceDialog
from tui.dialogs.load import LoadDialog
from tui.dialogs.text_prompt import TextPrompt
from tui.exporting import Exported
from tui.file_lines import FileLines
from tui.jobs import Jobs
from tui.source import SystemControl
from tui.submission_events import SubmissionAccepted, SubmissionEvent, SubmissionFinished, SubmissionRefused
from tui.system_control import BulkActionResult, BulkProgress, BulkSubmitResult, OnProgress, SubmitResult

SUBMIT_JOB = "bulk-submit"
BULK_JOB = "bulk-action"
EXPORT_JOB = "export"


class TaskActions:
    """Runs the actions on tasks.

    Args:
        screen: the screen that holds these actions.
        jobs: the jobs of the screen.
        clock: gives the time, in seconds since the epoch.
        on_submission: takes the events of a submission.
        on_bulk_action_done: called after a retry, a discard or an undo.
    """

    def __init__(
        self,
        screen: ActionScreen,
        jobs: Jobs,
        clock: Callable[[], float],
        on_submission: Callable[[SubmissionEvent], None],
        on_bulk_action_done: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._tr = screen.tr
        self._jobs = jobs
        self._clock = clock
        self._on_submission = on_submission
        self._on_bulk_action_done = on_bulk_action_done
        self._operations: set[int] = set()
        """Numbers of the retries and discards of this console that were not undone."""

    # Submit.

    def submit(self, task: NewSubmission) -> None:
        """Submit one task."""
        control = self._screen.require_control()
        if control is None:
            return
        listen = self._screen.view.listen

        def on_done(result: SubmitResult) -> None:
            self._on_submission(SubmissionAccepted(task, result, self._clock()))

        self._jobs.start("submit", lambda: control.submit(task, listen), on_done, self._on_refused)

    def submit_text(self, draft: NewSubmission, text: str, *, as_text: bool) -> None:
        """Submit each line of a text as a task like the draft."""
        lines = text.split("\n")
        progress = self._jobs.reporter(sum(bool(line.strip()) for line in lines), self._on_submission)
        self._submit_lines(draft, lines, progress, as_text=as_text)

    def submit_file(self, draft: NewSubmission, *, as_text: bool) -> None:
        """Ask for a file, and submit each of its lines as a task like the draft."""

        def on_name(name: str | None) -> None:
            if name:
                lines = FileLines(self._path_of(name))
                progress = self._jobs.reporter(None, self._on_submission, lambda: lines.share)
                self._submit_lines(draft, lines, progress, as_text=as_text)

        question = self._tr("Submit each line of which file?")
        self._screen.show_dialog(TextPrompt(self._tr, question, more=self._base_note()), on_name)

    def _submit_lines(self, draft: NewSubmission, lines: Iterable[str], progress: OnProgress, *, as_text: bool) -> None:
        control = self._screen.require_control()
        if control is None:
            return
        listen = self._screen.view.listen

        def submit(cancelled: Event) -> BulkSubmitResult:
            tasks = payloads.tasks_of_lines(iter(lines), draft, as_text=as_text)
            return control.submit_many(tasks, listen, progress, cancelled)

        self._jobs.start_cancellable(SUBMIT_JOB, submit, self._on_submitted, self._on_refused)

    def ask_for_load(self, task: NewSubmission) -> None:
        """Ask how many tasks like this one to submit and how fast, and submit them."""
        control = self._screen.require_control()
        if control is None:
            return

        def on_options(options: LoadOptions | None) -> None:
            if options is not None:
                listen = self._screen.view.listen
                progress = self._jobs.reporter(options.tasks, self._on_submission)
                self._jobs.start_cancellable(
                    SUBMIT_JOB,
                    lambda cancelled: control.load(options, listen, progress, cancelled),
                    self._on_submitted,
                    self._on_refused,
                )

        self._screen.show_dialog(LoadDialog(self._tr, task), on_options)

    def _on_submitted(self, result: BulkSubmitResult, cancelled: bool) -> None:
        self._on_submission(SubmissionFinished(result, cancelled))

    def _on_refused(self, reason: str) -> None:
        self._on_submission(SubmissionRefused(reason))
        self._screen.show_notification(reason, trouble=True)

    # Cancel.

    def ask_to_cancel(self, task: Task) -> None:
        """Cancel a task, when the user confirms it."""
        control = self._screen.require_control()
        if control is None:
            return
        tr, shown = self._tr, display_text.clean(task.id, 64)

        def on_answer(answer: str | None) -> None:
            if answer:
                listen = self._screen.view.listen
                self._jobs.start("cancel-task", lambda: control.cancel(task.id, listen), on_done)

        def on_done(state: State) -> None:
            cancelling = tr("{id} is asked to stop; it is cancelled as soon as it has.", id=shown)
            self._screen.show_notification(
                cancelling if state is State.CANCELLING else tr("{id} is cancelled.", id=shown)
            )

        question = tr("Cancel the task {id}?", id=shown)
        answers = [("", tr("Let it go on"), "-safe"), ("yes", tr("Cancel the task"), "-danger")]
        more = tr("If it runs, it is asked to stop, and ended with its process when it does not.")
        self._screen.show_dialog(ChoiceDialog(tr, question, answers, more=more), on_answer)

    # Retry, discard, undo.

    def ask_for_bulk_action(self, action: BulkAction, seqs: Sequence[int], scope: str) -> None:
        """Retry or discard failed tasks, when the user confirms it.

        Args:
            action: whether to retry or discard.
            seqs: the numbers of the tasks.
            scope: a sentence on what the tasks are chosen from, or an empty text.
        """
        control = self._screen.require_control()
        if control is None or not len(seqs):
            return
        question, yes, undo = bulk_texts.question(self._tr, action, len(seqs))
        more = f"{scope} {undo}".strip()
        confirm_first(self._screen, question, yes, lambda: self._apply(control, action, seqs), more=more)

    def _apply(self, control: SystemControl, action: BulkAction, seqs: Sequence[int]) -> None:
        def on_done(result: BulkActionResult, _: bool) -> None:
            if result.progress.moved:
                self._operations.add(result.operation)
            self._screen.show_notification(
                bulk_texts.describe_result(self._tr, result), trouble=bool(result.progress.trouble)
            )
            self._on_bulk_action_done()

        reporter = partial(self._jobs.header_reporter, BULK_JOB)
        self._jobs.start_cancellable(
            BULK_JOB, lambda cancelled: control.apply(action, seqs, reporter, cancelled), on_done
        )

    def undo(self) -> None:
        """Undo the last retry or discard."""
        control = self._screen.require_control()
        if control is None:
            return
        operation = self._last_operation()
        if operation is None:
            self._screen.show_notification(self._tr("There is nothing to undo."))
            return

        def on_done(outcome: BulkProgress, _: bool) -> None:
            if outcome.is_complete:
                self._operations.discard(operation)
            self._screen.show_notification(bulk_texts.describe_undo(self._tr, outcome), trouble=bool(outcome.trouble))
            self._on_bulk_action_done()

        reporter = partial(self._jobs.header_reporter, BULK_JOB)
        self._jobs.start_cancellable(
            BULK_JOB,
            lambda cancelled: control.undo(operation, lambda: self._screen.view.running_ids, reporter, cancelled),
            on_done,
        )

    def _last_operation(self) -> int | None:
        """Return the number of the last operation that can be undone; those of this console come first."""
        operations = self._screen.view.operations
        undone = {operation.number for operation in operations if operation.undone_at is not None}
        numbers = self._operations or {each.number for each in operations if each.tasks}
        return max(numbers - undone, default=None)

    # Export.

    def ask_for_export(self, search: Search, order: SortOrder) -> None:
        """Ask for a file, and write the tasks that a search finds to it.

        Args:
            search: the search that the tasks match.
            order: the order of the tasks in the file.
        """
        control = self._screen.require_control()
        if control is None:
            return
        question = self._tr("Write all tasks found to which new file? (.jsonl or .csv)")

        def on_name(name: str | None) -> None:
            if name:
                self._export(control, search, order, self._path_of(name))

        self._screen.show_dialog(TextPrompt(self._tr, question, "results.jsonl", more=self._base_note()), on_name)

    def _export(self, control: SystemControl, search: Search, order: SortOrder, path: Path) -> None:
        def on_done(exported: Exported, _: bool) -> None:
            written, total = self._tr.amount(exported.written), self._tr.amount(exported.total)
            if exported.cancelled:
                text = self._tr("Cancelled after {count} of {total}: no file was written.", count=written, total=total)
            else:
                text = self._tr("{count} tasks written to {path}", count=written, path=str(path))
            self._screen.show_notification(text)

        reporter = partial(self._jobs.header_reporter, EXPORT_JOB)
        self._jobs.start_cancellable(
            EXPORT_JOB, lambda cancelled: control.export(search, order, path, reporter, cancelled), on_done
        )

    # The names of files.

    def _base_note(self) -> str:
        """Say what the name of a file is relative to."""
        return self._tr("in {directory}, unless you give another directory", directory=str(self._directory))

    def _path_of(self, name: str) -> Path:
        """Return the path that a user means: relative to the system's directory, with `~` for the home directory."""
        path = Path(name)
        # Without a home directory, the name stays as it is.
        with contextlib.suppress(RuntimeError):
            path = path.expanduser()
        return self._directory / path

    @property
    def _directory(self) -> Path:
        """The system's directory; the current one as long as there is no view of the system."""
        return Path(self._screen.view.directory).absolute()
