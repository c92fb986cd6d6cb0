"""A filter that keeps control characters from the terminal, whichever widget draws them.

Untrusted texts are cleaned where they enter; this is the second line of defence.
"""

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class ControlFilter(LineFilter):
    """Removes control characters. Keep one instance: Textual caches lines by the filters that were applied."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Remove the control characters of one line."""
        if not any(_CONTROL.search(segment.text) for segment in segments):
            return segments
        return [
            Segment(_CONTROL.sub("", segment.text), segment.style, segment.control) if segment.text else segment
            for segment in segments
        ]
