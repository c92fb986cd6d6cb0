"""Tasks as rows of a table: their columns, their cells, and the model that knows the rows in view of millions."""

import contextlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence

from core import formatting
from core.model import State
from core.repository.archive import TaskRow
from core.repository.search import SortColumn as By
from tui import display_text
from tui.translations import Translations
from tui.widgets.table_model import Cell, Row, TableColumn, TableModel

MOST_ROWS = 4000
"""How many rows are kept; the others are read again when they come into view."""

_STATES = {
    State.DONE: ("✓", "good"),
    State.FAILED: ("✖", "bad"),
    State.CANCELLED: ("○", "dim"),
    State.ACCEPTED: ("…", "warn"),
    State.QUEUED: ("…", "warn"),
    State.RETRYING: ("↻", "warn"),
    State.RUNNING: ("▶", "accent"),
}


def result_columns(tr: Translations) -> tuple[TableColumn, ...]:
    """Of everything that has ended."""
    return (
        TableColumn(key=By.ENDED, label=tr("ended"), width=8),
        TableColumn(key=By.STATE, label=tr("state"), width=9),
        TableColumn(key=By.ID, label=tr("task"), width=13, grow=2),
        TableColumn(key=By.KIND, label=tr("kind"), width=9, grow=1),
        TableColumn(key=By.PAYLOAD, label=tr("payload"), width=14, grow=3, rank=3),
        TableColumn(key=By.OUTCOME, label=tr("result"), width=16, grow=4),
        TableColumn(key=By.WORKER, label=tr("worker"), width=6),
        TableColumn(key=By.ATTEMPTS, label=tr("tries"), width=5, right=True, rank=4),
        TableColumn(key=By.WAITED, label=tr("waited"), width=7, right=True, rank=2),
        TableColumn(key=By.TOOK, label=tr("took"), width=7, right=True),
    )


def failed_columns(tr: Translations) -> tuple[TableColumn, ...]:
    """Of everything that has failed: the error has most of the room."""
    return (
        TableColumn(key=By.ENDED, label=tr("ended"), width=8),
        TableColumn(key=By.ID, label=tr("task"), width=13, grow=2),
        TableColumn(key=By.KIND, label=tr("kind"), width=9, grow=1),
        TableColumn(key=By.OUTCOME, label=tr("error"), width=24, grow=6),
        TableColumn(key=By.PAYLOAD, label=tr("payload"), width=14, grow=2, rank=3),
        TableColumn(key=By.WORKER, label=tr("worker"), width=6, rank=1),
        TableColumn(key=By.ATTEMPTS, label=tr("tries"), width=5, right=True),
        TableColumn(key=By.TOOK, label=tr("took"), width=7, right=True, rank=2),
    )


def cells(row: TaskRow, columns: Sequence[TableColumn], tr: Translations) -> Row:
    """The cells of a task, in the order of the columns."""
    return [_cell(row, column.key, tr) for column in columns]


def state_cell(state: State, tr: Translations) -> Cell:
    """A state: by a sign and a word, never by colour alone."""
    sign, style = _STATES[state]
    return Cell(f"{sign} {tr(state.value)}", style)


def _cell(row: TaskRow, column: str, tr: Translations) -> Cell:
    return state_cell(row.state, tr) if column == By.STATE else _CELLS[column](row)


_CELLS: Mapping[str, Callable[[TaskRow], Cell]] = {
    By.ENDED: lambda row: Cell(formatting.time_of_day(row.stored), "dim"),
    By.ID: lambda row: Cell(display_text.clean(row.id, 64)),
    By.KIND: lambda row: Cell(display_text.clean(row.kind, 64), "accent"),
    By.PAYLOAD: lambda row: Cell(display_text.clean(row.payload, 200), "dim"),
    By.OUTCOME: lambda row: Cell(display_text.clean(row.outcome, 200), "bad" if row.state is State.FAILED else ""),
    By.WORKER: lambda row: Cell(display_text.clean(row.worker, 64)),
    By.ATTEMPTS: lambda row: Cell(str(row.attempts), "warn" if row.attempts > 1 else "dim"),
    By.WAITED: lambda row: Cell(formatting.compact_duration(row.waited), "dim"),
    By.TOOK: lambda row: Cell(formatting.compact_duration(row.took)),
}


class TaskModel(TableModel):
    """Tasks by their numbers; the rows of those in view.

    Args:
        columns: of the table.
        tr: translates the texts of the console.
    """

    def __init__(self, columns: Sequence[TableColumn], tr: Translations) -> None:
        self._columns = columns
        self._tr = tr
        self._seqs: array[int] = array("q")
        self._turned = False
        self._rows: OrderedDict[int, tuple[TaskRow, Row]] = OrderedDict()
        self.marks: set[int] = set()

    # What a feed has found.

    def listed(self, seqs: "array[int]", rows: Mapping[int, TaskRow], *, turned: bool) -> None:
        """Show other tasks; when `turned`, the last number is the first row."""
        self._seqs = seqs
        self._turned = turned
        self.read(rows)

    def grown(self, cut: int, seqs: "array[int]", rows: Mapping[int, TaskRow]) -> int:
        """The last `cut` numbers are replaced by others; how many more there are now."""
        before = len(self._seqs)
        del self._seqs[max(0, before - cut) :]
        self._seqs.extend(seqs)
        self.read(rows)
        return len(self._seqs) - before

    def read(self, rows: Mapping[int, TaskRow]) -> bool:
        """Take in rows; whether any is new or has changed."""
        changed = False
        for seq, row in rows.items():
            known = self._rows.get(seq)
            if known is None or known[0] != row:
                self._rows[seq] = (row, cells(row, self._columns, self._tr))
                changed = True
            self._rows.move_to_end(seq)
        while len(self._rows) > MOST_ROWS:
            self._rows.popitem(last=False)
        return changed

    def unread(self, first: int, end: int) -> bool:
        """Whether a row of these places is not known."""
        return any(self.key(place) not in self._rows for place in range(first, min(end, len(self))))

    def seqs(self, first: int, end: int) -> list[int]:
        """The numbers of the tasks of these places."""
        return [self.key(place) for place in range(max(0, first), min(end, len(self)))]

    @property
    def all_seqs(self) -> "array[int]":
        """The numbers of all tasks, in no order that matters."""
        return self._seqs

    def task(self, seq: int) -> TaskRow | None:
        """The row of a task, when it is known."""
        found = self._rows.get(seq)
        return found[0] if found else None

    # The table's questions.

    def __len__(self) -> int:
        return len(self._seqs)

    def key(self, place: int) -> int:
        """The number of the task."""
        return self._seqs[-1 - place] if self._turned else self._seqs[place]

    def place(self, key: Hashable) -> int | None:
        """Where a task stands: looked for near both ends only, since a list may be very long."""
        if not isinstance(key, int):
            return None
        size, reach = len(self._seqs), 20_000
        ends = [(0, reach), (max(reach, size - reach), size)]
        for first, end in reversed(ends) if self._turned else ends:
            with contextlib.suppress(ValueError):
                found = self._seqs.index(key, first, end)
                return size - 1 - found if self._turned else found
        return None

    def row(self, place: int) -> Row | None:
        """The cells of a task."""
        found = self._rows.get(self.key(place))
        return found[1] if found else None

    def marked(self, place: int) -> bool:
        """Whether a person has marked it."""
        return bool(self.marks) and self.key(place) in self.marks
