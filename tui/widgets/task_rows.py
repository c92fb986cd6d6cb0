"""Tasks as rows of a table: their columns, their cells, and a model that holds a few rows of millions of tasks."""

import contextlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence

from msgspec.structs import replace

from core import formatting
from core.model import State
from core.repository.archive import TaskRow
from core.repository.search import SortColumn
from core.task_state import RunningTasks, task_state
from tui import core_texts, display_text
from tui.translations import Translations
from tui.widgets.table_model import Cell, Cells, TableColumn, TableModel

MAX_ROWS = 4000
"""Rows that are kept; the others are read again when they come into view."""

_STATES = {
    State.DONE: ("✓", "good"),
    State.FAILED: ("✖", "bad"),
    State.CANCELLED: ("○", "dim"),
    State.ACCEPTED: ("…", "warn"),
    State.QUEUED: ("…", "warn"),
    State.RETRYING: ("↻", "warn"),
    State.RUNNING: ("▶", "accent"),
    State.CANCELLING: ("◌", "warn"),
}


def result_columns(tr: Translations) -> tuple[TableColumn, ...]:
    """Return the columns of the results."""
    return (
        TableColumn(key=SortColumn.ENDED, label=tr("ended"), width=8),
        TableColumn(key=SortColumn.STATE, label=tr("state"), width=9),
        TableColumn(key=SortColumn.ID, label=tr("task"), width=13, grow=1, keeps_end=True),
        TableColumn(key=SortColumn.KIND, label=tr("kind"), width=9, grow=1, rank=1),
        TableColumn(key=SortColumn.PAYLOAD, label=tr("payload"), width=10, grow=3, rank=3),
        TableColumn(key=SortColumn.OUTCOME, label=tr("result"), width=28, grow=6),
        TableColumn(key=SortColumn.WORKER, label=tr("worker|heading"), width=6),
        TableColumn(key=SortColumn.ATTEMPTS, label=tr("tries"), width=5, right=True, rank=4),
        TableColumn(key=SortColumn.WAITED, label=tr("waited"), width=7, right=True, rank=2),
        TableColumn(key=SortColumn.TOOK, label=tr("took"), width=7, right=True),
    )


def failed_columns(tr: Translations) -> tuple[TableColumn, ...]:
    """Return the columns of the failed tasks, where the error is the widest."""
    return (
        TableColumn(key=SortColumn.ENDED, label=tr("ended"), width=8),
        TableColumn(key=SortColumn.ID, label=tr("task"), width=13, grow=1, keeps_end=True),
        TableColumn(key=SortColumn.KIND, label=tr("kind"), width=9, grow=1),
        TableColumn(key=SortColumn.OUTCOME, label=tr("error"), width=36, grow=6),
        TableColumn(key=SortColumn.PAYLOAD, label=tr("payload"), width=10, grow=1, rank=3),
        TableColumn(key=SortColumn.WORKER, label=tr("worker|heading"), width=6, rank=1),
        TableColumn(key=SortColumn.ATTEMPTS, label=tr("tries"), width=5, right=True),
        TableColumn(key=SortColumn.TOOK, label=tr("took"), width=7, right=True, rank=2),
    )


def task_cells(row: TaskRow, columns: Sequence[TableColumn], tr: Translations) -> Cells:
    """Return the cells of a task, in the order of the columns."""
    return [_cell(row, column.key, tr) for column in columns]


def present_row(row: TaskRow, running: RunningTasks) -> TaskRow:
    """Return a row with the state of the task at this moment: a running task is stored as queued.

    In the place of its outcome it has how far it is.
    """
    state = task_state(row, running)
    outcome = row.outcome if state.running is None else display_text.progress(state.running)
    return replace(row, state=state.state, worker=state.worker, attempts=state.attempt, outcome=outcome)


def state_cell(state: State, tr: Translations) -> Cell:
    """Return the cell of a state: a sign and a word, never colour alone."""
    sign, style = _STATES[state]
    return Cell(f"{sign} {tr(state.value)}", style)


def outcome_cell(row: TaskRow, tr: Translations) -> Cell:
    """Return the cell of a result or an error."""
    if row.state is State.FAILED:
        return Cell(display_text.clean(core_texts.describe_failure(row.outcome, tr), 200), "bad")
    return Cell(display_text.clean(row.outcome, 200))


def _cell(row: TaskRow, column: str, tr: Translations) -> Cell:
    return state_cell(row.state, tr) if column == SortColumn.STATE else _CELLS[column](row, tr)


