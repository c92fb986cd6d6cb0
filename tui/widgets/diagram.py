"""The picture of a system: pure lines of text with styles, made of a view, and the widget that shows them."""

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
from tui.widgets.text_view import TextView

Line: TypeAlias = tuple[tuple[str, str], ...]
"""Clean texts beside each other, each with its style, as `TextView` has them: one box may be troubled, and no other."""

MOST_BOXES = 4
WIDTH = 18
"""Of a box, with its edges."""

_GAP = " "
"""Between two boxes: with it four of them stand in a terminal of 80 columns."""

_TROUBLED = {Presence.LOST: "bad", Presence.TROUBLED: "warn", Presence.STALLED: "warn"}
_SIGNS = {
    Presence.ONLINE: "●",
    Presence.BUSY: "●",
    Presence.STALLED: "▲",
    Presence.STARTING: "◐",
    Presence.DRAINING: "◑",
    Presence.TROUBLED: "▲",
    Presence.LOST: "✖",
    Presence.LEFT: "○",
}


class Diagram(TextView):
    """Draws the view."""

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(wrap=False, id=id)
        self.tr = tr
        self._picture: list[Line] = []

    def show_view(self, view: View) -> None:
        """Draw this moment; only when something has changed."""
        drawn = draw(view, self.tr)
        if drawn != self._picture:
            self._picture = drawn
            top = self.scroll_offset.y
            super().show(("".join(text for text, _ in line), "") for line in drawn)
            self.scroll_to(y=top, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen, each of its texts in its own style."""
        width = self.scrollable_content_region.width
        shift, top = self.scroll_offset
        if top + y >= len(self._picture):
            return Strip.blank(width, self.rich_style)
        texts = self._picture[top + y]
        looks = [self.get_component_rich_style(f"text--{style or 'plain'}") for _, style in texts]
        strip = Strip([Segment(text, look) for (text, _), look in zip(texts, looks, strict=True)])
        if shift == 0 and strip.cell_length > width:
            return Strip([*strip.crop(0, width - 1), Segment("…", looks[-1])])
        return strip.crop_extend(shift, shift + width, self.rich_style)


def draw(view: View, tr: Translations) -> list[Line]:
    """The picture: clients, balancer, servers, journal and broker, workers, results, from top to bottom."""
    return [
        *_box([f"{tr('clients')} ▶ {view.listen or tr('nowhere to connect')}"], "accent"),
        *_servers(view, tr),
        *_journal(view, tr),
        *_broker(view, tr),
        *_workers(view, tr),
    ]


def _servers(view: View, tr: Translations) -> list[Line]:
    rate = f"{formatting.rate(view.snapshot.rate_in)}/s"
    lines = _edge(tr("submitted {rate}", rate=rate), "accent")
    balancer = _part(view, ProcessKind.NGINX)
    if balancer is not None:
        ready = balancer.state is UnitState.READY
        lines += _box([f"{'●' if ready else '▲'} nginx {balancer.address}"], "" if ready else "warn")
        lines += _edge(tr("to the server with the fewest connections"), "dim")
    return [*lines, *_row([row.process for row in view.servers], tr("no server"), _about_server)]


def _journal(view: View, tr: Translations) -> list[Line]:
    ledger = view.ledger
    told = tr(
        "① committed: {count} accepted, {waiting} waiting",
        count=formatting.count(ledger.total),
        waiting=formatting.count(ledger.waiting + ledger.retrying),
    )
    style = "bad" if view.snapshot.trouble else "good"
    return [*_edge(told, "good"), *_box([f"{tr('journal')} {display_text.clean(view.database, 40)}"], style)]


def _broker(view: View, tr: Translations) -> list[Line]:
    depth = view.snapshot.depth
    told = tr("depth unknown") if depth is None else tr("{count} messages", count=formatting.count(depth.ready))
    if depth is not None and depth.dead:
        told += f" · {depth.dead:,} {tr('dead letters')}"
    edge = tr("② published, confirmed: {count} queued", count=formatting.count(view.ledger.queued))
    style = "bad" if depth is not None and depth.dead else ""
    return [*_edge(edge, ""), *_box([f"{tr('broker')} {display_text.clean(view.broker, 60)}", told], style)]


def _workers(view: View, tr: Translations) -> list[Line]:
    ledger = view.ledger
    rate = f"{formatting.rate(view.snapshot.rate_out)}/s"
    done = tr("{count} done", count=formatting.count(ledger.done))
    failed = tr("{count} failed", count=formatting.count(ledger.failed))
    return [
        *_edge(tr("③ delivered: {count} in hand", count=formatting.count(ledger.running)), ""),
        *_row([row.process for row in view.workers], tr("no worker"), _about_worker),
        *_edge(tr("④ outcome committed, then acknowledged: {rate}", rate=rate), "accent"),
        *_box([f"{tr('results')} {done} · {failed}"], "bad" if ledger.failed else "good"),
    ]


def _part(view: View, kind: ProcessKind) -> UnitStatus | None:
    parts = view.report.processes if view.report else ()
    return next((part for part in parts if part.kind is kind), None)


def _box(texts: Sequence[str], style: str) -> list[Line]:
    width = max(WIDTH, *(len(text) + 4 for text in texts))
    return [(("  ", ""), (text, style)) for text in _framed([text for text in texts if text], width)]


def _framed(texts: Sequence[str], width: int) -> list[str]:
    inner = width - 2
    return [f"╭{'─' * inner}╮", *(f"│{text[:inner]:^{inner}}│" for text in texts), f"╰{'─' * inner}╯"]


def _edge(text: str, style: str) -> list[Line]:
    return [((f"  {'▼':>{WIDTH // 2}}  {text}", style),)]


def _row(processes: Sequence[ProcessView], none: str, about: Callable[[ProcessView], Sequence[str]]) -> list[Line]:
    """Boxes beside each other; those that there is no room for are counted, and the worst of them is told."""
    if not processes:
        return _box([none], "dim")
    shown, more = processes[:MOST_BOXES], processes[MOST_BOXES:]
    boxes = [(_framed(about(process), WIDTH), _TROUBLED.get(process.presence, "")) for process in shown]
    lines = []
    for place in range(len(boxes[0][0])):
        line = [("  ", "")]
        for number, (box, style) in enumerate(boxes):
            line += [(_GAP, "")] if number else []
            line.append((box[place], style))
        lines.append(tuple(line))
    return [*lines, *_others(more)]


def _others(processes: Sequence[ProcessView]) -> list[Line]:
    if not processes:
        return []
    found = {process.presence for process in processes}
    worst = next((presence for presence in _TROUBLED if presence in found), None)
    count = f"   + {len(processes)}"
    return [((count, ""), (f" {_SIGNS[worst]}", _TROUBLED[worst])) if worst is not None else ((count, ""),)]


def _about_server(process: ProcessView) -> list[str]:
    return [
        f"{_SIGNS[process.presence]} {display_text.clean(process.name, 12)}",
        display_text.clean(process.address, 15),
        f"{formatting.rate(process.rate)}/s",
    ]


def _about_worker(process: ProcessView) -> list[str]:
    return [
        f"{_SIGNS[process.presence]} {display_text.clean(process.name, 12)}",
        f"{'▪' * min(len(process.in_hand), 8)}{'·' * max(0, min(process.threads, 8) - len(process.in_hand))}",
        f"{formatting.rate(process.rate)}/s",
    ]
