"""Many lines of text, of which only those in view are drawn: a log, a traceback, a result of any length."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.strip import Strip

from tui.widgets.long_view import LongView
from tui.widgets.search_hits import SearchHits

Line: TypeAlias = tuple[str, str]
"""A clean text, and its style: `good`, `bad`, `warn`, `dim`, `accent`, `heading`, or empty for plain."""

MOST_LINES = 20_000
_SLACK = 2_000
_STRIPS = 512


class _Piece(NamedTuple):
    """What is drawn on one line of the screen: a line, or a part of one that was broken."""

    text: str
    style: str
    line: int
    """The place of its line."""
    begin: int
    """Where in the line it begins."""


class TextView(LongView, can_focus=True):
    """Shows lines.

    Args:
        follow: stay at the end when more lines come, until a person goes up.
        wrap: break lines that are too long; otherwise they are cut, and can be shifted.
        most: how many lines are kept.
        id: of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "text--plain",
        "text--good",
        "text--bad",
        "text--warn",
        "text--dim",
        "text--accent",
        "text--heading",
        "text--hit",
        "text--hit-here",
    }
    BINDINGS: ClassVar = [
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown,space", "page_down", "Page down", show=False),
        Binding("home,g", "scroll_home", "First", show=False),
        Binding("end,G", "scroll_end", "Last", show=False),
        Binding("left,h", "shift(-8)", "Left", show=False),
        Binding("right,l", "shift(8)", "Right", show=False),
    ]

    def __init__(
        self, *, follow: bool = False, wrap: bool = True, most: int = MOST_LINES, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.follow = follow
        self.wrap = wrap
        self._most = most
        self._lines: list[Line] = []
        self._drawn: list[_Piece] = []
        self._width = 0
        self._longest = 0
        self._strips: dict[int, Strip] = {}
        self.hits = SearchHits()

    @property
    def lines(self) -> Sequence[Line]:
        """What is shown, whole lines."""
        return self._lines

    def show(self, lines: Iterable[Line]) -> None:
        """Show other lines."""
        self._lines = list(lines)[-self._most :]
        self._look_for(self.hits.text)
        self._lay_out()
        if not self.follow:
            self.scroll_to(x=0, y=0, animate=False, immediate=True)

    def extend(self, lines: Sequence[Line]) -> None:
        """Show more lines after those that are there; the oldest go when there are too many."""
        first, new = len(self._lines), lines[-self._most :]
        self._lines.extend(new)
        self.hits.extend(text for text, _ in new)
        if len(self._lines) > self._most + _SLACK:
            self._drop(len(self._lines) - self._most)
            return
        self._drawn.extend(piece for place, line in enumerate(new, first) for piece in self._pieces(place, line))
        self._resize()

    def _drop(self, surplus: int) -> None:
        gone = sum(len(self._pieces(place, line)) for place, line in enumerate(self._lines[:surplus]))
        del self._lines[:surplus]
        self.hits.drop(surplus)
        self._lay_out()
        self._hold(gone)

    def set_wrap(self, wrap: bool) -> None:
        """Break long lines, or cut them."""
        self.wrap = wrap
        self._lay_out()

    def set_follow(self) -> None:
        """Go to the end and stay there."""
        self.follow = True
        self.hits.forget_here()
        self._strips.clear()
        self._to_end()

    # Drawing.

    def notify_style_update(self) -> None:
        """Forget what was drawn in other colours."""
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Lay the lines out anew where their width counts."""
        if self.scrollable_content_region.width != self._width:
            self._lay_out()
        elif self.follow:
            self._to_end()

    def watch_show_vertical_scrollbar(self) -> None:
        """The lines have become narrower, or wider, though the widget is as wide as before."""
        self.call_later(self.on_resize)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.scrollable_content_region.width
        shift, top = self.scroll_offset
        place = top + y
        if place >= len(self._drawn):
            return Strip.blank(width, self.rich_style)
        strip = self._strip(place)
        if not self.wrap and shift == 0 and strip.cell_length > width:
            cut = strip.crop(0, width - 1)
            return Strip([*cut, Segment("…", self._look(self._drawn[place].style))])
        return strip.crop_extend(shift, shift + width, self.rich_style)

    def _strip(self, place: int) -> Strip:
        strip = self._strips.get(place)
        if strip is None:
            if len(self._strips) > _STRIPS:
                self._strips.clear()
            strip = self._strips[place] = Strip(self._segments(self._drawn[place]))
        return strip

    def _segments(self, piece: _Piece) -> list[Segment]:
        look = self._look(piece.style)
        hit = self._look("hit-here" if piece.line == self.hits.here else "hit")
        segments, done = [], 0
        for begin, end in self.hits.spans(self._lines[piece.line][0]):
            first, last = max(done, begin - piece.begin), min(len(piece.text), end - piece.begin)
            if first < last:
                segments += [Segment(piece.text[done:first], look), Segment(piece.text[first:last], hit)]
                done = last
        return [*segments, Segment(piece.text[done:], look)]

    def _look(self, style: str) -> Style:
        return self.get_component_rich_style(f"text--{style or 'plain'}")

    def _lay_out(self) -> None:
        self._width = self.scrollable_content_region.width
        self._longest = 0
        self._drawn = [piece for place, line in enumerate(self._lines) for piece in self._pieces(place, line)]
        self._resize()

    def _pieces(self, place: int, line: Line) -> list[_Piece]:
        text, style = line
        length = len(text) if text.isascii() else cell_len(text)
        if not self.wrap or length <= self._width or self._width <= 1:
            self._longest = max(self._longest, length)
            return [_Piece(text, style, place, 0)]
        pieces, begin = [], 0
        for part in chop_cells(text, self._width):
            pieces.append(_Piece(part, style, place, begin))
            begin += len(part)
        return pieces

    def _resize(self) -> None:
        self._strips.clear()
        width = self._width if self.wrap else max(self._width, self._longest)
        self.measures(Size(width, len(self._drawn)))
        if self.follow:
            self._to_end()
        self.refresh()

    def _hold(self, dropped: int) -> None:
        """Keep the view on the lines that it shows, when lines above them have gone."""
        if not self.follow and dropped > 0:
            self.scroll_to(y=max(0, self.scroll_offset.y - dropped), animate=False, immediate=True)

    def _to_end(self) -> None:
        end = max(0, len(self._drawn) - self.scrollable_content_region.height)
        self.scroll_to(y=end, animate=False, immediate=True, force=True)

    # Searching. A person who has gone to a hit reads there: nothing is followed then.

    def find(self, text: str) -> None:
        """Mark a text wherever it stands, and go to the hit that is nearest; an empty text marks nothing."""
        top = self._line_at(self.scroll_offset.y)
        self._look_for(text)
        self._go_to(self.hits.nearest(top))

    def go_to_hit(self, *, forward: bool) -> None:
        """Go to the next hit, or to the one before; from where a person is, who may have gone elsewhere."""
        top, end = self.scroll_offset.y, self.scroll_offset.y + self.scrollable_content_region.height
        first, last = self._line_at(top), self._line_at(end - 1)
        here = self.hits.here
        if not first <= here <= last:
            self._go_to(self.hits.after(first) if forward else self.hits.before(last + 1))
        else:
            self._go_to(self.hits.after(here + 1) if forward else self.hits.before(here))

    def _look_for(self, text: str) -> None:
        self.hits = SearchHits(text, (line for line, _ in self._lines) if text else ())
        self._strips.clear()
        self.refresh()

    def _line_at(self, row: int) -> int:
        return self._drawn[min(row, len(self._drawn) - 1)].line if self._drawn else 0

    def _go_to(self, line: int) -> None:
        if line < 0:
            return
        self._moved()
        begin, _ = self.hits.spans(self._lines[line][0])[0]
        row = bisect_left(self._drawn, (line, begin + 1), key=lambda piece: (piece.line, piece.begin)) - 1
        self.scroll_to(x=self._column_for(line, begin), y=self._row_for(row), animate=False, immediate=True, force=True)
        self._strips.clear()
        self.refresh()

    def _row_for(self, row: int) -> int:
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if top <= row < top + height:
            return top
        return max(0, min(row - height // 2, len(self._drawn) - height))

    def _column_for(self, line: int, begin: int) -> int:
        """How far to shift lines that are cut, so that the hit is seen."""
        width, text = self.scrollable_content_region.width, self._lines[line][0]
        end = cell_len(text[: begin + len(self.hits.text)])
        return 0 if self.wrap or end < width else min(cell_len(text[:begin]), end - width // 2)

    # Moving. A person who goes up wants to read: it stays there then.

    def _moved(self) -> None:
        self.follow = False

    def action_scroll_up(self) -> None:
        """Go up a line."""
        self._moved()
        self.scroll_to(y=self.scroll_offset.y - 1, animate=False, immediate=True)

    def action_scroll_down(self) -> None:
        """Go down a line."""
        self.scroll_to(y=self.scroll_offset.y + 1, animate=False, immediate=True)

    def action_page_up(self) -> None:
        """Go up a page."""
        self._moved()
        self.scroll_to(y=self.scroll_offset.y - self.size.height + 1, animate=False, immediate=True)

    def action_page_down(self) -> None:
        """Go down a page."""
        self.scroll_to(y=self.scroll_offset.y + self.size.height - 1, animate=False, immediate=True)

    def action_scroll_home(self) -> None:
        """Go to the beginning."""
        self._moved()
        self.scroll_to(y=0, animate=False, immediate=True)

    def action_scroll_end(self) -> None:
        """Go to the end."""
        self._to_end()

    def action_shift(self, columns: int) -> None:
        """Show what is farther right, or left."""
        # By force: there may be no scrollbar.
        self.scroll_to(x=max(0, self.scroll_offset.x + columns), animate=False, immediate=True, force=True)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if event.shift or event.ctrl:
            return  # it goes sideways: that is the base's
        event.prevent_default().stop()
        self._moved()
        self.scroll_to(y=self.scroll_offset.y - 3, animate=False, immediate=True)

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if event.shift or event.ctrl:
            return
        event.prevent_default().stop()
        self.scroll_to(y=self.scroll_offset.y + 3, animate=False, immediate=True)
