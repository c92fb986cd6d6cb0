"""The second belt: no control character of any text that is drawn reaches the terminal, whichever widget draws it.

Texts of strangers are cleaned where they come in; this is for what was forgotten.
"""

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class ControlFilter(LineFilter):
    """Leaves control characters out. Keep one instance: Textual remembers lines by the filters they went through."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Clean the segments of one line."""
        if not any(_CONTROL.search(segment.text) for segment in segments):
            return segments
        return [
            Segment(_CONTROL.sub("", segment.text), segment.style, segment.control) if segment.text else segment
            for segment in segments
        ]
