"""The processes of this machine, a row each, and what can be done with them."""

from collections.abc import Hashable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from core import formatting
from core.supervisor.plan import ProcessKind
from core.supervisor.status import UnitState, UnitStatus
from tui import commands, display_text
from tui.messages import LogsRequested, NotificationRequested, OperationRequested, ScaleRequested
from tui.system_control import Operation
from tui.translations import Translations
from tui.view import View
from tui.widgets.message_line import MessageLine
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, ListModel, Row, TableColumn

_STATES = {
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
    """The processes, a row each.

    Args:
        tr: translates the texts of the console.
        id: of the widget.
    """

    BINDINGS: ClassVar = commands.bindings(commands.PROCESSES)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(_columns(tr))
        self._note = MessageLine()
        self.view = View()

    def compose(self) -> ComposeResult:
        """A note for what there is to say; the table."""
        yield self._note
        yield self.table

    def show(self, view: View) -> None:
        """Draw this moment."""
        self.view = view
        report = view.report
        rows: list[tuple[Hashable, Row]] = []
        if report is not None:
            rows = [(part.name, self._row(part, view.now)) for part in report.processes]
        self.table.show(ListModel(rows))
        self._note.say(self._say(view))
        count = self.tr.count(len(rows), "{count} process", "{count} processes")
        where = f" · {report.listen}" if report is not None and report.listen else ""
        pid = self.tr(" · supervisor {pid}", pid=report.pid) if report is not None else ""
        self.titled(self.tr("Processes"), count=f"{count}{where}{pid}")

    def _say(self, view: View) -> str:
        if view.report is not None:
            return "\n".join(display_text.clean(remark, 300) for remark in view.report.remarks)
        if view.supervisor_trouble:
            return display_text.clean(view.supervisor_trouble)
        if view.alive:
            return self.tr("The system was started by others: no supervisor of this directory runs it.")
        return self.tr("Nothing runs here. Press u to start the system.")

    def _row(self, part: UnitStatus, now: float) -> Row:
        sign, style = _STATES[part.state]
        told = self.tr(part.state.value)
        if part.kill_in is not None:
            told = self.tr("killed in {span}", span=formatting.compact_duration(part.kill_in))
        return [
            Cell(display_text.clean(part.name, 40)),
            Cell(f"{sign} {told}", style),
            Cell("" if part.pid is None else str(part.pid), "dim"),
            Cell(part.address),
            Cell("" if part.started_at is None else formatting.compact_duration(now - part.started_at)),
            Cell(str(part.restarts or ""), "warn"),
            Cell(formatting.processor_share(part.cpu)),
            Cell(formatting.memory(part.memory)),
            Cell(display_text.clean(part.note, 200), "warn" if part.state is not UnitState.STOPPED else "dim"),
        ]

    @property
    def chosen(self) -> UnitStatus | None:
        """The process that the cursor is on."""
        key = self.table.cursor_key
        report = self.view.report
        return next((part for part in report.processes if part.name == key), None) if report else None

    @on(Table.Picked)
    def _pick(self, event: Table.Picked) -> None:
        event.stop()
        self.action_pick()

    @on(Table.Moved)
    @on(Table.Wanting)
    def _passed_by(self, event: Table.Moved | Table.Wanting) -> None:
        event.stop()

    # What the commands do.

    def action_pick(self) -> None:
        """Read the log of this process."""
        part = self.chosen
        if part is not None:
            self.post_message(LogsRequested([part.name]))

    def action_everything(self) -> None:
        """Read all logs together."""
        self.post_message(LogsRequested(None))

    def action_operate(self, what: Operation) -> None:
        """Have the process started, stopped, restarted or killed."""
        part = self.chosen
        if part is None:
            self.post_message(NotificationRequested(self.tr("There is no process here."), trouble=True))
        else:
            self.post_message(OperationRequested(what, [part.name]))

    def action_operate_all(self, what: Operation) -> None:
        """Have all processes started, or stopped."""
        self.post_message(OperationRequested(what, ["all"]))

    def action_scale(self, more: int) -> None:
        """Run one more of these, or one fewer."""
        part, report = self.chosen, self.view.report
        if part is None or report is None or part.kind not in {ProcessKind.SERVER, ProcessKind.WORKER}:
            self.post_message(
                NotificationRequested(self.tr("Only servers and workers can be more or fewer."), trouble=True)
            )
            return
        count = max(0, sum(each.kind is part.kind for each in report.processes) + more)
        if part.kind is ProcessKind.SERVER:
            self.post_message(ScaleRequested(servers=count))
        else:
            self.post_message(ScaleRequested(workers=count))
