"""Text as the console draws it: untrusted text made harmless, sparklines, indented JSON. All functions are pure."""

import json

from rich.cells import cell_len, set_cell_size

from core import formatting
from core.logs import printable
from core.model import Attempt, RunningOn
from tui.translations import Translations

_SPARKS = "▁▂▃▄▅▆▇█"
_VARIATION_SELECTORS = {0xFE0E: None, 0xFE0F: None}
LONGEST = 400


def clean(text: str, longest: int = LONGEST) -> str:
    """Return untrusted text on one line, without anything that a terminal takes for a command."""
    # Terminals disagree about the width of a character with a variation selector.
    return printable(text.translate(_VARIATION_SELECTORS), longest)


def cut(text: str, width: int, *, keeps_end: bool = False) -> str:
    """Return the text, or as much of it as fits into `width` cells, with `…` where some is left out.

    Args:
        text: the text, without control characters.
        width: the number of cells.
        keeps_end: whether the end tells more than the middle, as that of a task's id does.
    """
    if cell_len(text) <= width:
        return text
    if not keeps_end or width < 4:
        return f"{set_cell_size(text, max(0, width - 1))}…"
    head = set_cell_size(text, (width - 1) // 3)
    end = text
    while cell_len(end) > width - 1 - cell_len(head):
        end = end[1:]
    return f"{head}…{end}"


def clean_lines(text: str, tr: Translations, most: int = 5000, longest: int = 4000) -> list[str]:
    """Return untrusted text line by line, without anything that a terminal takes for a command."""
    lines = text.expandtabs(4).split("\n")
    shown = [clean(line.rstrip("\r"), longest) for line in lines[:most]]
    left = len(lines) - most
    return [*shown, tr.count(left, "… {count} more line", "… {count} more lines")] if left > 0 else shown


def sparkline(values: tuple[float, ...], width: int, most: float | None = None) -> str:
    """Draw the last values as bars from zero.

    Args:
        values: the values, the oldest first.
        width: the number of characters; each stands for the mean of several values.
        most: the value of a full bar; None takes the largest.
    """
    if width <= 0:
        return ""
    each = max(1, len(values) // width)
    kept = values[len(values) - each * (len(values) // each) :]
    means = [sum(kept[place : place + each]) / each for place in range(0, len(kept), each)][-width:]
    top = max(means, default=0.0) if most is None else most
    bars = "".join(_bar(value, top) for value in means)
    return bars.rjust(width)


def _bar(value: float, top: float) -> str:
    if value <= 0 or top <= 0:
        return " "
    return _SPARKS[min(len(_SPARKS) - 1, int(value / top * len(_SPARKS)))]


def progress(attempt: RunningOn | Attempt) -> str:
    """Return how far an attempt is, or else what it has noted last; an empty string when it says nothing."""
    if attempt.progress is not None:
        amount = formatting.progress(attempt.progress.done, attempt.progress.total)
        return clean(f"{amount} {attempt.progress.text}".rstrip())
    return clean(attempt.notes[-1].text) if attempt.notes else ""


def pretty(text: str, longest: int = 200_000) -> str:
    """Return JSON text indented. Text that is too long, or not JSON, is returned unchanged."""
    if len(text) > longest:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def as_json(value: object) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False)
