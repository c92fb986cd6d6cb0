"""Numbers, times and the texts of strangers as a few characters. Pure: values in, text out."""

import datetime
import json

from core.logs import printable

_SPARKS = "▁▂▃▄▅▆▇█"
_VARIATION_SELECTORS = {0xFE0E: None, 0xFE0F: None}
LONGEST = 400


def clean(text: str, longest: int = LONGEST) -> str:
    """The text of a stranger on one line, with nothing that a terminal could take for a command."""
    # Terminals disagree about the width of a character with a variation selector.
    return printable(text.translate(_VARIATION_SELECTORS), longest)


def clean_lines(text: str, most: int = 5000, longest: int = 4000) -> list[str]:
    """The text of a stranger line by line, with nothing that a terminal could take for a command."""
    lines = text.expandtabs(4).split("\n")
    shown = [clean(line.rstrip("\r"), longest) for line in lines[:most]]
    return [*shown, f"… {len(lines) - most:,} more lines"] if len(lines) > most else shown


def count(number: float) -> str:
    """A number with its thousands parted."""
    return f"{number:,.0f}"


def short(number: int) -> str:
    """A number in at most six characters."""
    for above, size, sign in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if number >= above:
            whole = number / size
            return f"{whole:.{2 if whole < 10 else 1 if whole < 100 and sign != 'k' else 0}f}{sign}"
    return f"{number:,}"


def rate(number: float) -> str:
    """Tasks a second."""
    if number >= 9.95 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.1f}"


def span(seconds: float | None) -> str:
    """A span of time, in at most seven characters: from microseconds to days."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"
    if seconds < 59.5:
        return f"{seconds:.{1 if seconds < 9.95 else 0}f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    if whole < 100 * 86_400:
        return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"
    return f"{whole // 86_400:,}d"


def clock(moment: float | None, zone: datetime.tzinfo | None = None) -> str:
    """The time of day."""
    if moment is None:
        return ""
    return f"{datetime.datetime.fromtimestamp(moment, zone or _local(moment)):%H:%M:%S}"


def stamp(moment: float | None, zone: datetime.tzinfo | None = None) -> str:
    """Date and time, to the millisecond."""
    if moment is None:
        return ""
    return f"{datetime.datetime.fromtimestamp(moment, zone or _local(moment)):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _local(moment: float) -> datetime.tzinfo | None:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).astimezone().tzinfo


def memory(size: int | None) -> str:
    """Bytes, in mebibytes."""
    return "" if size is None else f"{size / 2**20:,.0f} MiB"


def share(part: float | None) -> str:
    """A share of one processor, in per cent."""
    return "" if part is None else f"{100 * part:.0f}%"


def sparkline(values: tuple[float, ...], width: int, most: float | None = None) -> str:
    """The last values as bars, from zero up.

    Args:
        values: the oldest first.
        width: characters; each stands for as many values as it takes.
        most: what a whole bar is; the largest value when None.
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


def pretty(text: str, longest: int = 200_000) -> str:
    """JSON text, indented; as it is when it is none, or too long for it."""
    if len(text) > longest:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def as_json(value: object) -> str:
    """A payload as JSON text."""
    return json.dumps(value, ensure_ascii=False)
