"""Numbers, durations and times as text for people. Pure."""

import datetime

_COARSE_UNITS = ((60.0, "s", 1.0), (3600.0, "min", 60.0), (172_800.0, "h", 3600.0))


def count(number: float) -> str:
    """Return a number with thousands separators."""
    return f"{number:,.0f}"


def short(number: int) -> str:
    """Return a number in at most six characters: `12,345`, `123k`, `1.23M`."""
    for above, size, sign in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if number >= above:
            whole = number / size
            return f"{whole:.{2 if whole < 10 else 1 if whole < 100 and sign != 'k' else 0}f}{sign}"
    return f"{number:,}"


def ordinal(number: int) -> str:
    """Return an ordinal number: `1st`, `2nd`, `11th`."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def rate(number: float | None) -> str:
    """Return a rate with one decimal below ten, or a question mark when it is not known."""
    if number is None:
        return "?"
    if number >= 9.95 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.1f}"


def per_second(count: int, seconds: float) -> str:
    """Return a count over a time as a rate: `1,234/s`."""
    return f"{count / seconds:,.0f}/s" if seconds > 0 else "-/s"


def progress(done: float, total: float | None) -> str:
    """Return how far something is: `3/10 (30%)`, or `3` when the total is not known."""
    if total is None:
        return _amount(done)
    share = f" ({100 * done / total:.0f}%)" if total > 0 else ""
    return f"{_amount(done)}/{_amount(total)}{share}"


def _amount(number: float) -> str:
    if abs(number) >= 1e15:
        return f"{number:.3g}"
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}"


def precise_duration(seconds: float) -> str:
    """Return a duration with one decimal: `12.3 ms`, `4.5 s`. From two minutes on it is in whole minutes."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s" if abs(seconds) < 120 else f"{seconds / 60:.0f} min"


def coarse_duration(seconds: float) -> str:
    """Return a duration in its largest whole unit: `59 s`, `5 min`, `47 h`, `3 d`."""
    for below, unit, length in _COARSE_UNITS:
        if seconds < below:
            return f"{max(0.0, seconds) // length:.0f} {unit}"
    return f"{seconds // 86_400:.0f} d"


def compact_duration(seconds: float | None) -> str:
    """Return a duration in at most seven characters, from microseconds to days, or nothing for None."""
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


def time_of_day(moment: float | None, zone: datetime.tzinfo | None = None) -> str:
    """Return hours, minutes and seconds in the local or the given time zone, or nothing for None."""
    if moment is None:
        return ""
    return f"{datetime.datetime.fromtimestamp(moment, zone or _local_zone(moment)):%H:%M:%S}"


def timestamp(moment: float | None, zone: datetime.tzinfo | None = None) -> str:
    """Return date and time to the millisecond in the local or the given time zone, or nothing for None.

    A moment outside the calendar is returned as its number.
    """
    if moment is None:
        return ""
    try:
        return f"{datetime.datetime.fromtimestamp(moment, zone or _local_zone(moment)):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    except (OverflowError, OSError, ValueError):
        return f"{moment:.3f}"


def _local_zone(moment: float) -> datetime.tzinfo | None:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).astimezone().tzinfo


def memory(size: int | None) -> str:
    """Return bytes in mebibytes, or nothing for None."""
    return "" if size is None else f"{size / 2**20:,.0f} MiB"


def megabytes(size: int) -> str:
    """Return bytes in megabytes, as disks are labelled, with one decimal below ten."""
    return f"{size / 1_000_000:,.1f} MB" if size < 10_000_000 else f"{size / 1_000_000:,.0f} MB"


def processor_share(part: float | None) -> str:
    """Return a share of one processor in per cent, or nothing for None."""
    return "" if part is None else f"{100 * part:.0f}%"
