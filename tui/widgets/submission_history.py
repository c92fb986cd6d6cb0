"""The tasks that were submitted in this console, and their outcomes."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from core import formatting
from core.repository.archive import TaskRow
from core.task_state import RunningTasks
from core.tasks.builtin import DEFAULT_KIND
from tui import commands, display_text
from tui.messages import DetailRequested
from tui.submission_events import SubmissionAccepted
from tui.translations import Translations
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, Cells, ListModel, TableColumn
from tui.widgets.task_rows import outcome_cell, present_row, state_cell

MAX_SUBMISSIONS = 200
"""The number of submissions that are listed; older ones are dropped."""


class SubmissionHistory(Panel):
    """A panel of the tasks submitted in this console, and their outcomes."""

    BINDINGS: ClassVar = commands.bindings(commands.HISTORY)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(
            (
                TableColumn(key="at", label=tr("at"), width=8, sortable=False),
                TableColumn(key="kind", label=tr("kind"), width=9, grow=1, sortable=False),
                TableColumn(key="payload", label=tr("payload"), width=12, grow=3, sortable=False, rank=1),
                TableColumn(key="answer", label=tr("reply time"), width=11, right=True, sortable=False),
                TableColumn(key="state", label=tr("state"), width=11, sortable=False),
                TableColumn(key="result", label=tr("result"), width=20, grow=4, sortable=False),
                TableColumn(key="id", label=tr("task"), width=12, grow=1, sortable=False, rank=2, keeps_end=True),
            )
        )
        self._submissions: OrderedDict[str, SubmissionAccepted] = OrderedDict()
        self._rows: dict[str, TaskRow] = {}
        self._running_here: RunningTasks = {}

    def compose(self) -> ComposeResult:
        """Compose the table."""
        yield self.table

    def on_mount(self) -> None:
        """Show the title."""
        self._update()

    @property
    def ids(self) -> list[str]:
        """The ids of the tasks that are listed."""
        return list(self._submissions)

    @property
    def selected(self) -> SubmissionAccepted | None:
        """The submission under the cursor."""
        key = self.table.cursor_key
        return self._submissions.get(key) if isinstance(key, str) else None

    @property
    def selected_row(self) -> TaskRow | None:
        """The task under the cursor as the journal has it, or None when it is not known yet."""
        selected = self.selected
        return self._rows.get(selected.submitted.id) if selected else None

    def add(self, accepted: SubmissionAccepted) -> None:
        """List a submission at the top."""
        self._submissions[accepted.submitted.id] = accepted
        self._submissions.move_to_end(accepted.submitted.id)
        while len(self._submissions) > MAX_SUBMISSIONS:
            oldest, _ = self._submissions.popitem(last=False)
            self._rows.pop(oldest, None)
        self._update(to_top=True)

    def update_rows(self, rows: Mapping[str, TaskRow]) -> None:
        """Show tasks as the journal has them now."""
        known = {task_id: row for task_id, row in rows.items() if task_id in self._submissions}
        if any(self._rows.get(task_id) != row for task_id, row in known.items()):
            self._rows.update(known)
            self._update()

    def show_running(self, running: RunningTasks) -> None:
        """Show these tasks as running."""
        mine = {task_id: running[task_id] for task_id in self._submissions if task_id in running}
        if mine != self._running_here:
            self._running_here = mine
            self._update()

    def _update(self, *, to_top: bool = False) -> None:
        rows: list[tuple[Hashable, Cells]] = [
            (key, self._cells(sent)) for key, sent in reversed(self._submissions.items())
        ]
        self.table.show(ListModel(rows))
        if to_top:
            self.table.move_cursor(0)
        ended = sum(row.state.ended for row in self._rows.values())
        count = self.tr("{ended} of {count} have ended", ended=ended, count=len(rows)) if rows else ""
        self.set_title(self.tr("Submitted here"), subtitle=count)

    def _cells(self, sent: SubmissionAccepted) -> Cells:
        row = self._rows.get(sent.submitted.id)
        present = None if row is None else present_row(row, self._running_here)
        state = sent.submitted.state if present is None else present.state
        outcome = Cell("") if present is None else outcome_cell(present, self.tr)
        text = sent.task.payload if isinstance(sent.task.payload, str) else display_text.as_json(sent.task.payload)
        return [
            Cell(formatting.time_of_day(sent.at), "dim"),
            Cell(display_text.clean(sent.task.kind or DEFAULT_KIND, 40), "accent"),
            Cell(display_text.clean(text, 200), "dim"),
            Cell(self.tr.duration(sent.submitted.seconds)),
            state_cell(state, self.tr),
            outcome,
            Cell(display_text.clean(sent.submitted.id, 64), "dim"),
        ]

    @on(Table.RowHighlighted)
    @on(Table.ViewportChanged)
    def _ignore(self, event: Table.RowHighlighted | Table.ViewportChanged) -> None:
        event.stop()

    @on(Table.RowSelected)
    def _row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.action_show_details()

    def action_show_details(self) -> None:
        """Show all details of the task."""
        row = self.selected_row
        if row is not None:
            self.post_message(DetailRequested(row.seq))
