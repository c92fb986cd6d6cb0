"""A chart of two lines over time, drawn with braille characters, with a scale at its left."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from core import formatting
from tui.translations import Translations

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800
_SCALE_WIDTH = 7
"""Characters that the scale takes."""

_STEPS = (1, 2, 5, 10)


class RateChart(Widget):
    """A chart of the tasks that were taken in and those that ended, from zero up, the newest at the right.

    Args:
        tr: writes the numbers of the scale.
        id: the id of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--in", "chart--out", "chart--both", "chart--axis"}

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tr = tr
        self._lines: tuple[Sequence[float], Sequence[float]] = ((), ())
        self._drawn: tuple[tuple[int, int], list[Strip]] | None = None

    def show(self, taken_in: Sequence[float], ended: Sequence[float]) -> None:
        """Draw these rates, the oldest first."""
        if (taken_in, ended) != self._lines:
            self._lines = (taken_in, ended)
            self._drawn = None
            self.refresh()

    def notify_style_update(self) -> None:
        """Drop what was drawn in the old colours."""
        self._drawn = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        size = (self.size.width, self.size.height)
        if self._drawn is None or self._drawn[0] != size:
            self._drawn = (size, self._draw(*size))
        return self._drawn[1][y] if y < len(self._drawn[1]) else Strip.blank(size[0], self.rich_style)

    def _draw(self, width: int, height: int) -> list[Strip]:
        room = width - _SCALE_WIDTH
        if room < 4 or height < 1:
            return []
        points = [_averaged(line, room * 2) for line in self._lines]
        top = ceiling(max((value for line in points for value in line), default=0.0))
        grids = [_plot(line, room, height, top) for line in points]
        axis = self.get_component_rich_style("chart--axis")
        styles = [self.get_component_rich_style(f"chart--{name}") for name in ("in", "out", "both")]
        middle = top * (1 - (height // 2) / max(1, height - 1))
        labels = {height - 1: "0", height // 2: self._tr.number(_label(middle)), 0: self._tr.number(_label(top))}
        strips = []
        for y in range(height):
            scale = labels.get(y, "")
            segments = [Segment(f"{scale:>{_SCALE_WIDTH - 1}}│", axis)]
            for first, second in zip(grids[0][y], grids[1][y], strict=True):
                style = styles[2] if first and second else styles[0] if first else styles[1]
                segments.append(Segment(chr(_BRAILLE + (first | second)), style))
            strips.append(Strip(segments, width).simplify())
        return strips


def _label(value: float) -> str:
    return formatting.short(round(value)) if value >= 10 or value == round(value) else f"{value:.1f}"


def ceiling(value: float) -> float:
    """Return the top of a scale: the first of 1, 2, 5, 10, 20, 50 … that is not below the value."""
    size = 1.0
    while True:
        for step in _STEPS:
            if step * size >= value:
                return step * size
        size *= 10


def _averaged(values: Sequence[float], width: int) -> list[float]:
    """Return as many means of consecutive values as fit the width."""
    each = max(1, -(-len(values) // width))
    kept = values[len(values) % each :]
    return [sum(kept[index : index + each]) / each for index in range(0, len(kept), each)]


def _plot(values: Sequence[float], width: int, height: int, top: float) -> list[list[int]]:
    """Return the dots of a line, as a bit mask for each character."""
    grid = [[0] * width for _ in range(height)]
    last = height * 4 - 1
    first = width * 2 - len(values)
    before: int | None = None
    for x, value in enumerate(values, first):
        y = last - round(min(1.0, value / top) * last)
        begin, end = (y, y) if before is None else (min(y, before), max(y, before))
        for dot in range(begin, end + 1):
            grid[dot // 4][x // 2] |= _DOTS[x % 2][dot % 4]
        before = y
    return grid
