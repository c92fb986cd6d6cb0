"""What the supervisor says to people in a few characters. Pure: values in, text out."""

from collections.abc import Sequence

from core.supervisor.status import SystemStatus


def waiting_for(report: SystemStatus) -> str:
    """Say on whom a stop waits, and how long it still does."""
    names = ", ".join(part.name for part in report.stopping)
    left = max((part.kill_in or 0.0 for part in report.stopping), default=0.0)
    return f"waiting for {names}: killed in {left:.0f} s"


def not_ready(report: SystemStatus) -> str:
    """Say which processes are not ready, and why as far as it is known."""
    late = [part for part in report.processes if part.state not in {"ready", "stopped"}]
    return ", ".join(f"{part.name} ({part.note})" if part.note else part.name for part in late)


def describe_orphans(named: Sequence[tuple[str, int]], others: int) -> str:
    """Say what runs without a supervisor.

    Args:
        named: the processes that it had started, by name and process id.
        others: how many more there are, which those have started.
    """
    told = [f"{name} (pid {pid})" for name, pid in named]
    if others:
        told.append(f"{others} more{' that they have started' if told else ', which are known by no name'}")
    return ", ".join(told)
