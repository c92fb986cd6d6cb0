"""Where a text stands among lines that come at the end and go at the beginning. Pure: it knows of no widget.

A hit is a line that holds the text, however often. Each line is looked through once, when it comes.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class SearchHits:
    """The lines that hold a text, by their places.

    Args:
        text: what is looked for; its case counts when any of it is upper case. Empty for nothing.
        lines: those that are there.
    """

    def __init__(self, text: str = "", lines: Iterable[str] = ()) -> None:
        self.text = text
        self._pattern = re.compile(re.escape(text), 0 if text != text.lower() else re.IGNORECASE)
        # A line keeps its number when others go: its place is so much less as have gone.
        self._gone = 0
        self._end = 0
        self._numbers: list[int] = []
        self._here = -1
        self.extend(lines)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def looked_through(self) -> int:
        """How many lines have been looked through, those that have gone too."""
        return self._end

    @property
    def here(self) -> int:
        """The place of the hit that a person has gone to; below zero when there is none, or it has gone."""
        return self._here - self._gone

    @property
    def rank(self) -> int:
        """Which of the hits that one is, from 1; 0 when there is none."""
        return bisect_right(self._numbers, self._here) if self.here >= 0 else 0

    def extend(self, lines: Iterable[str]) -> None:
        """Look through lines that have come at the end."""
        if not self.text:
            return
        search = self._pattern.search
        for line in lines:
            if search(line):
                self._numbers.append(self._end)
            self._end += 1

    def drop(self, count: int) -> None:
        """So many lines have gone at the beginning."""
        self._gone += count
        del self._numbers[: bisect_left(self._numbers, self._gone)]

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where the text stands in a line."""
        return [found.span() for found in self._pattern.finditer(line)] if self.text else []

    def nearest(self, place: int) -> int:
        """Go to the first hit from a place on, or else to the last one before it; its place, -1 when there is none."""
        found = bisect_left(self._numbers, place + self._gone)
        return self._go(min(found, len(self._numbers) - 1))

    def after(self, place: int) -> int:
        """Go to the first hit from a place on; after the last comes the first."""
        return self._go(bisect_left(self._numbers, place + self._gone))

    def before(self, place: int) -> int:
        """Go to the last hit before a place; before the first comes the last."""
        return self._go(bisect_left(self._numbers, place + self._gone) - 1)

    def _go(self, rank: int) -> int:
        if not self._numbers:
            return -1
        self._here = self._numbers[rank % len(self._numbers)]
        return self.here

    def forget_here(self) -> None:
        """A person has gone elsewhere."""
        self._here = -1
