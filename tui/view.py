"""The view: everything that the console shows of one moment, as one value. Widgets are functions of it.

It is made by a poller in its own thread, and knows nothing of widgets.
"""

import enum
from collections.abc import Mapping

import msgspec

from core.model import Ledger, Role
from core.monitor.delays import Delays
from core.monitor.history import RateSeries
from core.monitor.snapshot import EMPTY as NOTHING_SEEN
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.repository.archive import OperationRecord
from core.supervisor.status import Phase, SystemStatus, UnitStatus

CHART_SECONDS = 300
"""How far back the charts reach."""


class Health(enum.StrEnum):
    """How the system is, in a word."""

    EMPTY = "nothing runs"
    STARTING = "starting"
    READY = "ready"
    TROUBLED = "trouble"
    STOPPING = "stopping"
    UNKNOWN = "looking"
    """Nothing was looked at yet."""


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One worker or server."""

    process: ProcessView
    history: tuple[float, ...] = ()
    """Tasks in each of the last seconds, the oldest first."""
    delays: Delays | None = None
    part: UnitStatus | None = None
    """What the supervisor knows of it, when it runs here."""


class StartView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a start of the system is that was asked for here."""

    under_way: bool = False
    parts: tuple[UnitStatus, ...] = ()
    """How each process stands, as far as it is known."""
    trouble: str = ""
    """Why it failed."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one moment."""

    number: int = 0
    """Grows with each; 0 when nothing was looked at yet."""
    snapshot: Snapshot = NOTHING_SEEN
    chart: RateSeries = RateSeries()
    workers: tuple[WorkerRow, ...] = ()
    servers: tuple[WorkerRow, ...] = ()
    delays: Delays | None = None
    """Of all workers together."""
    report: SystemStatus | None = None
    """None when no supervisor runs in this directory."""
    supervisor_trouble: str = ""
    """Why the supervisor can't be asked."""
    broker: str = ""
    """What carries the tasks, without a password."""
    directory: str = ""
    database: str = ""
    kinds: tuple[str, ...] = ()
    """Kinds of task that have been submitted of late."""
    operations: tuple[OperationRecord, ...] = ()
    """What operators did of late, the last first."""
    lacks: str = ""
    """What the journal can't tell, since an older version has written it."""

    @property
    def ledger(self) -> Ledger:
        """The books."""
        return self.snapshot.ledger

    @property
    def now(self) -> float:
        """When it was taken, in seconds since the epoch."""
        return self.snapshot.taken_at

    @property
    def listen(self) -> str:
        """Where clients connect; empty when nothing listens."""
        if self.report is not None:
            return self.report.listen
        alive = (row.process for row in self.servers if row.process.presence not in _GONE)
        return next((process.address for process in alive if process.address), "")

    @property
    def alive(self) -> bool:
        """Whether any server or worker works, started by whomever."""
        return any(process.presence not in _GONE for process in self.snapshot.processes)

    @property
    def light(self) -> Health:
        """How the system is."""
        if not self.number:
            return Health.UNKNOWN
        if self.report is not None and self.report.phase is not Phase.RUNNING:
            return Health.STARTING if self.report.phase is Phase.STARTING else Health.STOPPING
        if self.report is None and not self.alive and not self.supervisor_trouble:
            return Health.EMPTY
        return Health.TROUBLED if self._wrong else Health.READY

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong, and what can't be seen, in sentences."""
        return (*self._wrong, self.lacks) if self.lacks else self._wrong

    @property
    def _wrong(self) -> tuple[str, ...]:
        told = [self.snapshot.trouble, self.supervisor_trouble]
        if self.report is not None:
            told += [
                f"{part.name}: {part.note or part.state}"
                for part in self.report.processes
                if part.state in {"troubled", "restarting", "crashed"}
            ]
        known = {(part.name, part.pid) for part in self.report.processes} if self.report else set()
        for process in self.snapshot.processes:
            if process.presence is Presence.TROUBLED and (process.name, process.pid) not in known:
                told.append(f"{process.name}: {'; '.join(process.troubles)}")
        return tuple(dict.fromkeys(text for text in told if text))

    @property
    def running_ids(self) -> frozenset[str]:
        """The tasks that workers have in hand."""
        return frozenset(task.id for process in self.snapshot.processes for task in process.in_hand)


_GONE = frozenset({Presence.LOST, Presence.LEFT})

EMPTY = View()


def rows_of(
    snapshot: Snapshot,
    role: Role,
    histories: Mapping[int, tuple[float, ...]],
    delays: Mapping[str, Delays],
    report: SystemStatus | None,
) -> tuple[WorkerRow, ...]:
    """Put together what is known of each process of a role.

    Args:
        snapshot: the processes.
        role: which of them.
        histories: rates by process number.
        delays: by worker's name.
        report: of the supervisor.
    """
    # The name too: a process of another machine may have the same number.
    parts = {(part.name, part.pid): part for part in report.processes if part.pid is not None} if report else {}
    return tuple(
        WorkerRow(
            process=process,
            history=histories.get(process.number, ()),
            delays=delays.get(process.name),
            part=parts.get((process.name, process.pid)),
        )
        for process in snapshot.processes
        if process.role is role and process.presence is not Presence.LEFT
    )
