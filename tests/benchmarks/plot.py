"""Draws curves as SVG: panels side by side, each with its axes, legible on light and dark backgrounds.

It knows nothing of the meaning of the values. Pure.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

import msgspec

WIDTH, HEIGHT = 470, 230
"""Size of a panel."""

LEFT, RIGHT, TOP, BOTTOM = 62, 18, 46, 48
"""Margins within a panel, for the texts around the curves."""

MARGIN, HEADER = 14, 64

MAX_LINEAR_RATIO = 25.0
"""Ratio of the largest to the smallest value above which the scale is logarithmic."""

COLOURS = (("#2563eb", "#7aa8ff"), ("#c2570c", "#ffa657"), ("#0f8a5f", "#4ccf9b"))
"""Colours of each series, on light and on dark."""

_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #57606a; }
.ground { fill: #ffffff; }
.panel { fill: #f6f8fa; }
.title { font-size: 17px; font-weight: 600; fill: #1f2328; }
.name { font-size: 13px; font-weight: 600; fill: #1f2328; }
.small { font-size: 11px; }
.grid { stroke: #d8dee4; stroke-width: 1; }
.base { stroke: #8c959f; stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.dashed { stroke-dasharray: 2 5; }
"""

_DARK = """\
text { fill: #9aa4af; }
.ground { fill: #0d1117; }
.panel { fill: #151b23; }
.title, .name { fill: #f0f6fc; }
.grid { stroke: #2a323c; }
.base { stroke: #656d76; }
"""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A curve."""

    series: str
    """Curves of one series have the same colour in all panels."""
    values: Sequence[float | None]
    """One value for each place; None where it is missing."""
    dashed: bool = False


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of axes with its curves."""

    title: str
    caption: str
    """The unit of the values."""
    axis: str
    """The unit of the places."""
    places: Sequence[str]
    curves: Sequence[Curve]


class Scale(msgspec.Struct, frozen=True):
    """A scale that maps values to heights."""

    height: Callable[[float], float]
    """Returns a height from 0 at the bottom to 1 at the top."""
    ticks: Sequence[float]


def draw(title: str, rows: Sequence[Sequence[Panel]]) -> str:
    """Draw rows of panels."""
    series = list(dict.fromkeys(curve.series for row in rows for panel in row for curve in panel.curves))
    width = MARGIN + max((len(row) for row in rows), default=1) * (WIDTH + MARGIN)
    height = HEADER + len(rows) * (HEIGHT + MARGIN)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"<style>\n{_style(series)}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
        _text(MARGIN + 4, 38, title, "title"),
        *_legend(series, width - MARGIN - 4),
    ]
    for number, row in enumerate(rows):
        for column, panel in enumerate(row):
            x, y = MARGIN + column * (WIDTH + MARGIN), HEADER + number * (HEIGHT + MARGIN)
            parts += [f'<g transform="translate({x} {y})">', *_panel(panel, series), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def scale_for(values: Sequence[float]) -> Scale:
    """Choose a scale: linear from zero, or logarithmic when the values differ widely."""
    largest, smallest = max(values, default=1.0), min(values, default=1.0)
    if smallest > 0 and largest / smallest > MAX_LINEAR_RATIO:
        low, high = math.floor(math.log10(smallest)), math.ceil(math.log10(largest))
        decades = [10.0**power for power in range(low, high + 1)]
        return Scale(lambda value: (math.log10(value) - low) / (high - low), decades)
    step = _step(largest / 4 or 1.0)
    top = step * math.ceil(largest / step) or step
    return Scale(lambda value: value / top, [step * number for number in range(round(top / step) + 1)])


def short(value: float) -> str:
    """Return a value in few characters."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _step(rough: float) -> float:
    """Return the next larger round number."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(round_one * power for round_one in (1, 2, 2.5, 5, 10) if round_one * power >= rough * 0.999)


def _style(series: Sequence[str]) -> str:
    dark = _DARK + _colours(series, 1)
    return f"{_STYLE}{_colours(series, 0)}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _colours(series: Sequence[str], mode: int) -> str:
    return "".join(
        f".line{number} {{ stroke: {COLOURS[number % len(COLOURS)][mode]}; }}"
        f" .dot{number} {{ fill: {COLOURS[number % len(COLOURS)][mode]}; }}\n"
        for number in range(len(series))
    )


def _legend(series: Sequence[str], right: float) -> Iterator[str]:
    x = right
    for number, name in reversed(list(enumerate(series))):
        # The width in the widest font that a reader may have.
        x -= 10.0 * len(name)
        yield _text(x, 37, name, "name")
        yield f'<circle class="dot{number}" cx="{x - 12:.1f}" cy="32.5" r="5"/>'
        x -= 34


def _panel(panel: Panel, series: Sequence[str]) -> Iterator[str]:
    values = [value for curve in panel.curves for value in curve.values if value is not None]
    scale = scale_for(values)
    yield f'<rect class="panel" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    yield _text(14, 22, panel.title, "name")
    yield _text(WIDTH - RIGHT, 22, panel.caption, "small", "end")
    for tick in scale.ticks:
        y = _y(scale, tick)
        kind, right = "base" if tick == scale.ticks[0] else "grid", WIDTH - RIGHT
        yield f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(LEFT - 8, y + 4, short(tick), "small", "end")
    for number, place in enumerate(panel.places):
        yield _text(_x(panel, number), HEIGHT - BOTTOM + 18, place, "small", "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, panel.axis, "small", "middle")
    for curve in panel.curves:
        yield from _curve(panel, curve, series.index(curve.series), scale)


def _curve(panel: Panel, curve: Curve, colour: int, scale: Scale) -> Iterator[str]:
    points = [(_x(panel, number), _y(scale, value)) for number, value in enumerate(curve.values) if value is not None]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline class="curve line{colour}{" dashed" if curve.dashed else ""}" points="{path}"/>'
    for x, y in points:
        yield f'<circle class="dot{colour}" cx="{x:.1f}" cy="{y:.1f}" r="{2.5 if curve.dashed else 3.5}"/>'


def _x(panel: Panel, number: int) -> float:
    """Return the position of a place; places are equally spaced."""
    room = (WIDTH - LEFT - RIGHT) / max(1, len(panel.places))
    return LEFT + room * (number + 0.5)


def _y(scale: Scale, value: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - scale.height(value))


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
