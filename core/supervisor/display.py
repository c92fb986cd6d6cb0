"""Short texts about the system for users. Pure: values in, text out."""

from collections.abc import Sequence

from core.supervisor.status import SystemStatus


def waiting_for(report: SystemStatus) -> str:
    """Describe which processes a stop waits for, and for how long."""
    names = ", ".join(unit.name for unit in report.stopping)
    left = max((unit.kill_in or 0.0 for unit in report.stopping), default=0.0)
    return f"waiting for {names}: killed in {left:.0f} s"


def not_ready(report: SystemStatus) -> str:
    """List the processes that are not ready, each with the reason if it is known."""
    pending = [unit for unit in report.processes if unit.state not in {"ready", "stopped"}]
    return ", ".join(f"{unit.name} ({unit.note})" if unit.note else unit.name for unit in pending)


def describe_orphans(named: Sequence[tuple[str, int]], others: int) -> str:
    """Describe the processes that run without a supervisor.

    Args:
        named: the names and ids of those that the supervisor had started.
        others: the number of further processes, which those have started.
    """
    texts = [f"{name} (pid {pid})" for name, pid in named]
    if others:
        texts.append(f"{others} more that they have started" if texts else f"{others} processes without a known name")
    return ", ".join(texts)
