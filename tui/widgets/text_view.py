"""A text of any length that draws only the lines in view: a log, a traceback, a result."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile
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

StyledLine: TypeAlias = tuple[str, str]
"""A clean text and its style: `good`, `bad`, `warn`, `dim`, `accent`, `heading`, or empty for plain."""

MAX_LINES = 20_000
_SLACK = 2_000
"""Lines above the limit at which the oldest are dropped, all at once."""

_MAX_STRIPS = 512


class _ScreenLine(NamedTuple):
    """One line of the screen: a line of the text, or a part of a line that is wrapped."""

    text: str
    style: str
    line: int
    """The index of the line."""
    begin: int
    """The index of its first character in the line."""


class TextView(LongView, can_focus=True):
    """A scrollable, searchable text.

    Args:
        follow: whether to stay at the end when lines are added, until the user scrolls up.
        wrap: whether to wrap long lines; otherwise they are cut, and can be scrolled sideways.
        max_lines: the number of lines that are kept.
        id: the id of the widget.
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
        self, *, follow: bool = False, wrap: bool = True, max_lines: int = MAX_LINES, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.follow = follow
        self.wrap = wrap
        self._max_lines = max_lines
        self._lines: list[StyledLine] = []
        self._screen_lines: list[_ScreenLine] = []
        self._width = 0
        self._longest = 0
        self._strips: dict[int, Strip] = {}
        self.hits = SearchHits()

    @property
    def lines(self) -> Sequence[StyledLine]:
        """The lines of the text, not wrapped."""
        return self._lines

    def show(self, lines: Iterable[StyledLine]) -> None:
        """Show another text."""
        self._lines = list(lines)[-self._max_lines :]
        self._update_hits(self.hits.text)
        self._lay_out()
        if not self.follow:
            self.scroll_to(x=0, y=0, animate=False, immediate=True)

    def replace(self, lines: Iterable[StyledLine]) -> None:
        """Show a text that differs in some lines. What is in view stays there, and so does the current hit."""
        former, new = self._lines, list(lines)[-self._max_lines :]
        if new == former:
            return
        place, hit = self.scroll_offset, self.hits.current
        top = self._line_at(place.y)
        below = place.y - self._row_of(top, 0)
        self._lines = new
        self._update_hits(self.hits.text)
        if hit >= 0:
            self.hits.select_nearest(line_after_change(former, new, hit))
        if len(new) == len(former):
            self._wrap_changed(former)
        else:
            self._lay_out()
        row = self._row_of(line_after_change(former, new, top), 0) + below if place.y else 0
        self.scroll_to(x=place.x, y=row, animate=False, immediate=True, force=True)

    def extend(self, lines: Sequence[StyledLine]) -> None:
        """Add lines at the end. The oldest are dropped when there are too many."""
        first, new = len(self._lines), lines[-self._max_lines :]
        self._lines.extend(new)
        self.hits.extend(text for text, _ in new)
        if len(self._lines) > self._max_lines + _SLACK:
            self._drop_oldest(len(self._lines) - self._max_lines)
            return
        self._screen_lines.extend(part for index, line in enumerate(new, first) for part in self._wrapped(index, line))
        self._update_size()

    def _drop_oldest(self, surplus: int) -> None:
        gone = sum(len(self._wrapped(index, line)) for index, line in enumerate(self._lines[:surplus]))
        del self._lines[:surplus]
        self.hits.drop(surplus)
        self._lay_out()
        self._keep_position(gone)

    def set_wrap(self, wrap: bool) -> None:
        """Wrap long lines, or cut them."""
        self.wrap = wrap
        self._lay_out()

    def follow_end(self) -> None:
        """Scroll to the end and stay there."""
        self.follow = True
        self.hits.clear_current()
        self._strips.clear()
        self._scroll_to_end()

    # Drawing.

    def notify_style_update(self) -> None:
        """Drop the strips drawn in the old colours."""
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Wrap the lines for the new width."""
        if self.scrollable_content_region.width != self._width:
            self._lay_out()
        elif self.follow:
            self._scroll_to_end()

    def watch_show_vertical_scrollbar(self) -> None:
        """Wrap the lines again, because their width has changed although the widget's has not."""
        self.call_later(self.on_resize)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.scrollable_content_region.width
        shift, top = self.scroll_offset
        index = top + y
        if index >= len(self._screen_lines):
            return Strip.blank(width, self.rich_style)
        strip = self._strip(index)
        if not self.wrap and shift == 0 and strip.cell_length > width:
            cut = strip.crop(0, width - 1)
            return Strip([*cut, Segment("…", self._style_of(self._screen_lines[index].style))])
        return strip.crop_extend(shift, shift + width, self.rich_style)

    def _strip(self, index: int) -> Strip:
        strip = self._strips.get(index)
        if strip is None:
            if len(self._strips) > _MAX_STRIPS:
                self._strips.clear()
            strip = self._strips[index] = Strip(self._segments(self._screen_lines[index]))
        return strip

    def _segments(self, part: _ScreenLine) -> list[Segment]:
        style = self._style_of(part.style)
        hit_style = self._style_of("hit-here" if part.line == self.hits.current else "hit")
        segments, done = [], 0
        for begin, end in self.hits.spans(self._lines[part.line][0]):
            first, last = max(done, begin - part.begin), min(len(part.text), end - part.begin)
            if first < last:
                segments += [Segment(part.text[done:first], style), Segment(part.text[first:last], hit_style)]
                done = last
        return [*segments, Segment(part.text[done:], style)]

    def _style_of(self, style: str) -> Style:
        return self.get_component_rich_style(f"text--{style or 'plain'}")

    def _lay_out(self) -> None:
        self._width = self.scrollable_content_region.width
        self._longest = 0
        self._screen_lines = [part for index, line in enumerate(self._lines) for part in self._wrapped(index, line)]
        self._update_size()

    def _wrap_changed(self, former: Sequence[StyledLine]) -> None:
        """Wrap again only the lines that have changed, since the others may be long."""
        parts = groupby(self._screen_lines, lambda part: part.line)
        self._screen_lines = [
            part
            for (index, known), before, line in zip(parts, former, self._lines, strict=True)
            for part in (known if line == before else self._wrapped(index, line))
        ]
        self._update_size()

    def _wrapped(self, index: int, line: StyledLine) -> list[_ScreenLine]:
        text, style = line
        length = len(text) if text.isascii() else cell_len(text)
        if not self.wrap or length <= self._width or self._width <= 1:
            self._longest = max(self._longest, length)
            return [_ScreenLine(text, style, index, 0)]
        parts, begin = [], 0
        for part in chop_cells(text, self._width):
            parts.append(_ScreenLine(part, style, index, begin))
            begin += len(part)
        return parts

    def _update_size(self) -> None:
        self._strips.clear()
        width = self._width if self.wrap else max(self._width, self._longest)
        self.set_content_size(Size(width, len(self._screen_lines)))
        if self.follow:
            self._scroll_to_end()
        self.refresh()

    def _keep_position(self, dropped: int) -> None:
        """Keep the same lines in view after lines above them were dropped."""
        if not self.follow and dropped > 0:
            self.scroll_to(y=max(0, self.scroll_offset.y - dropped), animate=False, immediate=True)

    def _scroll_to_end(self) -> None:
        end = max(0, len(self._screen_lines) - self.scrollable_content_region.height)
        self.scroll_to(y=end, animate=False, immediate=True, force=True)

    # Searching. Going to a hit ends the following, because the user reads there.

    def find(self, text: str) -> None:
        """Highlight a text wherever it occurs, and scroll to the nearest hit. An empty text ends the search."""
        top = self._line_at(self.scroll_offset.y)
        self._update_hits(text)
        self._scroll_to_hit(self.hits.select_nearest(top))

    def go_to_hit(self, *, forward: bool) -> None:
        """Scroll to the next or the previous hit, from the current one if it is in view, else from the view."""
        top, end = self.scroll_offset.y, self.scroll_offset.y + self.scrollable_content_region.height
        first, last = self._line_at(top), self._line_at(end - 1)
        current = self.hits.current
        if not first <= current <= last:
            self._scroll_to_hit(self.hits.select_after(first) if forward else self.hits.select_before(last + 1))
        else:
            self._scroll_to_hit(self.hits.select_after(current + 1) if forward else self.hits.select_before(current))

    def _update_hits(self, text: str) -> None:
        self.hits = SearchHits(text, (line for line, _ in self._lines) if text else ())
        self._strips.clear()
        self.refresh()

    def _line_at(self, row: int) -> int:
        return self._screen_lines[min(row, len(self._screen_lines) - 1)].line if self._screen_lines else 0

    def _row_of(self, line: int, place: int) -> int:
        """Return the line of the screen that has this place of a line."""
        return bisect_left(self._screen_lines, (line, place + 1), key=lambda part: (part.line, part.begin)) - 1

    def _scroll_to_hit(self, line: int) -> None:
        if line < 0:
            return
        self._stop_following()
        begin, _ = self.hits.spans(self._lines[line][0])[0]
        row = self._row_of(line, begin)
        x, y = self._scroll_x_for(line, begin), self._scroll_y_for(row)
        self.scroll_to(x=x, y=y, animate=False, immediate=True, force=True)
        self._strips.clear()
        self.refresh()

    def _scroll_y_for(self, row: int) -> int:
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if top <= row < top + height:
            return top
        return max(0, min(row - height // 2, len(self._screen_lines) - height))

    def _scroll_x_for(self, line: int, begin: int) -> int:
        """Return how far to scroll sideways to see a hit, when long lines are cut."""
        width, text = self.scrollable_content_region.width, self._lines[line][0]
        end = cell_len(text[: begin + len(self.hits.text)])
        return 0 if self.wrap or end < width else min(cell_len(text[:begin]), end - width // 2)

    # Scrolling. Going up ends the following, because the user reads there.

    def _stop_following(self) -> None:
        self.follow = False

    def action_scroll_up(self) -> None:
        """Scroll up a line."""
        self._stop_following()
        self.scroll_to(y=self.scroll_offset.y - 1, animate=False, immediate=True)

    def action_scroll_down(self) -> None:
        """Scroll down a line."""
        self.scroll_to(y=self.scroll_offset.y + 1, animate=False, immediate=True)

    def action_page_up(self) -> None:
        """Scroll up a page."""
        self._stop_following()
        self.scroll_to(y=self.scroll_offset.y - self.size.height + 1, animate=False, immediate=True)

    def action_page_down(self) -> None:
        """Scroll down a page."""
        self.scroll_to(y=self.scroll_offset.y + self.size.height - 1, animate=False, immediate=True)

    def action_scroll_home(self) -> None:
        """Scroll to the beginning."""
        self._stop_following()
        self.scroll_to(y=0, animate=False, immediate=True)

    def action_scroll_end(self) -> None:
        """Scroll to the end."""
        self._scroll_to_end()

    def action_shift(self, columns: int) -> None:
        """Scroll to the right, or to the left when negative."""
        # Forced, because there may be no scrollbar.
        self.scroll_to(x=max(0, self.scroll_offset.x + columns), animate=False, immediate=True, force=True)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if event.shift or event.ctrl:
            return  # scrolls sideways, which the base class does
        event.prevent_default().stop()
        self._stop_following()
        self.scroll_to(y=self.scroll_offset.y - 3, animate=False, immediate=True)

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if event.shift or event.ctrl:
            return
        event.prevent_default().stop()
        self.scroll_to(y=self.scroll_offset.y + 3, animate=False, immediate=True)


def line_after_change(former: Sequence[StyledLine], new: Sequence[StyledLine], index: int) -> int:
    """Return the index in a changed text of a line of the former one: lines at both ends stay with their end."""
    pairs = zip(former, new, strict=False)
    same_first = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if index < same_first:
        return index
    pairs = zip(reversed(former), reversed(new), strict=False)
    same_last = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if index >= len(former) - min(same_last, len(new) - same_first):
        return index + len(new) - len(former)
    return max(0, min(index, len(new) - 1))
