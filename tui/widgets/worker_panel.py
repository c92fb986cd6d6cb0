"""The workers of the system, a row each."""

from collections.abc import Hashable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from core import formatting
from core.monitor.delays import Delays
from core.monitor.snapshot import Presence
from tui import commands, display_text
from tui.messages import WorkerSelected
from tui.translations import Translations
from tui.view import Health, View, WorkerRow
from tui.widgets.message_line import MessageLine
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, ListModel, Row, TableColumn

SPARK_SECONDS = 120
SPARK = 10

_PRESENCES = {
    Presence.ONLINE: ("●", "good"),
    Presence.BUSY: ("●", "good"),
    Presence.STALLED: ("▲", "warn"),
    Presence.STARTING: ("◐", "warn"),
    Presence.DRAINING: ("◑", "warn"),
    Presence.TROUBLED: ("▲", "warn"),
    Presence.LOST: ("✖", "bad"),
    Presence.LEFT: ("○", "dim"),
}


def _columns(tr: Translations) -> tuple[TableColumn, ...]:
    return (
        TableColumn(key="name", label=tr("worker"), width=6, grow=1, sortable=False),
        TableColumn(key="state", label=tr("state"), width=9, grow=2, sortable=False),
        TableColumn(key="rate", label=tr("tasks/s"), width=7, right=True, sortable=False),
        TableColumn(key="history", label=tr("2 minutes"), width=SPARK, sortable=False, rank=1),
        TableColumn(key="done", label=tr("done"), width=6, right=True, sortable=False),
        TableColumn(key="failed", label=tr("failed"), width=6, right=True, sortable=False),
        TableColumn(key="hand", label=tr("in hand"), width=7, right=True, sortable=False),
        TableColumn(key="waited", label=tr("waited p50/p95"), width=15, right=True, sortable=False, rank=4),
        TableColumn(key="took", label=tr("took p50/p95"), width=15, right=True, sortable=False),
        TableColumn(key="cpu", label=tr("cpu"), width=5, right=True, sortable=False, rank=2),
        TableColumn(key="memory", label=tr("memory"), width=8, right=True, sortable=False, rank=2),
        TableColumn(key="host", label=tr("host"), width=8, sortable=False, rank=5),
    )


class Workers(Panel):
    """The workers, a row each, and one for all together."""

    BINDINGS: ClassVar = commands.bindings(commands.WORKERS)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(_columns(tr))
        self._note = MessageLine()

    def compose(self) -> ComposeResult:
        """A note for what there is to say; the table."""
        yield self._note
        yield self.table

    def show(self, view: View) -> None:
        """Draw this moment."""
        rows: list[tuple[Hashable, Row]] = [(row.process.number, self._row(row, view.now)) for row in view.workers]
        if len(rows) > 1:
            rows.append(("", self._total(view)))
        self.table.show(ListModel(rows))
        self._note.say("" if rows or view.number <= 0 else self._nothing(view))
        alive = sum(row.process.presence is not Presence.LOST for row in view.workers)
        count = self.tr.count(alive, "{count} worker", "{count} workers")
        servers = sum(row.process.presence is not Presence.LOST for row in view.servers)
        more = self.tr.count(servers, "{count} server", "{count} servers")
        self.titled(self.tr("Workers"), count=f"{count} · {more}")

    def _nothing(self, view: View) -> str:
        if view.light is Health.STARTING:
            return self.tr("The workers are being started.")
        return self.tr("No worker has shown itself. Press u to start the system.")

    def _row(self, row: WorkerRow, now: float) -> Row:
        process, part, delays = row.process, row.part, row.delays
        counters = process.counters
        failed = counters.failed
        return [
            Cell(display_text.clean(process.name, 40)),
            self._state(row, now),
            Cell(formatting.rate(process.rate), "" if process.rate else "dim"),
            Cell(display_text.sparkline(row.history[-SPARK_SECONDS:], SPARK), "accent"),
            Cell(formatting.short(counters.done)),
            Cell(formatting.short(failed), "bad" if failed else "dim"),
            Cell(f"{len(process.in_hand)}/{process.threads}", "" if process.in_hand else "dim"),
            Cell(_waited(delays)),
            Cell(_took(delays)),
            Cell(formatting.processor_share(part.cpu if part else None), "dim"),
            Cell(formatting.memory(part.memory if part else None), "dim"),
            Cell(display_text.clean(process.host, 40), "dim"),
        ]

    def _state(self, row: WorkerRow, now: float) -> Cell:
        process = row.process
        sign, style = _PRESENCES[process.presence]
        told = self.tr(process.presence.value)
        if process.presence is Presence.LOST:
            told = self.tr("lost {span}", span=formatting.compact_duration(now - process.seen_at))
        elif process.presence is Presence.TROUBLED:
            told = display_text.clean("; ".join(process.troubles), 40)
        return Cell(f"{sign} {told}", style)

    def _total(self, view: View) -> Row:
        rows = [row for row in view.workers if row.process.presence is not Presence.LOST]
        sums = [sum(column) for column in zip(*(row.history[-SPARK_SECONDS:] for row in rows), strict=False)]
        processes = [row.process for row in rows]
        parts = [row.part for row in rows if row.part is not None]
        delays = view.delays
        cpu = [part.cpu for part in parts if part.cpu is not None]
        memory = [part.memory for part in parts if part.memory is not None]
        failed = sum(process.counters.failed for process in processes)
        return [
            Cell(self.tr("all"), "dim"),
            Cell(""),
            Cell(formatting.rate(sum(process.rate for process in processes)), "accent"),
            Cell(display_text.sparkline(tuple(sums), SPARK), "accent"),
            Cell(formatting.short(sum(process.counters.done for process in processes)), "dim"),
            Cell(formatting.short(failed), "dim"),
            Cell(f"{sum(len(p.in_hand) for p in processes)}/{sum(p.threads for p in processes)}", "dim"),
            Cell(_waited(delays), "dim"),
            Cell(_took(delays), "dim"),
            Cell(formatting.processor_share(sum(cpu)) if cpu else "", "dim"),
            Cell(formatting.memory(sum(memory)) if memory else "", "dim"),
            Cell(""),
        ]

    @on(Table.Picked)
    def _pick(self, event: Table.Picked) -> None:
        event.stop()
        self.action_pick()

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        event.stop()

    @on(Table.Wanting)
    def _wanting(self, event: Table.Wanting) -> None:
        event.stop()

    def action_pick(self) -> None:
        """Show what this worker has done."""
        row = self.table.model.row(self.table.cursor) if len(self.table.model) else None
        if row is not None:
            name = "" if self.table.cursor_key == "" else row[0].text
            self.post_message(WorkerSelected(name))

    def action_everything(self) -> None:
        """Show the results of all workers."""
        self.post_message(WorkerSelected(""))


def _waited(delays: Delays | None) -> str:
    return (
        f"{formatting.compact_duration(delays.waited_p50)} / {formatting.compact_duration(delays.waited_p95)}"
        if delays
        else ""
    )


def _took(delays: Delays | None) -> str:
    return (
        f"{formatting.compact_duration(delays.took_p50)} / {formatting.compact_duration(delays.took_p95)}"
        if delays
        else ""
    )
