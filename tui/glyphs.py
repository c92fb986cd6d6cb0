"""Signs for terminals and fonts that have no others than those of ASCII: lines, dots of braille, bars and marks.

What is drawn is drawn with all signs, by whichever widget; each line goes through here on its way to the terminal.
A sign is as wide as what it stands for.
"""

import codecs
from collections.abc import Mapping

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

AUTO, UNICODE, ASCII = "auto", "unicode", "ascii"
_POOR = frozenset({"", "linux", "dumb", "ansi", "unknown", "cons25", "wsvt25", "sun"})
_LETTERS = "latin-1"
"""What such a terminal has beside ASCII when it takes UTF-8: the letters of western Europe."""


def encoding_for(wanted: str, encoding: str | None, terminal: str) -> str:
    """What is drawn has to keep to this encoding; empty for a terminal that has every sign.

    Args:
        wanted: `auto`, `unicode` or `ascii`.
        encoding: of what the terminal is written.
        terminal: its name, as `TERM` tells it.
    """
    universal = _is_universal(encoding)
    poor = terminal in _POOR or terminal.startswith("vt")
    if wanted == UNICODE or (wanted == AUTO and universal and not poor):
        return ""
    return _LETTERS if universal else encoding or "ascii"


def _is_universal(encoding: str | None) -> bool:
    return encoding is not None and codecs.lookup(encoding).name.startswith("utf")


def _braille(dots: int) -> str:
    """A sign for dots of braille, by the rows that they stand in, from the top."""
    rows = [bool(dots & mask) for mask in (0x09, 0x12, 0x24, 0xC0)]
    if sum(rows) > 2 or dots == 0:
        return "|" if dots else " "
    if rows[0] and rows[3]:
        return ":"
    return "'" if rows[0] else "_" if rows[3] else "-"


_SIGNS = {
    "●": "o",
    "○": ".",
    "◐": "(",
    "◑": ")",
    "▲": "^",
    "▼": "v",
    "▶": ">",
    "✓": "+",
    "✖": "x",
    "↻": "@",
    "▪": "#",
    "·": "-",
    "…": "~",
    "↑": "^",
    "↓": "v",
    "←": "<",
    "→": ">",
    "µ": "u",
    "—": "-",
    "–": "-",
    "①": "1",
    "②": "2",
    "③": "3",
    "④": "4",
    "\N{NO-BREAK SPACE}": " ",
    **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
    **{chr(0x2800 + dots): _braille(dots) for dots in range(256)},
    **dict.fromkeys(map(chr, range(0x2500, 0x2580)), "+"),
    **dict.fromkeys("─━┄┅┈┉╌╍═╴╶╸╺╼╾▔", "-"),
    **dict.fromkeys("│┃┆┇┊┋╎╏║╵╷╹╻╽╿▏▎▍▌▋▊▉▐▕", "|"),
}


class _Table(dict[int, str]):
    """Signs by the characters that they stand for, which `str.translate` looks up."""

    def __init__(self, signs: Mapping[str, str], encoding: str) -> None:
        super().__init__({ord(character): sign for character, sign in signs.items()})
        self._encoding = encoding

    def __missing__(self, key: int) -> str:
        character = chr(key)
        try:
            character.encode(self._encoding)
        except UnicodeEncodeError:
            return "?" * cell_len(character)
        return character


class Plain(LineFilter):
    """Puts those signs in the place of others.

    Keep one instance: Textual remembers lines by the filters they went through.

    Args:
        encoding: what it leaves as it is; the rest becomes question marks. Empty to leave everything.
    """

    def __init__(self, encoding: str = "") -> None:
        super().__init__(enabled=bool(encoding))
        self._table = _Table(_SIGNS, encoding)

    def text(self, text: str) -> str:
        """A text with these signs."""
        return text if text.isascii() else text.translate(self._table)

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Change the segments of one line."""
        return [
            segment if segment.control or segment.text.isascii() else Segment(self.text(segment.text), segment.style)
            for segment in segments
        ]
