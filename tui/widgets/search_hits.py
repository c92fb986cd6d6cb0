"""The lines that contain a text, while lines are added at the end and dropped at the beginning.

A hit is a line that contains the text, once or more often. Each line is searched once, when it is added.
This module knows no widget.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class SearchHits:
    """The hits of a text, by the index of their lines, and which of them is current.

    Args:
        text: the text to search for; empty for none. Its case matters when any of it is upper case.
        lines: the lines to begin with.
    """

    def __init__(self, text: str = "", lines: Iterable[str] = ()) -> None:
        self.text = text
        self._pattern = re.compile(re.escape(text), 0 if text != text.lower() else re.IGNORECASE)
        # A line keeps its number when earlier ones are dropped: its index is the number less those dropped.
        self._dropped = 0
        self._end = 0
        self._numbers: list[int] = []
        self._current = -1
        self.extend(lines)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def lines_searched(self) -> int:
        """The number of lines searched so far, including those dropped since."""
        return self._end

    @property
    def current(self) -> int:
        """The index of the line of the current hit; negative when there is none, or it was dropped."""
        return self._current - self._dropped

    @property
    def rank(self) -> int:
        """The position of the current hit among all, from 1, or 0 when there is none."""
        return bisect_right(self._numbers, self._current) if self.current >= 0 else 0

    def extend(self, lines: Iterable[str]) -> None:
        """Search lines that were added at the end."""
        if not self.text:
            return
        search = self._pattern.search
        for line in lines:
            if search(line):
                self._numbers.append(self._end)
            self._end += 1

    def drop(self, count: int) -> None:
        """Drop the first `count` lines."""
        self._dropped += count
        del self._numbers[: bisect_left(self._numbers, self._dropped)]

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Return the beginning and end of each occurrence in a line."""
        return [match.span() for match in self._pattern.finditer(line)] if self.text else []

    # Each of these methods makes a hit the current one, and returns its index, or -1 when there are no hits.

    def select_nearest(self, index: int) -> int:
        """Select the first hit from a line on; the last hit when there is none."""
        rank = bisect_left(self._numbers, index + self._dropped)
        return self._select(min(rank, len(self._numbers) - 1))

    def select_after(self, index: int) -> int:
        """Select the first hit from a line on; the first of all when there is none."""
        return self._select(bisect_left(self._numbers, index + self._dropped))

    def select_before(self, index: int) -> int:
        """Select the last hit before a line; the last of all when there is none."""
        return self._select(bisect_left(self._numbers, index + self._dropped) - 1)

    def _select(self, rank: int) -> int:
        if not self._numbers:
            return -1
        self._current = self._numbers[rank % len(self._numbers)]
        return self.current

    def clear_current(self) -> None:
        """Make no hit the current one."""
        self._current = -1
