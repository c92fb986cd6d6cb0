"""Everything about one task: its way hop by hop, its payload, and what came of it."""

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
from tui.messages import CopyRequested
from tui.translations import Translations
from tui.widgets.search_input import SearchInput
from tui.widgets.text_view import Line, TextView

HOPS = ("sent", "received", "accepted", "queued", "taken", "started", "finished", "stored")


class TaskDetail(ModalScreen[None]):
    """The sheet. There is one, which is written anew for each task: to make one would take longer than to draw it.

    Args:
        tr: translates the texts of the console.
    """

    NAME = "task"
    """By which it is kept in the app."""

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
        self._subject: Task | None = None
        self._text = TextView(id="text")
        self._search = SearchInput(tr, self._text)
        self._sheet = Vertical(classes="sheet")

    def compose(self) -> ComposeResult:
        """The text, and the keys."""
        with self._sheet:
            yield self._search
            yield self._text
            yield Static(
                self.tr("escape close   y copy   w wrap or cut lines   s search   ↑↓ scroll"),
                classes="hint",
                markup=False,
            )

    def on_mount(self) -> None:
        """Write what came before there was a place for it."""
        self._write()

    def on_screen_resume(self) -> None:
        """Have the keys go to the text."""
        self._text.focus()

    def show(self, task: Task) -> None:
        """Write about this task, from the beginning: whatever was searched for in the one before is forgotten."""
        self._subject = task
        if self.is_mounted:
            self._search.forget()
            self._write()

    def _write(self) -> None:
        if self._subject is not None:
            self._sheet.border_title = Content(self.tr("Task {id}", id=display_text.clean(self._subject.id, 64)))
            self._sheet.border_subtitle = None
            self._text.show(lines(self._subject, self.tr))

    def action_close(self) -> None:
        """End the search; without one, go back."""
        if self._search.searching:
            self._search.end()
        else:
            self.dismiss()

    def action_wrap(self) -> None:
        """Break long lines, or cut them."""
        self._text.set_wrap(not self._text.wrap)

    def action_search(self) -> None:
        """Ask what the text is searched for."""
        self._search.begin()

    def action_next_hit(self) -> None:
        """Go to the next hit."""
        self._search.step(forward=True)

    def action_previous_hit(self) -> None:
        """Go to the hit before."""
        self._search.step(forward=False)

    @on(SearchInput.Searched)
    def _searched(self) -> None:
        self._sheet.border_subtitle = Content(self._search.told)

    def action_copy(self) -> None:
        """Copy everything that is written here."""
        text = "\n".join(text for text, _ in self._text.lines)
        self.app.post_message(CopyRequested(text, self.tr("the task")))


def lines(task: Task, tr: Translations) -> list[Line]:
    """The text about a task."""
    return [
        *_summary(task, tr),
        *_way(task, tr),
        *_part(tr("Payload"), display_text.pretty(task.payload)),
        *(_part(tr("Result"), display_text.pretty(task.result)) if task.result is not None else []),
        *_failure(task, tr),
    ]


def _summary(task: Task, tr: Translations) -> list[Line]:
    style = {"done": "good", "failed": "bad"}.get(task.state.value, "warn")
    told = [
        (f"{tr('state'):<12}{tr(task.state.value)}", style),
        (f"{tr('kind'):<12}{display_text.clean(task.kind)}", ""),
        (f"{tr('worker'):<12}{display_text.clean(task.worker or '-')}", ""),
        (f"{tr('tries'):<12}{task.attempts}", ""),
    ]
    if task.retries is not None:
        told.append((f"{tr('retries'):<12}{task.retries}", ""))
    if task.strikes:
        told.append((tr("Its worker died {count} times while it ran.", count=task.strikes), "bad"))
    if task.due_at:
        told.append((f"{tr('due'):<12}{formatting.timestamp(task.due_at)}", "warn"))
    return told


def _way(task: Task, tr: Translations) -> list[Line]:
    told: list[Line] = [("", ""), (tr("Way"), "heading")]
    before: float | None = None
    for name in HOPS:
        moment: float | None = getattr(task.times, name)
        if moment is None:
            continue
        since = "" if before is None else f"+{formatting.compact_duration(moment - before)}"
        told.append((f"  {tr(name):<12}{formatting.timestamp(moment)}  {since}", ""))
        before = moment
    return told


def _part(title: str, text: str) -> list[Line]:
    return [("", ""), (title, "heading"), *((f"  {line}", "") for line in display_text.clean_lines(text))]


def _failure(task: Task, tr: Translations) -> list[Line]:
    failure = task.failure
    if failure is None:
        return []
    told: list[Line] = [("", ""), (tr("Error"), "heading")]
    told += [(f"  {line}", "bad") for line in display_text.clean_lines(f"{failure.type}: {failure.message}")]
    if failure.traceback:
        told += [("", ""), (tr("Traceback"), "heading")]
        told += [(f"  {line}", "dim") for line in display_text.clean_lines(failure.traceback)]
    return told
