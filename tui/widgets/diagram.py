"""The diagram of the system: a function that draws a view as lines of styled text, and the widget that shows them."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.segment import Segment
from textual.strip import Strip

from core import formatting
from core.monitor.snapshot import Presence, ProcessView
from core.supervisor.plan import ProcessKind
from core.supervisor.status import UnitState, UnitStatus
from tui import display_text
from tui.translations import Translations
from tui.view import View
from tui.widgets.text_view import StyledLine, TextView

DiagramLine: TypeAlias = tuple[StyledLine, ...]
"""Texts beside each other, each in its own style: of two boxes, only one may be troubled."""

MAX_BOXES = 4
BOX_WIDTH = 18
"""Characters of a box, with its edges."""

_GAP = " "
"""The gap between two boxes, with which four of them fit into 80 columns."""

_TROUBLED = {
    Presence.LOST: "bad",
    Presence.TROUBLED: "warn",
    Presence.STALLED: "warn",
    Presence.UNKNOWN: "warn",
}
_SIGNS = {
    Presence.ONLINE: "●",
    Presence.BUSY: "●",
    Presence.STALLED: "▲",
    Presence.STARTING: "◐",
    Presence.DRAINING: "◑",
    Presence.TROUBLED: "▲",
    Presence.UNKNOWN: "?",
    Presence.LOST: "✖",
    Presence.LEFT: "○",
}


class Diagram(TextView):
    """A text that draws the view."""

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(wrap=False, id=id)
        self.tr = tr
        self._picture: list[DiagramLine] = []

    def show_view(self, view: View) -> None:
        """Draw the view, if it looks any different."""
        lines = draw(view, self.tr)
        if lines != self._picture:
            self._picture = lines
            top = self.scroll_offset.y
            super().show(("".join(text for text, _ in line), "") for line in lines)
            self.scroll_to(y=top, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen, with each text in its own style."""
        width = self.scrollable_content_region.width
        shift, top = self.scroll_offset
        if top + y >= len(self._picture):
            return Strip.blank(width, self.rich_style)
        texts = self._picture[top + y]
        styles = [self.get_component_rich_style(f"text--{style or 'plain'}") for _, style in texts]
        strip = Strip([Segment(text, style) for (text, _), style in zip(texts, styles, strict=True)])
        if shift == 0 and strip.cell_length > width:
            return Strip([*strip.crop(0, width - 1), Segment("…", styles[-1])])
        return strip.crop_extend(shift, shift + width, self.rich_style)


def draw(view: View, tr: Translations) -> list[DiagramLine]:
    """Draw clients, balancer, servers, journal, broker, workers and results, from top to bottom."""
    return [
        *_box([f"{tr('clients')} ▶ {view.listen or tr('no address')}"], "accent"),
        *_servers(view, tr),
        *_journal(view, tr),
        *_broker(view, tr),
        *_workers(view, tr),
    ]


def _servers(view: View, tr: Translations) -> list[DiagramLine]:
    rate = f"{formatting.rate(view.snapshot.rate_in)}/s"
    lines = _arrow(tr("submitted {rate}", rate=rate), "accent")
    balancer = _unit(view, ProcessKind.NGINX)
    if balancer is not None:
        ready = balancer.state is UnitState.READY
        lines += _box([f"{'●' if ready else '▲'} nginx {balancer.address}"], "" if ready else "warn")
        lines += _arrow(tr("to the server with the fewest connections"), "dim")
    return [*lines, *_boxes([row.process for row in view.servers], tr("no server"), _server_texts)]


def _journal(view: View, tr: Translations) -> list[DiagramLine]:
    ledger = view.ledger
    text = tr(
        "① committed: {count} accepted, {waiting} waiting",
        count=formatting.count(ledger.total),
        waiting=formatting.count(ledger.waiting + ledger.retrying),
    )
    style = "bad" if view.snapshot.trouble else "good"
    return [*_arrow(text, "good"), *_box([f"{tr('journal')} {display_text.clean(view.database, 40)}"], style)]


