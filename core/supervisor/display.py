"""What the supervisor says to people in a few characters. Pure: values in, text out."""

from collections.abc import Sequence

from core.supervisor.status import SystemStatus

_SPANS = ((60.0, "s", 1.0), (3600.0, "min", 60.0), (172_800.0, "h", 3600.0))


def duration(seconds: float) -> str:
    """A time span, in its largest whole unit."""
    for below, unit, length in _SPANS:
        if seconds < below:
            return f"{max(0.0, seconds) // length:.0f} {unit}"
    return f"{seconds // 86_400:.0f} d"


def memory(size: int | None) -> str:
    """Bytes, in mebibytes; nothing when not known."""
    return "" if size is None else f"{size / 2**20:.0f} MiB"


def processor(share: float | None) -> str:
    """A share of one processor, in per cent; nothing when not known."""
    return "" if share is None else f"{100 * share:.0f}%"


def waiting_for(report: SystemStatus) -> str:
    """Say on whom a stop waits, and how long it still does."""
    names = ", ".join(part.name for part in report.holding)
    left = max((part.kill_in or 0.0 for part in report.holding), default=0.0)
    return f"waiting for {names}: killed in {left:.0f} s"


def not_ready(report: SystemStatus) -> str:
    """Say which processes are not ready, and why as far as it is known."""
    late = [part for part in report.processes if part.state not in {"ready", "stopped"}]
    return ", ".join(f"{part.name} ({part.note})" if part.note else part.name for part in late)


def left_behind(named: Sequence[tuple[str, int]], others: int) -> str:
    """Say what runs without a supervisor.

    Args:
        named: the processes that it had started, by name and process id.
        others: how many more there are, which those have started.
    """
    told = [f"{name} (pid {pid})" for name, pid in named]
    if others:
        told.append(f"{others} more{' that they have started' if told else ', which are known by no name'}")
    return ", ".join(told)
