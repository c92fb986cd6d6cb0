"""What was submitted in this console, and what has become of it."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from core import formatting
from core.model import State
from core.repository.archive import TaskRow
from tui import commands, display_text
from tui.messages import DetailRequested
from tui.submission_events import SubmissionAccepted
from tui.translations import Translations
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, ListModel, Row, TableColumn
from tui.widgets.task_rows import state_cell

MOST_KEPT = 200
"""How many submissions are kept in view."""


class SubmissionHistory(Panel):
    """What was submitted here, and what has become of it."""

    BINDINGS: ClassVar = commands.bindings(commands.HISTORY)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(
            (
                TableColumn(key="at", label=tr("at"), width=8, sortable=False),
                TableColumn(key="kind", label=tr("kind"), width=9, grow=1, sortable=False),
                TableColumn(key="payload", label=tr("payload"), width=12, grow=3, sortable=False, rank=2),
                TableColumn(key="answer", label=tr("answered in"), width=11, right=True, sortable=False),
                TableColumn(key="state", label=tr("state"), width=11, sortable=False),
                TableColumn(key="result", label=tr("result"), width=14, grow=4, sortable=False),
                TableColumn(key="id", label=tr("task"), width=12, grow=2, sortable=False, rank=1),
            )
        )
        self._sent: OrderedDict[str, SubmissionAccepted] = OrderedDict()
        self._rows: dict[str, TaskRow] = {}

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    def on_mount(self) -> None:
        """Say what it is."""
        self._show()

    @property
    def ids(self) -> list[str]:
        """Of the tasks that are kept in view."""
        return list(self._sent)

    @property
    def chosen(self) -> SubmissionAccepted | None:
        """The submission that the cursor is on."""
        key = self.table.cursor_key
        return self._sent.get(key) if isinstance(key, str) else None

    @property
    def chosen_row(self) -> TaskRow | None:
        """What is known of it."""
        chosen = self.chosen
        return self._rows.get(chosen.submitted.id) if chosen else None

    def add(self, accepted: SubmissionAccepted) -> None:
        """Keep a submission."""
        self._sent[accepted.submitted.id] = accepted
        self._sent.move_to_end(accepted.submitted.id)
        while len(self._sent) > MOST_KEPT:
            gone, _ = self._sent.popitem(last=False)
            self._rows.pop(gone, None)
        self._show(to_top=True)

    def read(self, rows: Mapping[str, TaskRow]) -> None:
        """Take in what has become of them."""
        known = {task_id: row for task_id, row in rows.items() if task_id in self._sent}
        if any(self._rows.get(task_id) != row for task_id, row in known.items()):
            self._rows.update(known)
            self._show()

    def _show(self, *, to_top: bool = False) -> None:
        rows: list[tuple[Hashable, Row]] = [(key, self._row(each)) for key, each in reversed(self._sent.items())]
        self.table.show(ListModel(rows))
        if to_top:
            self.table.go_to(0)
        ended = sum(row.state.ended for row in self._rows.values())
        count = self.tr("{ended} of {count} have ended", ended=ended, count=len(rows)) if rows else ""
        self.titled(self.tr("Submitted from here"), count=count)

    def _row(self, each: SubmissionAccepted) -> Row:
        row = self._rows.get(each.submitted.id)
        state = row.state if row is not None else each.submitted.state
        outcome = display_text.clean(row.outcome, 200) if row is not None else ""
        text = each.task.payload if isinstance(each.task.payload, str) else display_text.as_json(each.task.payload)
        return [
            Cell(formatting.time_of_day(each.at), "dim"),
            Cell(display_text.clean(each.task.kind or "simulate", 40), "accent"),
            Cell(display_text.clean(text, 200), "dim"),
            Cell(formatting.compact_duration(each.submitted.seconds)),
            state_cell(state, self.tr),
            Cell(outcome, "bad" if state is State.FAILED else ""),
            Cell(display_text.clean(each.submitted.id, 64), "dim"),
        ]

    @on(Table.Moved)
    @on(Table.Wanting)
    def _passed_by(self, event: Table.Moved | Table.Wanting) -> None:
        event.stop()

    @on(Table.Picked)
    def _pick(self, event: Table.Picked) -> None:
        event.stop()
        self.action_pick()

    def action_pick(self) -> None:
        """Show everything about the task."""
        row = self.chosen_row
        if row is not None:
            self.post_message(DetailRequested(row.seq))
