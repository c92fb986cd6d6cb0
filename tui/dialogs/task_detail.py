"""All details of one task: its timeline, its attempts, its payload and its outcome."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core import formatting
from core.model import Attempt, AttemptState, RunningOn, State, Task, Times
from core.task_state import TaskState, task_state
from core.timeline import BEFORE_ATTEMPTS, OF_ATTEMPT, Step, TaskRecord, timeline
from tui import core_texts, display_text
from tui.key_names import hint
from tui.translations import Translations
from tui.view import EMPTY, View
from tui.widgets.search_input import SearchActions, SearchInput
from tui.widgets.text_view import StyledLine, TextView

TIMELINE = (*BEFORE_ATTEMPTS, *OF_ATTEMPT, "retried")


class TaskDetail(SearchActions, ModalScreen[None]):
    """The sheet of a task, which follows it until it is closed.

    One sheet is kept for all tasks, because making one takes longer than drawing it.

    Args:
        tr: translates the texts of the console.
        on_cancel: called with the task that the user wants to cancel.
    """

    NAME = "task"
    """The name under which the app keeps the screen."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "close", "Close"),
        Binding("y", "copy", "Copy"),
        Binding("w", "wrap", "Wrap"),
        Binding("x", "cancel_task", "Cancel"),
        Binding("s,slash,f7", "search", "Search"),
        Binding("n", "next_hit", "Next hit", show=False),
        Binding("N", "previous_hit", "Previous hit", show=False),
    ]

    def __init__(self, tr: Translations, on_cancel: Callable[[Task], None]) -> None:
        super().__init__()
        self.tr = tr
        self._on_cancel = on_cancel
        self._shown: TaskRecord | None = None
        self._body: Sequence[StyledLine] = ()
        self._view = EMPTY
        self._text = TextView(id="text")
        self._search = SearchInput(tr, self._text)
        self._sheet = Vertical(classes="sheet")

    def compose(self) -> ComposeResult:
        """Compose the search, the text and the keys."""
        with self._sheet:
            yield self._search
            yield self._text
            yield Static(
                f"{hint(self.BINDINGS, self.tr)}   {self.tr('↑↓ scroll')}",
                classes="hint",
                markup=False,
            )

    def on_mount(self) -> None:
        """Write the task that was set before the sheet was mounted."""
        self._write()

    def on_screen_resume(self) -> None:
        """Focus the text."""
        self._text.focus()

    @property
    def seq(self) -> int | None:
        """The number of the task that is shown; None before the first."""
        return None if self._shown is None else self._shown.task.seq

    def show(self, record: TaskRecord, view: View) -> None:
        """Show a task, from the beginning and without a search."""
        self._view = view
        self._take(record)
        if self.is_mounted:
            self._search.clear_search()
            self._write()

    def update_task(self, record: TaskRecord) -> None:
        """Show the same task as it is now, at the same place and with the same search."""
        if record != self._shown:
            self._take(record)
            self._rewrite()

    def update_view(self, view: View) -> None:
        """Show whether the task runs at this moment, and for how long."""
        self._view = view
        self._rewrite()

    def _take(self, record: TaskRecord) -> None:
        """Take a task. The payload, which may be long, is not formatted again while only the time goes on."""
        self._shown = record
        self._body = body_lines(record.task, self.tr)

    def _write(self) -> None:
        if self._shown is not None:
            self._sheet.border_title = Content(self.tr("Task {id}", id=display_text.clean(self._shown.task.id, 64)))
            self._sheet.border_subtitle = None
            self._text.show([*head_lines(self._shown, self._view, self.tr), *self._body])

    def _rewrite(self) -> None:
        if self._shown is not None and self.is_mounted:
            self._text.replace([*head_lines(self._shown, self._view, self.tr), *self._body])
            self._hits_changed()

    def action_close(self) -> None:
        """End the search; without one, close the sheet."""
        if self._search.is_searching:
            self._search.end_search()
        else:
            self.dismiss()

    def action_cancel_task(self) -> None:
        """Cancel the task, unless it has ended."""
        if self._shown is not None and not self._shown.task.state.ended:
            self._on_cancel(self._shown.task)
        else:
            self.notify(self.tr("This task has ended."), markup=False)

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self._text.set_wrap(not self._text.wrap)

    @on(SearchInput.HitsChanged)
    def _hits_changed(self) -> None:
        self._sheet.border_subtitle = Content(self._search.status) if self._search.status else None

    def action_copy(self) -> None:
        """Copy the whole text."""
        text = "\n".join(text for text, _ in self._text.lines)
        # A dialog's messages go to the app and not to the screen below it.
        self.app.copy_to_clipboard(text)
        self.notify(self.tr("Copied {what}, if the terminal allows it.", what=self.tr("the task")), markup=False)


