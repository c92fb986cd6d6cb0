"""The identity of a process of this machine: its id and its start time, as the system reuses ids."""

import msgspec

TOLERANCE = 2.0
"""Seconds by which two readings of a start time may differ: both are computed from the clock, which can be set.

Linux tells the time of its start in whole seconds. A small correction of the clock moves it, and every start time, by
a whole second.
"""


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process, distinguished from a later one with the same id."""

    pid: int
    started: float


def identify(pid: int) -> ProcessIdentity | None:
    """Identify the process that has this id now. Returns None when there is none, or only a zombie."""
    import psutil  # it takes long to load, and a program that runs where no system does needs none of it

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessIdentity(pid, process.create_time())
    except (psutil.Error, ValueError, OverflowError):  # a file may hold a number that is no process id
        return None


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether this very process still runs."""
    now = identify(identity.pid)
    return now is not None and abs(now.started - identity.started) <= TOLERANCE
