"""Draws a snapshot with Rich, for a terminal or a file. The program imports it where something is drawn."""

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from core import formatting
from core.logs import printable
from core.model import Ledger, Part, Role, Task
from core.monitor.snapshot import Presence, ProcessView, Snapshot

MAX_OUTCOME = 60
"""Characters of a result or failure that are shown."""

STYLES = {
    Presence.ONLINE: "green",
    Presence.BUSY: "bold green",
    Presence.STARTING: "yellow",
    Presence.DRAINING: "yellow",
    Presence.TROUBLED: "yellow",
    Presence.UNKNOWN: "yellow",
    Presence.LOST: "bold red",
    Presence.LEFT: "dim",
}


def render(snapshot: Snapshot) -> RenderableType:
    """Return the snapshot as text for a terminal. No part of a task reaches it as markup or an escape sequence."""
    parts: list[RenderableType] = [_ledger(snapshot.ledger), _flow(snapshot)]
    parts += [Text(printable(str(trouble)), style="bold yellow") for trouble in snapshot.troubles]
    parts.append(_processes(snapshot))
    if snapshot.latest:
        parts.append(_results(snapshot.latest))
    return Group(*parts)


def _ledger(ledger: Ledger) -> Text:
    line = Text.assemble(("accepted ", "dim"), (f"{ledger.total:,}", "bold"), (" = ", "dim"))
    for number, (name, count) in enumerate(msgspec.structs.asdict(ledger).items()):
        line.append(" + " if number else "", style="dim")
        line.append(f"{count:,}", style="bold red" if name == "failed" and count else "bold")
        line.append(f" {name}", style="dim")
    return line


def _flow(snapshot: Snapshot) -> Text:
    depth = snapshot.depth
    if depth is not None:
        queue = f"{depth.ready:,} in the queue, {depth.dead:,} dead letters"
    else:
        away = any(trouble.part is Part.BROKER for trouble in snapshot.troubles)
        queue = "broker away" if away else "depth unknown"
    return Text(f"in {formatting.rate(snapshot.rate_in)}/s   out {formatting.rate(snapshot.rate_out)}/s   {queue}")


def _processes(snapshot: Snapshot) -> RenderableType:
    if not snapshot.listed:
        return Text("No server or worker is running: python -m core.supervisor up", style="yellow")
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for name in ("", "state", "tasks/s", "accepted", "done", "failed", "retried", "running", "pid", "where"):
        table.add_column(name, justify="left" if name in {"", "state", "where"} else "right")
    for view in snapshot.listed:
        table.add_row(*_cells(view, snapshot.taken_at))
    return Group(table, Text(f"{len(snapshot.ended):,} ended", style="dim")) if snapshot.ended else table


def _cells(view: ProcessView, now: float) -> list[Text]:
    counters = view.counters
    server = view.role is Role.SERVER
    state = str(view.presence)
    if view.presence is Presence.LOST:
        state = f"lost {max(0.0, now - view.seen_at):.0f} s ago"
    elif view.presence is Presence.TROUBLED:
        state = "; ".join(map(str, view.troubles))
    return [
        Text(printable(view.name, 20) + (f", {formatting.ordinal(view.life)}" if view.life > 1 else "")),
        Text(printable(state, 40), style=STYLES[view.presence]),
        Text(formatting.rate(view.rate)),
        Text(f"{counters.accepted:,}" if server else ""),
        Text("" if server else f"{counters.done:,}"),
        Text("" if server else f"{counters.failed:,}", style="red" if counters.failed else ""),
        Text("" if server else f"{counters.retried:,}"),
        Text("" if server else f"{len(view.in_hand)}/{view.threads}"),
        Text(str(view.pid)),
        Text(printable(view.address or view.host, 30)),
    ]


def _results(tasks: tuple[Task, ...]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for name in ("task", "kind", "state", "result", "ms", "worker"):
        # Where there is too little room, only the result is cut: Rich shortens the columns that may wrap.
        table.add_column(name, justify="right" if name == "ms" else "left", no_wrap=name != "result")
    for task in tasks:
        outcome = task.result if task.failure is None or task.result is not None else _sentence(task)
        started, finished = task.times.started, task.times.finished
        table.add_row(
            Text(printable(task.id, 36)),
            Text(printable(task.kind, 16)),
            Text(task.state, style="red" if task.state == "failed" else ""),
            Text(printable(outcome or "", MAX_OUTCOME), no_wrap=True, overflow="ellipsis"),
            Text("" if started is None or finished is None else f"{(finished - started) * 1000:,.1f}"),
            Text(printable(task.worker or "", 16)),
        )
    return table


def _sentence(task: Task) -> str:
    assert task.failure is not None
    return f"{task.failure.type}: {task.failure.message}"
