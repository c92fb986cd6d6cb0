"""The snapshot: the state of the system at one moment, as views show it."""

import enum

import msgspec

from core.model import Counters, Depth, Ledger, Role, RunningTask, Task, Trouble

LOST_LISTED = 60.0
"""Seconds for which a process that was lost is listed among those that run."""


class Presence(enum.StrEnum):
    """What a view shows of a process's state."""

    ONLINE = "online"
    """Ready, without a running task."""
    BUSY = "busy"
    STARTING = "starting"
    DRAINING = "draining"
    """Finishing its tasks, taking no new ones."""
    TROUBLED = "troubled"
    """Alive, and kept from working; `troubles` has the reasons."""
    UNKNOWN = "unknown"
    """No heartbeat was seen lately, or none at all yet, and nobody says whether it runs. It counts as nobody."""
    LOST = "lost"
    """It died, or has not written to the journal for long."""
    LEFT = "left"
    """Ended as was wanted."""

    @property
    def alive(self) -> bool:
        """Whether the process certainly runs."""
        return self not in _NOT_ALIVE

    @property
    def gone(self) -> bool:
        """Whether the process counts as ended."""
        return self in _GONE


_GONE = frozenset({Presence.LOST, Presence.LEFT})
_NOT_ALIVE = _GONE | {Presence.UNKNOWN}


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """A server or worker."""

    number: int = 0
    """Its number in the journal."""
    life: int = 1
    """Counts the processes of this role, name and host, up to this one."""
    role: Role
    name: str
    host: str
    pid: int
    address: str
    threads: int
    presence: Presence
    troubles: tuple[Trouble, ...] = ()
    seen_at: float
    counters: Counters
    rate: float | None
    """Tasks accepted by a server, or attempts ended by a worker, per second over the last seconds; None when unknown.

    It is unknown until a process has stored two samples.
    """
    in_hand: tuple[RunningTask, ...]
    kinds: tuple[str, ...] = ()
    """The kinds of task that a worker runs; empty when they are not known."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the system at one moment."""

    taken_at: float = 0.0
    ledger: Ledger = Ledger()
    rate_in: float | None = None
    """Tasks accepted per second; None when it is not known."""
    rate_out: float | None = None
    """Tasks ended per second; None when it is not known."""
    depth: Depth | None = None
    """The broker's depth, or None when it is not known."""
    processes: tuple[ProcessView, ...] = ()
    """The servers and workers by role and name, with those that have ended in the last hour."""
    latest: tuple[Task, ...] = ()
    """The tasks that ended last, newest first."""
    troubles: tuple[Trouble, ...] = ()
    """Why the snapshot is incomplete; empty when it is complete."""

    @property
    def is_certain(self) -> bool:
        """Whether it is known of each process whether it runs."""
        return all(process.presence is not Presence.UNKNOWN for process in self.processes)

    @property
    def listed(self) -> tuple[ProcessView, ...]:
        """One process for each name: the last that has not ended, or one that was lost within the last minute."""
        last: dict[tuple[Role, str, str], ProcessView] = {}
        for process in sorted(self.processes, key=lambda process: (not process.presence.gone, process.number)):
            last[process.role, process.host, process.name] = process
        numbers = {process.number for process in last.values() if self._is_news(process)}
        return tuple(process for process in self.processes if process.number in numbers)

    @property
    def ended(self) -> tuple[ProcessView, ...]:
        """The processes that are not listed: they left, were lost a while ago, or have a successor of their name."""
        numbers = {process.number for process in self.listed}
        return tuple(process for process in self.processes if process.number not in numbers)

    def _is_news(self, process: ProcessView) -> bool:
        if process.presence is Presence.LOST:
            return self.taken_at - process.seen_at < LOST_LISTED
        return process.presence is not Presence.LEFT


EMPTY = Snapshot()
