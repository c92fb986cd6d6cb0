"""The observer: makes snapshots of the journal.

It only reads, and belongs to one thread. The caller passes in the state of the broker.
"""

from collections.abc import Mapping

from core.errors import JournalError
from core.heartbeat import Liveness
from core.model import Depth, Ledger, ProcessPhase, ProcessRecord, Role
from core.monitor.rates import WINDOW, rates
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.repository.base import OpenRepository, Repository

STALLED_AFTER = 60.0
"""Seconds after which a worker is stalled when each of its threads still runs the same task."""

LOST_SHOWN = 3600.0
"""Seconds for which a lost process is shown."""


class Observer:
    """Makes snapshots of one journal, which need not exist yet.

    Args:
        open_repository: opens the journal for reading.
        latest: the number of recently ended tasks in a snapshot.
    """

    def __init__(self, open_repository: OpenRepository, latest: int = 10) -> None:
        self._open = open_repository
        self._latest = latest
        self._repository: Repository | None = None
        self._liveness = Liveness()

    def take_snapshot(self, now: float, wall: float, depth: Depth | None, trouble: str = "") -> Snapshot:
        """Make a snapshot of this moment.

        Args:
            now: the monotonic time.
            wall: seconds since the epoch.
            depth: the broker's depth, if it is known.
            trouble: why the broker can't be reached, or an empty string when it can.
        """
        try:
            if self._repository is None:
                self._repository = self._open()
            return self._read(self._repository, now, wall, depth, trouble)
        except JournalError as error:
            self.close()
            return Snapshot(taken_at=wall, depth=depth, trouble=str(error))

    def close(self) -> None:
        """Close the journal if it is open."""
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
    """Return the presence of a process.

    Args:
        record: the record that its heartbeat wrote.
        alive: whether the heartbeat continues.
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
    # The times of the running tasks and of the heartbeat come from one clock, that of the process.
    latest = max(task.since for task in record.in_hand)
    full = len(record.in_hand) >= record.threads
    return Presence.STALLED if full and record.seen_at - latest > STALLED_AFTER else Presence.BUSY