def head_lines(record: TaskRecord, view: View, tr: Translations) -> list[StyledLine]:
    """Return the text about a task's state, its times and its attempts.

    Args:
        record: the task and its attempts.
        view: the moment, and what runs then.
        tr: translates the texts.
    """
    state = task_state(record.task, view.running)
    said = state.running or (record.attempts[-1] if record.attempts else None)
    return [
        *_summary(record, state, said, view.now, tr),
        *_timeline(record.task.times, record.attempts, tr),
        *_attempts(record, state, view.now, tr),
        *_notes(said, tr),
        *_stack(state, tr),
    ]


def body_lines(task: Task, tr: Translations) -> list[StyledLine]:
    """Return the text about a task's payload and its outcome."""
    return [
        *_section(tr("Payload"), display_text.pretty(task.payload), tr),
        *(_section(tr("Result"), display_text.pretty(task.result), tr) if task.result is not None else []),
        *_failure(task, tr),
    ]


def _summary(
    record: TaskRecord, state: TaskState, said: RunningOn | Attempt | None, now: float, tr: Translations
) -> list[StyledLine]:
    task = record.task
    style = {"done": "good", "failed": "bad", "running": "accent"}.get(state.state.value, "warn")
    lines = [
        (f"{tr('state'):<12}{_state_text(state, now, tr)}", style),
        (f"{tr('kind'):<12}{display_text.clean(task.kind)}", ""),
        (f"{tr('worker'):<12}{_place(state.worker or '-', said.runner if said else 0, tr)}", ""),
        (f"{tr('tries'):<12}{state.attempt}", ""),
    ]
    if said is not None and said.progress is not None:
        lines.append((f"{tr('progress'):<12}{display_text.progress(said)}", "accent" if state.running else ""))
    if task.retries is not None:
        lines.append((f"{tr('retries'):<12}{task.retries}", ""))
    if deaths := sum(attempt.state is AttemptState.LOST for attempt in record.attempts):
        text = tr.count(deaths, "In {count} try its worker died.", "In {count} tries its worker died.")
        lines.append((text, "bad"))
    if task.due_at and not task.state.ended:
        lines.append((f"{tr('due'):<12}{formatting.timestamp(task.due_at)}", "warn"))
    return lines


def _state_text(state: TaskState, now: float, tr: Translations) -> str:
    running = _running_text(state, now, tr)
    if running and state.state is State.CANCELLING:
        return f"{tr(state.state.value)}, {running}"
    return running or tr(state.state.value)


def _running_text(state: TaskState, now: float, tr: Translations) -> str:
    """Return which worker runs the task, and for how long; an empty string when none does."""
    if state.running is None:
        return ""
    span = tr.duration(max(0.0, now - state.running.since))
    return tr("running on {worker} for {span}", worker=display_text.clean(state.running.worker), span=span)


def _timeline(times: Times, attempts: Sequence[Attempt], tr: Translations) -> list[StyledLine]:
    lines: list[StyledLine] = [("", ""), (tr("Timeline"), "heading")]
    before: float | None = None
    for step in timeline(times, attempts):
        since = "" if before is None else f"+{tr.duration(step.at - before)}"
        name, note = _step_texts(step, tr)
        lines.append((f"  {name:<12}{formatting.timestamp(step.at)}  {since:<8}  {note}".rstrip(), ""))
        before = step.at
    return lines


def _step_texts(step: Step, tr: Translations) -> tuple[str, str]:
    if step.attempt is not None:
        return tr("try {number}", number=step.attempt.number), _end_text(step.attempt, tr)
    return tr(step.name), tr("by {user}", user=display_text.clean(step.by)) if step.by else ""


