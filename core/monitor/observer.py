"""The observer: makes snapshots of the journal.

It only reads, and belongs to one thread. The caller passes in the state of the broker.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias, TypeVar

from core.errors import JournalError
from core.heartbeat import HEARTBEAT_INTERVAL, Liveness
from core.model import Depth, Ledger, Part, ProcessPhase, ProcessRecord, Role, Trouble
from core.monitor.process_table import ProcessTable
from core.monitor.rates import WINDOW, rates
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.monitor.totals import LedgerHistory
from core.repository.base import OpenRepository, Repository
from core.task_state import running_tasks

LOST_SHOWN = 3600.0
"""Seconds for which a lost process is shown."""

SILENT_AFTER = 3 * HEARTBEAT_INTERVAL
"""Seconds without a heartbeat after which nobody knows whether a process is alive.

This is only shown. What is decided, such as who may take its tasks, waits for the timeout of `Liveness`.
"""

MAX_SECOND_LOOKS = 20
"""Looks at a system, at most, until it is known of each process whether it is alive: two seconds of looking."""

T = TypeVar("T")

ProcessIdentity: TypeAlias = tuple[str, str, int]
"""The host, the name and the id of a process: another machine may have a process of the same name and id."""


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
        self._table = ProcessTable()
        self.totals = LedgerHistory()
        """The ledger of the last looks."""

    def take_snapshot(
        self,
        now: float,
        wall: float,
        depth: Depth | None,
        troubles: tuple[Trouble, ...] = (),
        supervised: Collection[ProcessIdentity] = frozenset(),
    ) -> Snapshot:
        """Make a snapshot of this moment.

        Args:
            now: the monotonic time.
            wall: seconds since the epoch.
            depth: the broker's depth, if it is known.
            troubles: why the broker can't be reached; empty when it can.
            supervised: the processes that the supervisor runs.
        """
        try:
            if self._repository is None:
                self._repository = self._open()
            return self._read(self._repository, now, wall, depth, troubles, supervised)
        except JournalError as error:
            self.close()
            return Snapshot(taken_at=wall, depth=depth, troubles=(Trouble(Part.JOURNAL, str(error)), *troubles))

    def close(self) -> None:
        """Close the journal if it is open."""
        if self._repository is not None:
            self._repository.close()
            self._repository = None

    def _read(
        self,
        repository: Repository,
        now: float,
        wall: float,
        depth: Depth | None,
        troubles: tuple[Trouble, ...],
        supervised: Collection[ProcessIdentity],
    ) -> Snapshot:
        records = sorted(repository.processes(), key=lambda record: (record.role, record.name, record.number))
        self._liveness.observe(records, now)
        ended = self._table.find_ended(records)
        by_number = rates(repository.samples(int(wall) - WINDOW - 1), int(wall))
        views = [_view(record, self._is_alive(record, now, ended, supervised), by_number) for record in records]
        shown = [view for view in views if view.presence is not Presence.LOST or wall - view.seen_at < LOST_SHOWN]
        ledger = Ledger.of(repository.counts(), len(running_tasks(shown)))
        self.totals.observe(wall, ledger)
        rate_in, rate_out = self.totals.present or (_sum(shown, Role.SERVER), _sum(shown, Role.WORKER))
        return Snapshot(
            taken_at=wall,
            ledger=ledger,
            rate_in=rate_in,
            rate_out=rate_out,
            depth=depth,
            processes=tuple(shown),
            latest=tuple(repository.latest(self._latest)),
            troubles=troubles,
        )

    def _is_alive(
        self, record: ProcessRecord, now: float, ended: Collection[int], supervised: Collection[ProcessIdentity]
    ) -> bool | None:
        """Return whether a process is alive, or None when nobody knows."""
        if record.number in ended:
            return False
        beats = self._liveness.is_alive(record, now)
        if (record.host, record.name, record.pid) in supervised:
            # It has not ended. Without heartbeats it may hang, or be kept from the journal.
            return True if beats else None
        if not beats:
            return False
        silence = self._liveness.silence(record, now)
        return None if silence is None or silence >= SILENT_AFTER else True


def look_until_certain(look: Callable[[], T], snapshot_of: Callable[[T], Snapshot]) -> T:
    """Look at a system again until it is known of each process whether it is alive, but only for a short time.

    Args:
        look: looks once.
        snapshot_of: returns the snapshot that a look has made.
    """
    seen = look()
    for _ in range(MAX_SECOND_LOOKS):
        if snapshot_of(seen).is_certain:
            break
        time.sleep(HEARTBEAT_INTERVAL / 5)
        seen = look()
    return seen


def _sum(processes: Iterable[ProcessView], role: Role) -> float | None:
    """Return the rate of all processes of a role, or None when that of one is unknown."""
    total = 0.0
    for process in processes:
        if process.role is role:
            if process.rate is None:
                return None
            total += process.rate
    return total


def _view(record: ProcessRecord, alive: bool | None, by_number: Mapping[int, float]) -> ProcessView:
    presence = presence_of(record, alive=alive)
    return ProcessView(
        number=record.number,
        life=record.life,
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
        rate=0.0 if presence.gone else by_number.get(record.number),
        # A task whose worker may be alive counts as running, as it does for the servers.
        in_hand=() if presence.gone else record.in_hand,
        kinds=record.kinds,
    )


def presence_of(record: ProcessRecord, *, alive: bool | None) -> Presence:
    """Return the presence of a process.

    Args:
        record: the record that its heartbeat wrote.
        alive: whether it is alive; None when nobody knows.
    """
    if record.phase is ProcessPhase.LEFT:
        return Presence.LEFT
    if alive is None:
        return Presence.UNKNOWN
    if not alive:
        return Presence.LOST
    if record.phase is not ProcessPhase.READY:
        return Presence(record.phase)
    if record.troubles:
        return Presence.TROUBLED
    return Presence.BUSY if record.in_hand else Presence.ONLINE
