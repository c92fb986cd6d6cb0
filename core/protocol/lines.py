"""Bytes in, lines out, within a bound.

A line ends at the newline byte and nowhere else: what others take for an end (U+2028, U+0085, `CR`) is text.
Each byte is looked at once, in whatever pieces it comes.
"""

from collections import deque


class LineTooLong(Exception):
    """A line passed the limit; the reader is of no use any more."""


class LineReader:
    """Cuts what a socket delivers into lines.

    It holds the lines that were not asked for yet and the begun one. A caller that takes all lines after each `feed`
    makes it hold no more than `limit` bytes and what was fed last.

    Attributes:
        limit: the longest line, in bytes, without its newline. It may be changed, and counts from the next line.
        ended: how many lines have ended so far.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ended = 0
        self._whole: deque[bytes] = deque()
        self._begun = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a line has begun that has not ended."""
        return bool(self._begun)

    @property
    def buffered(self) -> int:
        """How many bytes are held."""
        return len(self._begun) + sum(map(len, self._whole))

    def feed(self, data: bytes) -> None:
        """Take what the socket delivered."""
        pieces = data.split(b"\n")
        rest = pieces.pop()
        if pieces:
            if self._begun:
                pieces[0] = bytes(self._begun) + pieces[0]
                self._begun = bytearray()
            self._whole.extend(pieces)
            self.ended += len(pieces)
        self._begun += rest

    def next(self) -> bytes | None:
        """Give the next line without its newline; None when there is none.

        Raises:
            LineTooLong: the next line is, or will be, longer than the limit.
        """
        if self._whole:
            line = self._whole.popleft()
            if len(line) > self.limit:
                raise LineTooLong
            return line
        if len(self._begun) > self.limit:
            raise LineTooLong
        return None

    def clear(self) -> None:
        """Forget everything that is held."""
        self._whole.clear()
        self._begun = bytearray()
