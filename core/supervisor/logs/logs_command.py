"""What the command `logs` does: the last lines, and then what comes. It prints nothing itself."""

from collections.abc import Callable, Sequence

from core.supervisor.home import Home
from core.supervisor.logs.log_reading import Follower, LogFilter, LogLine, tail

LOOK_EVERY = 0.25
"""Seconds between two looks at what was written."""


def show(
    home: Home,
    names: Sequence[str] | None,
    *,
    most: int,
    follow: bool,
    wanted: LogFilter,
    write: Callable[[LogLine], None],
    stop: Callable[[float], bool],
) -> None:
    """Hand over the last lines, and with `follow` those that come.

    Args:
        home: of the data directory.
        names: of processes; all when None.
        most: how many of the last lines.
        follow: whether to go on.
        wanted: which lines.
        write: takes each line.
        stop: waits so many seconds, and says whether to end.

    Raises:
        SupervisorError: there is no log of a name.
    """
    # Before the last lines are read: what is written meanwhile may be shown twice, but is never missed.
    follower = Follower(home, names) if follow else None
    for line in tail(home, names, most, wanted):
        write(line)
    while follower is not None and not stop(LOOK_EVERY):
        for line in follower.read():
            if wanted.passes(line):
                write(line)
