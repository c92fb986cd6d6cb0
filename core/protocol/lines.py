"""A reader of lines within a limit: bytes in, lines out.

Only the newline byte ends a line. Other line separators (U+2028, U+0085, `CR`) are text.
Each byte is scanned once, whatever pieces it arrives in.
"""

from collections import deque


class LineTooLong(Exception):
    """A line exceeds the limit. The reader can't be used any more."""


class LineReader:
    """A reader of lines from the bytes of a socket.

    It buffers the lines that `next` has not returned yet, and the partial one. A caller that takes all lines after each
    `feed` keeps the buffer below `limit` bytes and what was fed last.

    Attributes:
        limit: bytes of the longest line, without its newline. A change applies from the next line.
        ended: the number of lines that have ended so far.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ended = 0
        self._complete: deque[bytes] = deque()
        self._partial = bytearray()

    @property
    def has_partial_line(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._partial)

    @property
    def buffered(self) -> int:
        """Bytes in the buffer."""
        return len(self._partial) + sum(map(len, self._complete))

    def feed(self, data: bytes) -> None:
        """Take bytes that the socket received."""
        pieces = data.split(b"\n")
        rest = pieces.pop()
        if pieces:
            if self._partial:
                pieces[0] = bytes(self._partial) + pieces[0]
                self._partial = bytearray()
            self._complete.extend(pieces)
            self.ended += len(pieces)
        self._partial += rest

    def next(self) -> bytes | None:
        """Return the next line without its newline, or None when none is complete.

        Raises:
            LineTooLong: the next line is longer than the limit, or will be.
        """
        if self._complete:
            line = self._complete.popleft()
            if len(line) > self.limit:
                raise LineTooLong
            return line
        if len(self._partial) > self.limit:
            raise LineTooLong
        return None

    def clear(self) -> None:
        """Empty the buffer."""
        self._complete.clear()
        self._partial = bytearray()