_CELLS: Mapping[str, Callable[[TaskRow, Translations], Cell]] = {
    SortColumn.ENDED: lambda row, _: Cell(formatting.time_of_day(row.stored), "dim"),
    SortColumn.ID: lambda row, _: Cell(display_text.clean(row.id, 64)),
    SortColumn.KIND: lambda row, _: Cell(display_text.clean(row.kind, 64), "accent"),
    SortColumn.PAYLOAD: lambda row, _: Cell(display_text.clean(row.payload, 200), "dim"),
    SortColumn.OUTCOME: lambda row, tr: outcome_cell(row, tr),
    SortColumn.WORKER: lambda row, _: Cell(display_text.clean(row.worker, 64)),
    SortColumn.ATTEMPTS: lambda row, _: Cell(str(row.attempts), "warn" if row.attempts > 1 else "dim"),
    SortColumn.WAITED: lambda row, tr: Cell(tr.duration(row.waited), "dim"),
    SortColumn.TOOK: lambda row, tr: Cell(tr.duration(row.took)),
}


class TaskModel(TableModel):
    """The numbers of all tasks of a list, and the rows of those that were read.

    Args:
        columns: the columns of the table.
        tr: translates the texts of the console.
    """

    def __init__(self, columns: Sequence[TableColumn], tr: Translations) -> None:
        self._columns = columns
        self._tr = tr
        self._seqs: array[int] = array("q")
        self._is_reversed = False
        self._rows: OrderedDict[int, tuple[TaskRow, Cells]] = OrderedDict()
        self._running: RunningTasks = {}
        self.marks: set[int] = set()

    # What the feed reports.

    def replace_all(self, seqs: "array[int]", rows: Mapping[int, TaskRow], *, is_reversed: bool) -> None:
        """List other tasks. In a reversed list the last number is the first row."""
        self._seqs = seqs
        self._is_reversed = is_reversed
        self.store_rows(rows)

    def append(self, seqs: "array[int]", rows: Mapping[int, TaskRow]) -> None:
        """Add tasks at the end: in a reversed list they become the first rows."""
        self._seqs.extend(seqs)
        self.store_rows(rows)

    def store_rows(self, rows: Mapping[int, TaskRow]) -> bool:
        """Keep rows that were read. Returns whether any of them is new or has changed."""
        changed = False
        for seq, row in rows.items():
            known = self._rows.get(seq)
            if known is None or known[0] != row:
                self._rows[seq] = (row, self._cells_of(row))
                changed = True
            self._rows.move_to_end(seq)
        while len(self._rows) > MAX_ROWS:
            self._rows.popitem(last=False)
        return changed

    def show_running(self, running: RunningTasks) -> bool:
        """Show these tasks as running. Returns whether any row has changed."""
        if running == self._running:
            return False
        self._running = running
        changed = False
        for seq, (row, cells) in self._rows.items():
            if not row.state.ended and (present := self._cells_of(row)) != cells:
                self._rows[seq] = (row, present)
                changed = True
        return changed

    def _cells_of(self, row: TaskRow) -> Cells:
        return task_cells(present_row(row, self._running), self._columns, self._tr)

    def seqs_between(self, first: int, end: int) -> list[int]:
        """Return the numbers of the tasks from `first` up to `end`, as far as there are any."""
        return [self.key(index) for index in range(max(0, first), min(end, len(self)))]

    @property
    def all_seqs(self) -> "array[int]":
        """The numbers of all tasks; their order has no meaning."""
        return self._seqs

    def task_row(self, seq: int) -> TaskRow | None:
        """Return the row of a task, or None when it is not known."""
        known = self._rows.get(seq)
        return known[0] if known else None

    # What the table asks.

    def __len__(self) -> int:
        return len(self._seqs)

    def key(self, index: int) -> int:
        """Return the number of a task."""
        return self._seqs[-1 - index] if self._is_reversed else self._seqs[index]

    def index_of(self, key: Hashable) -> int | None:
        """Return the index of a task. Both ends are searched first, because a list may be very long."""
        if not isinstance(key, int):
            return None
        size, reach = len(self._seqs), 20_000
        after = max(reach, size - reach)
        ends = [(0, reach), (after, size)]
        for first, end in (*(reversed(ends) if self._is_reversed else ends), (reach, after)):
            with contextlib.suppress(ValueError):
                found = self._seqs.index(key, first, end)
                return size - 1 - found if self._is_reversed else found
        return None

    def cells(self, index: int) -> Cells | None:
        """Return the cells of a task, or None when they are not known yet."""
        known = self._rows.get(self.key(index))
        return known[1] if known else None

    def is_marked(self, index: int) -> bool:
        """Return whether the user has marked the task."""
        return bool(self.marks) and self.key(index) in self.marks