def _end_text(attempt: Attempt, tr: Translations) -> str:
    """Return on which worker an attempt ended, and how."""
    worker = _place(attempt.worker, attempt.runner, tr)
    if attempt.state is AttemptState.LOST:
        return tr("{worker} died, or lost its connection", worker=worker or tr("its worker"))
    if attempt.state is AttemptState.DONE:
        return tr("done on {worker}", worker=worker)
    return tr("failed on {worker}", worker=worker)


def _place(worker: str, runner: int, tr: Translations) -> str:
    """Return where an attempt runs or ran."""
    name = display_text.clean(worker)
    return tr("{worker}, runner {number}", worker=name, number=runner) if runner else name


def _attempts(record: TaskRecord, state: TaskState, now: float, tr: Translations) -> list[StyledLine]:
    """Return the attempts, unless the only one is that of the timeline."""
    attempts, last = record.attempts, record.task.tries
    if not attempts or (len(attempts) == 1 and record.task.finished is not None and state.running is None):
        return []
    lines: list[StyledLine] = [("", ""), (tr("Tries"), "heading")]
    for attempt in attempts:
        lines += _attempt(attempt, tr, with_traceback=attempt.number < last)
    if running := _running_text(state, now, tr):
        lines.append((f"  {state.attempt:>2}  {running}", "accent"))
    return lines


def _notes(said: RunningOn | Attempt | None, tr: Translations) -> list[StyledLine]:
    """Return what the present or last attempt has noted."""
    if said is None or not said.notes:
        return []
    lines: list[StyledLine] = [("", ""), (tr("Notes"), "heading")]
    for note in said.notes:
        lines.append((f"  {formatting.time_of_day(note.at)}  {display_text.clean(note.text)}", ""))
    return lines


def _stack(state: TaskState, tr: Translations) -> list[StyledLine]:
    """Return where the code of the running attempt is."""
    if state.running is None or state.running.stack is None:
        return []
    stack = state.running.stack
    title = tr("Stack at {time}", time=formatting.time_of_day(stack.at))
    lines = display_text.clean_lines(stack.text.rstrip(), tr)
    return [("", ""), (title, "heading"), *((line, "dim") for line in lines)]


def _attempt(attempt: Attempt, tr: Translations, *, with_traceback: bool) -> list[StyledLine]:
    parts = [_end_text(attempt, tr)]
    if attempt.started is not None:
        parts.append(tr("started {time}", time=formatting.timestamp(attempt.started)))
        if attempt.finished is not None and attempt.state is not AttemptState.LOST:
            parts.append(tr("ran {span}", span=tr.duration(attempt.finished - attempt.started)))
    if attempt.progress is not None:
        parts.append(display_text.progress(attempt))
    style = "good" if attempt.state is AttemptState.DONE else "bad"
    lines = [(f"  {attempt.number:>2}  {' · '.join(parts)}", style)]
    if attempt.error is not None:
        error = core_texts.describe_failure(f"{attempt.error.type}: {attempt.error.message}", tr)
        lines += [(f"      {line}", "bad") for line in display_text.clean_lines(error, tr)]
        if with_traceback and attempt.error.traceback:
            traceback = attempt.error.traceback.rstrip()
            lines += [(f"      {line}", "dim") for line in display_text.clean_lines(traceback, tr)]
    return lines


def _section(title: str, text: str, tr: Translations) -> list[StyledLine]:
    return [("", ""), (title, "heading"), *((f"  {line}", "") for line in display_text.clean_lines(text, tr))]


def _failure(task: Task, tr: Translations) -> list[StyledLine]:
    failure = task.failure
    if failure is None:
        return []
    lines: list[StyledLine] = [("", ""), (tr("Error"), "heading")]
    text = core_texts.describe_failure(f"{failure.type}: {failure.message}", tr)
    lines += [(f"  {line}", "bad") for line in display_text.clean_lines(text, tr)]
    if failure.traceback:
        lines += [("", ""), (tr("Traceback"), "heading")]
        lines += [(f"  {line}", "dim") for line in display_text.clean_lines(failure.traceback, tr)]
    return lines
