"""The snapshot: the state of the system at one moment, as views show it."""

import enum

import msgspec

from core.model import Counters, Depth, Ledger, Role, RunningTask, Task


class Presence(enum.StrEnum):
    """What a view shows of a process's state."""

    ONLINE = "online"
    """Ready, without a running task."""
    BUSY = "busy"
    STALLED = "stalled"
    """Alive, but each thread has run the same task for a long time, so that no other task can begin."""
    STARTING = "starting"
    DRAINING = "draining"
    """Finishing its tasks, taking no new ones."""
    TROUBLED = "troubled"
    """Unable to reach the broker or the journal; `troubles` has the reasons."""
    LOST = "lost"
    """Without a heartbeat: it died, or can't write to the journal."""
    LEFT = "left"
    """Ended in good order."""


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """A server or worker."""

    number: int = 0
    """Its number in the journal."""
    role: Role
    name: str
    host: str
    pid: int
    address: str
    threads: int
    presence: Presence
    troubles: tuple[str, ...] = ()
    seen_at: float
    counters: Counters
    rate: float
    """Tasks accepted by a server, or attempts ended by a worker, per second over the last seconds."""
    in_hand: tuple[RunningTask, ...]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the system at one moment."""

    taken_at: float = 0.0
    ledger: Ledger = Ledger()
    rate_in: float = 0.0
    """Tasks accepted per second."""
    rate_out: float = 0.0
    """Attempts ended per second."""
    depth: Depth | None = None
    """The broker's depth, or None when it is not known."""
    processes: tuple[ProcessView, ...] = ()
    latest: tuple[Task, ...] = ()
    """The tasks that ended last, newest first."""
    trouble: str = ""
    """Why the snapshot is incomplete, or an empty string when it is complete."""


EMPTY = Snapshot()
