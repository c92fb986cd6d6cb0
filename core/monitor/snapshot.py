"""The snapshot: everything that a view shows of one moment."""

import enum

import msgspec

from core.model import Counters, Depth, Ledger, Role, RunningTask, Task


class Presence(enum.StrEnum):
    """How a process is."""

    ONLINE = "online"
    """Ready, with nothing in hand."""
    BUSY = "busy"
    STALLED = "stalled"
    """Every thread has held its task for long, and none of them ends: it lives, and does nothing for anybody else."""
    STARTING = "starting"
    DRAINING = "draining"
    """Finishing what it holds, taking nothing more."""
    TROUBLED = "troubled"
    """It can't reach the broker or the journal; `troubles` say why."""
    LOST = "lost"
    """Without a sign of life."""
    LEFT = "left"
    """Ended in good order."""


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """One server or worker."""

    number: int = 0
    """By which the journal knows it."""
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
    """Tasks a second of late: accepted by a server, ended by a worker."""
    in_hand: tuple[RunningTask, ...]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one moment."""

    taken_at: float = 0.0
    ledger: Ledger = Ledger()
    rate_in: float = 0.0
    """Tasks accepted a second, of late."""
    rate_out: float = 0.0
    """Tasks ended a second, of late."""
    depth: Depth | None = None
    """None when the broker can't be asked."""
    processes: tuple[ProcessView, ...] = ()
    latest: tuple[Task, ...] = ()
    """Ended tasks, the last ended first."""
    trouble: str = ""
    """Why the snapshot is not whole."""


EMPTY = Snapshot()
