"""All details of one task: its timeline, its payload and its outcome."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core import formatting
from core.model import Task
from tui import display_text
from tui.translations import Translations
from tui.widgets.search_input import SearchInput
from tui.widgets.text_view import StyledLine, TextView

TIMELINE = ("sent", "received", "accepted", "queued", "taken", "started", "finished", "stored")


class TaskDetail(ModalScreen[None]):
    """The sheet of a task. One is kept for all tasks, because making a sheet takes longer than drawing it.

    Args:
        tr: translates the texts of the console.
    """

    NAME = "task"
    """The name under which the app keeps the screen."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "close", "Close"),
        Binding("y", "copy", "Copy"),
        Binding("w", "wrap", "Wrap"),
        Binding("s,slash,f7", "search", "Search"),
        Binding("n", "next_hit", "Next hit"),
        Binding("N", "previous_hit", "Previous hit"),
    ]

    def __init__(self, tr: Translations) -> None:
        super().__init__()
        self.tr = tr
        self._shown: Task | None = None
        self._text = TextView(id="text")
        self._search = SearchInput(tr, self._text)
        self._sheet = Vertical(classes="sheet")

    def compose(self) -> ComposeResult:
        """Compose the search, the text and the keys."""
        with self._sheet:
            yield self._search
            yield self._text
            yield Static(
                self.tr("escape close   y copy   w wrap or cut lines   s search   ↑↓ scroll"),
                classes="hint",
                markup=False,
            )

    def on_mount(self) -> None:
        """Write the task that was set before the sheet was mounted."""
        self._write()

    def on_screen_resume(self) -> None:
        """Focus the text."""
        self._text.focus()

    def show(self, task: Task) -> None:
        """Show a task, from the beginning and without a search."""
        self._shown = task
        if self.is_mounted:
            self._search.clear_search()
            self._write()

    def _write(self) -> None:
        if self._shown is not None:
            self._sheet.border_title = Content(self.tr("Task {id}", id=display_text.clean(self._shown.id, 64)))
            self._sheet.border_subtitle = None
            self._text.show(detail_lines(self._shown, self.tr))

    def action_close(self) -> None:
        """End the search; without one, close the sheet."""
        if self._search.is_searching:
            self._search.end_search()
        else:
            self.dismiss()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self._text.set_wrap(not self._text.wrap)

    def action_search(self) -> None:
        """Start a search."""
        self._search.start_search()

    def action_next_hit(self) -> None:
        """Go to the next hit."""
        self._search.step(forward=True)

    def action_previous_hit(self) -> None:
        """Go to the previous hit."""
        self._search.step(forward=False)

    @on(SearchInput.HitsChanged)
    def _hits_changed(self) -> None:
        self._sheet.border_subtitle = Content(self._search.status)

    def action_copy(self) -> None:
        """Copy the whole text."""
        text = "\n".join(text for text, _ in self._text.lines)
        # A dialog's messages go to the app and not to the screen below it.
        self.app.copy_to_clipboard(text)
        self.notify(self.tr("Copied {what}, if the terminal allows it.", what=self.tr("the task")), markup=False)


def detail_lines(task: Task, tr: Translations) -> list[StyledLine]:
    """Return the text about a task."""
    return [
        *_summary(task, tr),
        *_timeline(task, tr),
        *_section(tr("Payload"), display_text.pretty(task.payload), tr),
        *(_section(tr("Result"), display_text.pretty(task.result), tr) if task.result is not None else []),
        *_failure(task, tr),
    ]


def _summary(task: Task, tr: Translations) -> list[StyledLine]:
    style = {"done": "good", "failed": "bad"}.get(task.state.value, "warn")
    lines = [
        (f"{tr('state'):<12}{tr(task.state.value)}", style),
        (f"{tr('kind'):<12}{display_text.clean(task.kind)}", ""),
        (f"{tr('worker'):<12}{display_text.clean(task.worker or '-')}", ""),
        (f"{tr('tries'):<12}{task.attempts}", ""),
    ]
    if task.retries is not None:
        lines.append((f"{tr('retries'):<12}{task.retries}", ""))
    if task.strikes:
        lines.append((tr("Its worker died {count} times while running it.", count=task.strikes), "bad"))
    if task.due_at:
        lines.append((f"{tr('due'):<12}{formatting.timestamp(task.due_at)}", "warn"))
    return lines


def _timeline(task: Task, tr: Translations) -> list[StyledLine]:
    lines: list[StyledLine] = [("", ""), (tr("Timeline"), "heading")]
    before: float | None = None
    for name in TIMELINE:
        moment: float | None = getattr(task.times, name)
        if moment is None:
            continue
        since = "" if before is None else f"+{tr.duration(moment - before)}"
        lines.append((f"  {tr(name):<12}{formatting.timestamp(moment)}  {since}", ""))
        before = moment
    return lines


def _section(title: str, text: str, tr: Translations) -> list[StyledLine]:
    return [("", ""), (title, "heading"), *((f"  {line}", "") for line in display_text.clean_lines(text, tr))]


def _failure(task: Task, tr: Translations) -> list[StyledLine]:
    failure = task.failure
    if failure is None:
        return []
    lines: list[StyledLine] = [("", ""), (tr("Error"), "heading")]
    lines += [(f"  {line}", "bad") for line in display_text.clean_lines(f"{failure.type}: {failure.message}", tr)]
    if failure.traceback:
        lines += [("", ""), (tr("Traceback"), "heading")]
        lines += [(f"  {line}", "dim") for line in display_text.clean_lines(failure.traceback, tr)]
    return lines
