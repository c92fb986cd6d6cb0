"""The workers of the system, a row each."""

from collections.abc import Hashable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from core import formatting
from core.monitor.delays import Delays
from core.monitor.snapshot import Presence, ProcessView
from tui import commands, core_texts, display_text
from tui.messages import WorkerSelected
from tui.translations import Translations
from tui.view import Health, View, WorkerRow
from tui.widgets.message_line import MessageLine
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.table_model import Cell, Cells, ListModel, TableColumn

SPARKLINE_SECONDS = 120
SPARKLINE_WIDTH = 9
_ALL = ""
"""The key of the row of all workers together."""

_SIGNS = {
    Presence.ONLINE: ("●", "good"),
    Presence.BUSY: ("●", "good"),
    Presence.STARTING: ("◐", "warn"),
    Presence.DRAINING: ("◑", "warn"),
    Presence.TROUBLED: ("▲", "warn"),
    Presence.UNKNOWN: ("?", "warn"),
    Presence.LOST: ("✖", "bad"),
    Presence.LEFT: ("○", "dim"),
}


def _columns(tr: Translations) -> tuple[TableColumn, ...]:
    return (
        TableColumn(key="name", label=tr("worker|heading"), width=9, grow=4, sortable=False, keeps_end=True),
        TableColumn(key="state", label=tr("state"), width=9, grow=2, sortable=False),
        TableColumn(key="rate", label=tr("tasks/s"), width=7, right=True, sortable=False),
        TableColumn(key="history", label=tr("2 minutes"), width=SPARKLINE_WIDTH, sortable=False, rank=1),
        TableColumn(key="done", label=tr("done"), width=6, right=True, sortable=False),
        TableColumn(key="failed", label=tr("failed|heading"), width=6, right=True, sortable=False),
        TableColumn(key="hand", label=tr("running|heading"), width=7, right=True, sortable=False),
        TableColumn(key="waited", label=tr("waited p50/p95"), width=15, right=True, sortable=False, rank=4),
        TableColumn(key="took", label=tr("took p50/p95"), width=15, right=True, sortable=False),
        TableColumn(key="cpu", label=tr("cpu"), width=5, right=True, sortable=False, rank=2),
        TableColumn(key="memory", label=tr("memory"), width=8, right=True, sortable=False, rank=2),
        TableColumn(key="host", label=tr("host"), width=8, sortable=False, rank=5),
    )


