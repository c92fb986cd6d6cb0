"""The diagram of the system: a function that draws a view as lines of styled text, and the widget that shows them."""

import textwrap
from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from core.model import Part
from core.monitor.snapshot import Presence, ProcessView
from core.supervisor.plan import ProcessKind
from core.supervisor.status import UnitState, UnitStatus
from tui import core_texts, display_text
from tui.part_states import PartState, state_of
from tui.translations import Translations
from tui.view import View, WorkerRow
from tui.widgets.text_view import StyledLine, TextView

DiagramLine: TypeAlias = tuple[StyledLine, ...]
"""Texts beside each other, each in its own style: of two boxes, only one may be troubled."""

MAX_BOXES = 4
BOX_WIDTH = 18
"""Cells of a box, with its edges."""

_GAP = " "
"""The gap between two boxes, with which four of them fit into 80 columns."""

REASON_WIDTH, REASON_LINES = 60, 3
"""The size of the text in a box that tells why a part does not work."""

_PART_SIGNS = {PartState.WORKS: ("", ""), PartState.DOUBTFUL: ("▲ ", "warn"), PartState.BROKEN: ("✖ ", "bad")}
_TROUBLED = {
    Presence.LOST: "bad",
    Presence.TROUBLED: "warn",
    Presence.UNKNOWN: "warn",
}
_SIGNS = {
    Presence.ONLINE: "●",
    Presence.BUSY: "●",
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
    rate = f"{tr.rate(view.snapshot.rate_in)}/s"
    lines = _arrow(tr("submitted {rate}", rate=rate), "accent")
    balancer = _unit(view, ProcessKind.NGINX)
    if balancer is not None:
        sign, style = _PART_SIGNS[state_of(view, Part.BALANCER)]
        if not sign:
            ready = balancer.state is UnitState.READY
            sign, style = ("● ", "") if ready else ("▲ ", "warn")
        lines += _box([f"{sign}nginx {balancer.address}"], style)
        lines += _arrow(tr("to the server with the fewest connections"), "dim")
    return [*lines, *_boxes(view.servers, tr("no server"), _server_texts, tr)]


def _journal(view: View, tr: Translations) -> list[DiagramLine]:
    ledger = view.ledger
    text = tr(
        "① committed: {count} accepted, {waiting} waiting",
        count=tr.amount(ledger.total),
        waiting=tr.amount(ledger.waiting + ledger.retrying),
    )
    sign, style = _PART_SIGNS[state_of(view, Part.JOURNAL)]
    name = f"{sign}{tr('journal')} {display_text.clean(view.database, 40)}"
    return [*_arrow(text, "good"), *_box([name, *_reason(view, Part.JOURNAL, tr)], style or "good")]


def _broker(view: View, tr: Translations) -> list[DiagramLine]:
    depth = view.snapshot.depth
    sign, style = _PART_SIGNS[state_of(view, Part.BROKER)]
    messages = tr("depth unknown") if depth is None else tr("{count} messages", count=tr.amount(depth.ready))
    if depth is not None and depth.dead:
        messages += f" · {tr.amount(depth.dead)} {tr('dead letters')}"
        style = style or "warn"
    published = tr("② published, confirmed: {count} queued", count=tr.amount(view.ledger.queued))
    name = f"{sign}{tr('broker')} {display_text.clean(core_texts.translate(view.broker, tr), 60)}"
    return [*_arrow(published, ""), *_box([name, messages, *_reason(view, Part.BROKER, tr)], style)]


def _reason(view: View, part: Part, tr: Translations) -> list[str]:
    """Return the lines that tell why a part does not work; none when it works."""
    reasons = (trouble.reason for trouble in view.system_troubles if trouble.part is part)
    text = display_text.clean(core_texts.translate(next(reasons, ""), tr))
    return textwrap.wrap(text, REASON_WIDTH, max_lines=REASON_LINES, placeholder="…")


def _workers(view: View, tr: Translations) -> list[DiagramLine]:
    ledger = view.ledger
    rate = f"{tr.rate(view.snapshot.rate_out)}/s"
    done = tr("{count} done", count=tr.amount(ledger.done))
    failed = tr("{count} failed", count=tr.amount(ledger.failed))
    return [
        *_arrow(tr("③ delivered: {count} in flight", count=tr.amount(ledger.running)), ""),
        *_boxes(view.workers, tr("no worker"), _worker_texts, tr),
        *_arrow(tr("④ outcome committed, then acknowledged: {rate}", rate=rate), "accent"),
        *_box([f"{tr('results')} {done} · {failed}"], "warn" if ledger.failed else "good"),
    ]


def _unit(view: View, kind: ProcessKind) -> UnitStatus | None:
    units = view.report.processes if view.report else ()
    return next((unit for unit in units if unit.kind is kind), None)


def _box(texts: Sequence[str], style: str) -> list[DiagramLine]:
    width = max(BOX_WIDTH, *(cell_len(text) + 4 for text in texts))
    return [(("  ", ""), (text, style)) for text in _framed([text for text in texts if text], width)]


def _framed(texts: Sequence[str], width: int) -> list[str]:
    inner = width - 2
    return [f"╭{'─' * inner}╮", *(f"│{_centred(text, inner)}│" for text in texts), f"╰{'─' * inner}╯"]


def _centred(text: str, width: int) -> str:
    shown = display_text.cut(text, width)
    spare = width - cell_len(shown)
    return f"{'':{spare // 2}}{shown}{'':{spare - spare // 2}}"


def _arrow(text: str, style: str) -> list[DiagramLine]:
    return [((f"  {'▼':>{BOX_WIDTH // 2}}  {text}", style),)]


def _boxes(
    rows: Sequence[WorkerRow], empty: str, texts_of: Callable[[ProcessView], Sequence[str]], tr: Translations
) -> list[DiagramLine]:
    """Draw boxes beside each other. Those that don't fit are counted, with the sign of the worst of them."""
    if not rows:
        return _box([empty], "dim")
    boxes = [_process_box(row, texts_of, tr) for row in rows[:MAX_BOXES]]
    lines = []
    for row in range(len(boxes[0][0])):
        line = [("  ", "")]
        for number, (box, style) in enumerate(boxes):
            line += [(_GAP, "")] if number else []
            line.append((box[row], style))
        lines.append(tuple(line))
    return [*lines, *_others([row.process.presence for row in rows[MAX_BOXES:]])]


def _process_box(
    row: WorkerRow, texts_of: Callable[[ProcessView], Sequence[str]], tr: Translations
) -> tuple[list[str], str]:
    """Return the lines of a box and their style."""
    process = row.process
    name = f"{_SIGNS[process.presence]} {display_text.clean(process.name)}"
    lines = [name, *texts_of(process), f"{tr.rate(process.rate)}/s"]
    return _framed(lines, BOX_WIDTH), _TROUBLED.get(process.presence, "")


def _others(presences: Sequence[Presence]) -> list[DiagramLine]:
    if not presences:
        return []
    worst = next((presence for presence in _TROUBLED if presence in presences), None)
    count = f"   + {len(presences)}"
    return [((count, ""), (f" {_SIGNS[worst]}", _TROUBLED[worst])) if worst is not None else ((count, ""),)]


def _server_texts(process: ProcessView) -> list[str]:
    return [display_text.clean(process.address)]


def _worker_texts(process: ProcessView) -> list[str]:
    in_hand = len(process.in_hand)
    return [f"{'▪' * min(in_hand, 8)}{'·' * max(0, min(process.threads, 8) - in_hand)}"]
