"""The observer: makes snapshots of the journal, and of what is told about the broker.

It belongs to one thread, and only reads.
"""

from collections.abc import Mapping

from core.errors import JournalError
from core.heartbeat import Liveness
from core.model import Depth, Ledger, ProcessPhase, ProcessRecord, Role
from core.monitor.rates import WINDOW, rates
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.repository.base import OpenRepository, Repository

STALLED_AFTER = 60.0
"""Seconds that every thread of a worker has held its task, after which the worker is called stalled."""

LOST_SHOWN = 3600.0
"""Seconds for which a process that died is shown."""


class Observer:
    """Looks at one journal, again and again; it waits for one that is not there yet.

    Args:
        open_repository: opens the journal for reading.
        latest: how many ended tasks a snapshot holds.
    """

    def __init__(self, open_repository: OpenRepository, latest: int = 10) -> None:
        self._open = open_repository
        self._latest = latest
        self._repository: Repository | None = None
        self._liveness = Liveness()

    def take_snapshot(self, now: float, wall: float, depth: Depth | None, trouble: str = "") -> Snapshot:
        """Make the snapshot of this moment.

        Args:
            now: the monotonic time.
            wall: seconds since the epoch.
            depth: how many messages the broker holds, if that is known.
            trouble: what is wrong with the broker.
        """
        try:
            if self._repository is None:
                self._repository = self._open()
            return self._read(self._repository, now, wall, depth, trouble)
        except JournalError as error:
            self.close()
            return Snapshot(taken_at=wall, depth=depth, trouble=str(error))

    def close(self) -> None:
        """Close the journal, if it is open."""
        if self._repository is not None:
            self._repository.close()
            self._repository = None

    def _read(self, repository: Repository, now: float, wall: float, depth: Depth | None, trouble: str) -> Snapshot:
        records = sorted(repository.processes(), key=lambda record: (record.role, record.name, record.number))
        self._liveness.observe(records, now)
        by_number = rates(repository.samples(int(wall) - WINDOW - 1), int(wall))
        views = tuple(
            view
            for view in (self._view(record, by_number, now) for record in records)
            if view.presence is not Presence.LOST or wall - view.seen_at < LOST_SHOWN
        )
        running = sum(len(view.in_hand) for view in views)
        return Snapshot(
            taken_at=wall,
            ledger=Ledger.of(repository.counts(), running),
            rate_in=sum(view.rate for view in views if view.role is Role.SERVER),
            rate_out=sum(view.rate for view in views if view.role is Role.WORKER),
            depth=depth,
            processes=views,
            latest=tuple(repository.latest(self._latest)),
            trouble=trouble,
        )

    def _view(self, record: ProcessRecord, by_number: Mapping[int, float], now: float) -> ProcessView:
        presence = presence_of(record, alive=self._liveness.is_alive(record, now))
        gone = presence in {Presence.LOST, Presence.LEFT}
        return ProcessView(
            number=record.number,
            role=record.role,
            name=record.name,
            host=record.host,
            pid=record.pid,
            address=record.address,
            threads=record.threads,
            presence=presence,
            troubles=record.troubles,
            seen_at=record.seen_at,
            counters=record.counters,
            rate=0.0 if gone else by_number.get(record.number, 0.0),
            in_hand=() if gone else record.in_hand,
        )


def presence_of(record: ProcessRecord, *, alive: bool) -> Presence:
    """How a process is, from its record.

    Args:
        record: as its heartbeat wrote it.
        alive: whether the heartbeat goes on.
    """
    if record.phase is ProcessPhase.LEFT:
        return Presence.LEFT
    if not alive:
        return Presence.LOST
    if record.phase is not ProcessPhase.READY:
        return Presence(record.phase)
    if record.troubles:
        return Presence.TROUBLED
    if not record.in_hand:
        return Presence.ONLINE
    # The times in hand are of that process's clock, as the time of its heartbeat is.
    latest = max(task.since for task in record.in_hand)
    full = len(record.in_hand) >= record.threads
    return Presence.STALLED if full and record.seen_at - latest > STALLED_AFTER else Presence.BUSY
