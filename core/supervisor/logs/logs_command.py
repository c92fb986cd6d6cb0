"""The command `logs`: the last lines, then new ones. It prints nothing itself."""

from collections.abc import Callable, Sequence

from core.supervisor.home import Home
from core.supervisor.logs.log_reading import Follower, LogFilter, LogLine, tail

FOLLOW_INTERVAL = 0.25
"""Seconds between two reads while following."""


def show(
    home: Home,
    names: Sequence[str] | None,
    *,
    limit: int,
    follow: bool,
    log_filter: LogFilter,
    write: Callable[[LogLine], None],
    wait: Callable[[float], bool],
) -> None:
    """Write the last lines and, with `follow`, new ones as they come.

    Args:
        home: the paths of the data directory.
        names: the processes; all when None.
        limit: the most lines to write before new ones.
        follow: whether to go on with new lines.
        log_filter: selects the lines.
        write: called with each line.
        wait: waits for a number of seconds, and returns whether to end.

    Raises:
        SupervisorError: a process has no log.
    """
    # Opened before the last lines are read: what is written meanwhile may be shown twice, but is never missed.
    follower = Follower(home, names) if follow else None
    for line in tail(home, names, limit, log_filter):
        write(line)
    while follower is not None and not wait(FOLLOW_INTERVAL):
        for line in follower.read():
            if log_filter.passes(line):
                write(line)