class WorkerPanel(Panel):
    """A panel with a row for each worker, and one for all together."""

    BINDINGS: ClassVar = commands.bindings(commands.WORKERS)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.table = Table(_columns(tr))
        self._note = MessageLine()
        self._view = View()
        self._shows_ended = False
        self._names: dict[Hashable, str] = {}

    def compose(self) -> ComposeResult:
        """Compose a note and the table."""
        yield self._note
        yield self.table

    def show(self, view: View) -> None:
        """Show the workers of a view."""
        self._view = view
        # A row keeps its place, and the cursor, when its worker is replaced by another of its name.
        present = [((row.process.host, row.process.name), row) for row in view.workers]
        ended = [(row.process.number, row) for row in view.ended_workers] if self._shows_ended else []
        self._names = {key: row.process.name for key, row in (*present, *ended)}
        rows: list[tuple[Hashable, Cells]] = [(key, self._cells(row, view.now)) for key, row in present]
        if len(rows) > 1:
            rows.append((_ALL, self._total_cells(view)))
        rows += [(key, self._cells(row, view.now)) for key, row in ended]
        self.table.show(ListModel(rows))
        self._note.show_text("" if view.workers or view.number <= 0 else self._empty_note(view))
        self.set_title(self.tr("Workers"), subtitle=self._counts(view))

    def _counts(self, view: View) -> str:
        workers, servers = (sum(row.process.presence.alive for row in rows) for rows in (view.workers, view.servers))
        counts = [
            self.tr.count(workers, "{count} worker", "{count} workers"),
            self.tr.count(servers, "{count} server", "{count} servers"),
        ]
        if view.ended_workers:
            counts.append(
                self.tr.count(
                    len(view.ended_workers),
                    "{count} ended [{key:monitor.ended}]",
                    "{count} ended [{key:monitor.ended}]|several",
                )
            )
        return " · ".join(counts)

    def _empty_note(self, view: View) -> str:
        if view.light is Health.STARTING:
            return self.tr("The workers are starting.")
        return self.tr("No worker is running. Press {key:app.up} to start the system.")

    def _cells(self, row: WorkerRow, now: float) -> Cells:
        process, unit, delays = row.process, row.unit, row.delays
        counters = process.counters
        failed = counters.failed
        return [
            self._name_cell(process),
            self._state_cell(row, now),
            Cell(self.tr.rate(process.rate), "" if process.rate else "dim"),
            Cell(display_text.sparkline(row.history[-SPARKLINE_SECONDS:], SPARKLINE_WIDTH), "accent"),
            Cell(self.tr.short(counters.done)),
            Cell(self.tr.short(failed), "bad" if failed else "dim"),
            Cell(f"{len(process.in_hand)}/{process.threads}", "" if process.in_hand else "dim"),
            Cell(_waited(delays, self.tr)),
            Cell(_took(delays, self.tr)),
            Cell(formatting.processor_share(unit.cpu if unit else None), "dim"),
            Cell(self.tr.number(formatting.memory(unit.memory if unit else None)), "dim"),
            Cell(display_text.clean(process.host, 40), "dim"),
        ]

    def _name_cell(self, process: ProcessView) -> Cell:
        name = display_text.clean(process.name, 40)
        return Cell(f"{name}, {self.tr.ordinal(process.life)}" if process.life > 1 else name)

    def _state_cell(self, row: WorkerRow, now: float) -> Cell:
        process = row.process
        sign, style = _SIGNS[process.presence]
        text = self.tr(process.presence.value)
        if process.presence is Presence.LOST:
            text = self.tr("lost {span}", span=self.tr.number(formatting.coarse_duration(now - process.seen_at)))
        elif process.presence is Presence.TROUBLED:
            text = "; ".join(core_texts.describe(trouble, self.tr) for trouble in process.troubles)
            text = display_text.clean(text, 40)
        return Cell(f"{sign} {text}", style)

    def _total_cells(self, view: View) -> Cells:
        rows = [row for row in view.workers if row.process.presence.alive]
        processes = [row.process for row in rows]
        units = [row.unit for row in rows if row.unit is not None]
        delays = view.delays
        cpu = [unit.cpu for unit in units if unit.cpu is not None]
        memory = [unit.memory for unit in units if unit.memory is not None]
        return [
            Cell(self.tr("all"), "dim"),
            Cell(""),
            Cell(self.tr.rate(view.snapshot.rate_out), "accent"),
            Cell(display_text.sparkline(view.chart.ended[-SPARKLINE_SECONDS:], SPARKLINE_WIDTH), "accent"),
            # Of all tasks, not only of those that these processes have run since they were started.
            Cell(self.tr.short(view.ledger.done), "dim"),
            Cell(self.tr.short(view.ledger.failed), "dim"),
            Cell(f"{sum(len(p.in_hand) for p in processes)}/{sum(p.threads for p in processes)}", "dim"),
            Cell(_waited(delays, self.tr), "dim"),
            Cell(_took(delays, self.tr), "dim"),
            Cell(formatting.processor_share(sum(cpu)) if cpu else "", "dim"),
            Cell(self.tr.number(formatting.memory(sum(memory))) if memory else "", "dim"),
            Cell(""),
        ]

    @on(Table.RowSelected)
    def _row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.action_show_results()

    @on(Table.RowHighlighted)
    @on(Table.ViewportChanged)
    def _ignore(self, event: Table.RowHighlighted | Table.ViewportChanged) -> None:
        event.stop()

    def action_show_results(self) -> None:
        """Show the results of this worker."""
        key = self.table.cursor_key
        if key is not None:
            self.post_message(WorkerSelected(self._names.get(key, "")))

    def action_show_all_results(self) -> None:
        """Show the results of all workers."""
        self.post_message(WorkerSelected(""))

    def toggle_ended(self) -> None:
        """Show or hide the workers that have ended. They are below the others, where the cursor goes."""
        self._shows_ended = not self._shows_ended
        self.show(self._view)
        ended = len(self._view.ended_workers) if self._shows_ended else 0
        self.table.move_cursor(len(self.table.model) - ended if ended else 0)


def _waited(delays: Delays | None, tr: Translations) -> str:
    return _pair(delays.waited_p50, delays.waited_p95, tr) if delays else ""


def _took(delays: Delays | None, tr: Translations) -> str:
    return _pair(delays.took_p50, delays.took_p95, tr) if delays else ""


def _pair(p50: float | None, p95: float | None, tr: Translations) -> str:
    return "" if p50 is None else f"{tr.duration(p50)} / {tr.duration(p95)}"
