"""Replacements for terminals and fonts without lines, braille dots, bars and marks.

Widgets draw with all glyphs; this filter replaces those that the terminal lacks. A replacement is as wide as the glyph.
"""

import codecs
from collections.abc import Mapping

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

AUTO, UNICODE, ASCII = "auto", "unicode", "ascii"
_LIMITED_TERMINALS = frozenset({"", "linux", "dumb", "ansi", "unknown", "cons25", "wsvt25", "sun"})
_WESTERN = "latin-1"
"""The encoding for a limited terminal that takes UTF-8: besides ASCII, it has the characters of western Europe."""


def encoding_for(wanted: str, encoding: str | None, terminal: str) -> str:
    """Return the encoding to which the drawing is limited; empty for a terminal that has every glyph.

    Args:
        wanted: `auto`, `unicode` or `ascii`.
        encoding: the encoding of the output to the terminal.
        terminal: the name of the terminal, from `TERM`.
    """
    universal = _is_universal(encoding)
    limited = terminal in _LIMITED_TERMINALS or terminal.startswith("vt")
    if wanted == UNICODE or (wanted == AUTO and universal and not limited):
        return ""
    return _WESTERN if universal else encoding or "ascii"


def _is_universal(encoding: str | None) -> bool:
    return encoding is not None and codecs.lookup(encoding).name.startswith("utf")


def _braille(dots: int) -> str:
    """Return a replacement for braille dots, by the rows that they occupy, from the top."""
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
    """Replacements by character, for `str.translate`."""

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


class GlyphFilter(LineFilter):
    """Replaces the glyphs that a terminal lacks.

    Keep one instance: Textual caches lines by the filters that were applied.

    Args:
        encoding: the encoding of the terminal; empty disables the filter. Characters that have no replacement and are
            not in the encoding become question marks.
    """

    def __init__(self, encoding: str = "") -> None:
        super().__init__(enabled=bool(encoding))
        self._table = _Table(_SIGNS, encoding)

    def text(self, text: str) -> str:
        """Return a text with its glyphs replaced."""
        return text if text.isascii() else text.translate(self._table)

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Replace the glyphs of one line."""
        return [
            segment if segment.control or segment.text.isascii() else Segment(self.text(segment.text), segment.style)
            for segment in segments
        ]