def _broker(view: View, tr: Translations) -> list[DiagramLine]:
    depth = view.snapshot.depth
    messages = tr("depth unknown") if depth is None else tr("{count} messages", count=formatting.count(depth.ready))
    if depth is not None and depth.dead:
        messages += f" · {depth.dead:,} {tr('dead letters')}"
    published = tr("② published, confirmed: {count} queued", count=formatting.count(view.ledger.queued))
    style = "bad" if depth is not None and depth.dead else ""
    return [*_arrow(published, ""), *_box([f"{tr('broker')} {display_text.clean(view.broker, 60)}", messages], style)]


def _workers(view: View, tr: Translations) -> list[DiagramLine]:
    ledger = view.ledger
    rate = f"{formatting.rate(view.snapshot.rate_out)}/s"
    done = tr("{count} done", count=formatting.count(ledger.done))
    failed = tr("{count} failed", count=formatting.count(ledger.failed))
    return [
        *_arrow(tr("③ delivered: {count} in flight", count=formatting.count(ledger.running)), ""),
        *_boxes([row.process for row in view.workers], tr("no worker"), _worker_texts),
        *_arrow(tr("④ outcome committed, then acknowledged: {rate}", rate=rate), "accent"),
        *_box([f"{tr('results')} {done} · {failed}"], "bad" if ledger.failed else "good"),
    ]


def _unit(view: View, kind: ProcessKind) -> UnitStatus | None:
    units = view.report.processes if view.report else ()
    return next((unit for unit in units if unit.kind is kind), None)


def _box(texts: Sequence[str], style: str) -> list[DiagramLine]:
    width = max(BOX_WIDTH, *(len(text) + 4 for text in texts))
    return [(("  ", ""), (text, style)) for text in _framed([text for text in texts if text], width)]


def _framed(texts: Sequence[str], width: int) -> list[str]:
    inner = width - 2
    return [f"╭{'─' * inner}╮", *(f"│{text[:inner]:^{inner}}│" for text in texts), f"╰{'─' * inner}╯"]


def _arrow(text: str, style: str) -> list[DiagramLine]:
    return [((f"  {'▼':>{BOX_WIDTH // 2}}  {text}", style),)]


def _boxes(
    processes: Sequence[ProcessView], empty: str, texts_of: Callable[[ProcessView], Sequence[str]]
) -> list[DiagramLine]:
    """Draw boxes beside each other. Those that don't fit are counted, with the sign of the worst of them."""
    if not processes:
        return _box([empty], "dim")
    shown, others = processes[:MAX_BOXES], processes[MAX_BOXES:]
    boxes = [(_framed(texts_of(process), BOX_WIDTH), _TROUBLED.get(process.presence, "")) for process in shown]
    lines = []
    for row in range(len(boxes[0][0])):
        line = [("  ", "")]
        for number, (box, style) in enumerate(boxes):
            line += [(_GAP, "")] if number else []
            line.append((box[row], style))
        lines.append(tuple(line))
    return [*lines, *_others(others)]


def _others(processes: Sequence[ProcessView]) -> list[DiagramLine]:
    if not processes:
        return []
    presences = {process.presence for process in processes}
    worst = next((presence for presence in _TROUBLED if presence in presences), None)
    count = f"   + {len(processes)}"
    return [((count, ""), (f" {_SIGNS[worst]}", _TROUBLED[worst])) if worst is not None else ((count, ""),)]


def _server_texts(process: ProcessView) -> list[str]:
    return [
        f"{_SIGNS[process.presence]} {display_text.clean(process.name, 12)}",
        display_text.clean(process.address, 15),
        f"{formatting.rate(process.rate)}/s",
    ]


def _worker_texts(process: ProcessView) -> list[str]:
    return [
        f"{_SIGNS[process.presence]} {display_text.clean(process.name, 12)}",
        f"{'▪' * min(len(process.in_hand), 8)}{'·' * max(0, min(process.threads, 8) - len(process.in_hand))}",
        f"{formatting.rate(process.rate)}/s",
    ]
