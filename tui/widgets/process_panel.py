"""The processes that the supervisor runs, a row each, and the commands that start and stop them."""

from collections.abc import Hashable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from core import formatting
from core.supervisor.plan import ProcessKind
from core.supervisor.status import UnitState, UnitStatus
from tui import commands, core_texts, display_text
from tui.messages import LogsRequested, NotificationRequested, OperationRequested, ScaleRequested
from tui.system_control import Operation
from tui.translations import Translations
from tui.view import View
from tui.widgets.message_line import MessageLine
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, Cells, ListModel, TableColumn

_SIGNS = {
    UnitState.READY: ("●", "good"),
    UnitState.WAITING: ("○", "dim"),
    UnitState.STARTING: ("◐", "warn"),
    UnitState.RESTARTING: ("↻", "warn"),
    UnitState.TROUBLED: ("▲", "warn"),
    UnitState.STOPPING: ("◑", "warn"),
    UnitState.STOPPED: ("○", "dim"),
    UnitState.CRASHED: ("✖", "bad"),
}


def _columns(tr: Translations) -> tuple[TableColumn, ...]:
    return (
        TableColumn(key="name", label=tr("process"), width=10, grow=1, sortable=False),
        TableColumn(key="state", label=tr("state"), width=12, grow=1, sortable=False),
        TableColumn(key="pid", label=tr("pid"), width=7, right=True, sortable=False),
        TableColumn(key="address", label=tr("address"), width=15, sortable=False),
        TableColumn(key="up", label=tr("up"), width=7, right=True, sortable=False),
        TableColumn(key="restarts", label=tr("restarts"), width=8, right=True, sortable=False, rank=1),
        TableColumn(key="cpu", label=tr("cpu"), width=5, right=True, sortable=False),
        TableColumn(key="memory", label=tr("memory"), width=8, right=True, sortable=False, rank=2),
        TableColumn(key="note", label=tr("note"), width=10, grow=5, sortable=False, rank=3),
    )


class ProcessPanel(Panel):
    """A panel with a row for each process.

    Args:
        tr: translates the texts of the console.
        id: the id of the widget.
    """

    BINDINGS: ClassVar = commands.bindings(commands.PROCESSES)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(_columns(tr))
        self._note = MessageLine()
        self.view = View()

    def compose(self) -> ComposeResult:
        """Compose a note and the table."""
        yield self._note
        yield self.table

    def show(self, view: View) -> None:
        """Show the processes of a view."""
        self.view = view
        report = view.report
        rows: list[tuple[Hashable, Cells]] = []
        if report is not None:
            rows = [(unit.name, self._cells(unit, view.now)) for unit in report.processes]
        self.table.show(ListModel(rows))
        self._note.show_text(self._note_text(view))
        count = self.tr.count(len(rows), "{count} process", "{count} processes")
        address = f" · {report.listen}" if report is not None and report.listen else ""
        pid = self.tr(" · supervisor {pid}", pid=report.pid) if report is not None else ""
        self.set_title(self.tr("Processes"), subtitle=f"{count}{address}{pid}")

    def _note_text(self, view: View) -> str:
        if view.report is not None:
            remarks = (core_texts.translate(remark, self.tr) for remark in view.report.remarks)
            return "\n".join(display_text.clean(remark, 300) for remark in remarks)
        if view.troubles_seen:
            return display_text.clean(core_texts.describe(view.troubles_seen[0], self.tr))
        if view.alive:
            return self.tr("No supervisor runs here, but parts of the system do. Press {key:app.up} to start one.")
        return self.tr("Nothing runs here. Press {key:app.up} to start the system.")

    def _cells(self, unit: UnitStatus, now: float) -> Cells:
        sign, style = _SIGNS[unit.state]
        text = self.tr(unit.state.value)
        note = core_texts.translate(unit.note, self.tr)
        if unit.kill_in is not None:
            span = self.tr.duration(unit.kill_in)
            text = self.tr("killed in {span}", span=span)
        return [
            Cell(display_text.clean(unit.name, 40)),
            Cell(f"{sign} {text}", style),
            Cell("" if unit.pid is None else str(unit.pid), "dim"),
            Cell(unit.address),
            Cell("" if unit.started_at is None else self.tr.duration(now - unit.started_at)),
            Cell(str(unit.restarts or ""), "warn"),
            Cell(formatting.processor_share(unit.cpu)),
            Cell(self.tr.number(formatting.memory(unit.memory))),
            Cell(display_text.clean(note, 200), "warn" if unit.state is not UnitState.STOPPED else "dim"),
        ]

    @property
    def selected(self) -> UnitStatus | None:
        """The process under the cursor."""
        key = self.table.cursor_key
        report = self.view.report
        return next((unit for unit in report.processes if unit.name == key), None) if report else None

    @on(Table.RowSelected)
    def _row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.action_show_log()

    @on(Table.RowHighlighted)
    @on(Table.ViewportChanged)
    def _ignore(self, event: Table.RowHighlighted | Table.ViewportChanged) -> None:
        event.stop()

    # Actions of the commands.

    def action_show_log(self) -> None:
        """Show the log of this process."""
        unit = self.selected
        if unit is not None:
            self.post_message(LogsRequested([unit.name]))

    def action_show_all_logs(self) -> None:
        """Show the logs of all processes."""
        self.post_message(LogsRequested(None))

    def action_operate(self, operation: Operation) -> None:
        """Start, stop, restart or kill the process."""
        unit = self.selected
        if unit is None:
            self.post_message(NotificationRequested(self.tr("No process is selected."), trouble=True))
        else:
            self.post_message(OperationRequested(operation, [unit.name]))

    def action_operate_all(self, operation: Operation) -> None:
        """Start or stop all processes."""
        self.post_message(OperationRequested(operation, ["all"]))

    def action_scale(self, change: int) -> None:
        """Run `change` more processes of this kind, or fewer when it is negative."""
        unit, report = self.selected, self.view.report
        if unit is None or report is None or unit.kind not in {ProcessKind.SERVER, ProcessKind.WORKER}:
            self.post_message(NotificationRequested(self.tr("Only servers and workers can be scaled."), trouble=True))
            return
        count = max(0, sum(other.kind is unit.kind for other in report.processes) + change)
        if unit.kind is ProcessKind.SERVER:
            self.post_message(ScaleRequested(servers=count))
        else:
            self.post_message(ScaleRequested(workers=count))
