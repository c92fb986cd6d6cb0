"""The view: everything that the console shows of one moment, as one value. Widgets are functions of it.

The poller's thread builds it. This module knows nothing of widgets.
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from core.model import MAX_KINDS, KindDescription, Ledger, Part, Role, Trouble
from core.monitor.delays import Delays
from core.monitor.history import RateSeries
from core.monitor.observer import ProcessIdentity
from core.monitor.snapshot import EMPTY as NOTHING_SEEN
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.repository.archive import OperationRecord
from core.supervisor.plan import ProcessKind
from core.supervisor.status import Phase, SystemStatus, UnitState, UnitStatus
from core.task_state import RunningTasks, running_tasks

CHART_SECONDS = 300
"""Seconds that the chart covers."""


class Health(enum.StrEnum):
    """The state of the whole system."""

    EMPTY = "nothing runs"
    STARTING = "starting"
    READY = "ready"
    TROUBLED = "trouble"
    STOPPING = "stopping"
    UNKNOWN = "looking"
    """No view has been built yet, or it is not known yet whether anything is alive."""


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One worker or server."""

    process: ProcessView
    history: tuple[float, ...] = ()
    """Tasks in each of the last seconds, the oldest first."""
    delays: Delays | None = None
    unit: UnitStatus | None = None
    """The status of the process, when the local supervisor runs it."""


class StartView(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a start of the system by this console."""

    under_way: bool = False
    parts: tuple[UnitStatus, ...] = ()
    """The processes, as far as they are known."""
    trouble: str = ""
    """The reason why the start failed; empty otherwise."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the system at one moment."""

    number: int = 0
    """Grows with each view; 0 before the first."""
    snapshot: Snapshot = NOTHING_SEEN
    chart: RateSeries = RateSeries()
    workers: tuple[WorkerRow, ...] = ()
    """One row for each name."""
    ended_workers: tuple[WorkerRow, ...] = ()
    """Workers that have ended, the last first."""
    servers: tuple[WorkerRow, ...] = ()
    delays: Delays | None = None
    """The delays of all workers together."""
    report: SystemStatus | None = None
    """None when no supervisor runs in this directory."""
    is_starting: bool = False
    """Whether this console is starting the system, whose supervisor may not reply yet."""
    troubles_seen: tuple[Trouble, ...] = ()
    """The troubles that the console has itself, such as with a supervisor that does not reply."""
    broker: str = ""
    """The address of the broker, without a password."""
    directory: str = ""
    database: str = ""
    kinds: tuple[str, ...] = ()
    """The kinds of task to offer."""
    told: Mapping[str, KindDescription] = {}
    """What workers have told of their kinds of task."""
    operations: tuple[OperationRecord, ...] = ()
    """The recent retries and discards, the last first."""
    lacks: str = ""
    """What the journal lacks because an older version wrote it."""

    @property
    def ledger(self) -> Ledger:
        """The counts of tasks by state."""
        return self.snapshot.ledger

    @property
    def now(self) -> float:
        """The time of the view, in seconds since the epoch."""
        return self.snapshot.taken_at

    @property
    def listen(self) -> str:
        """The address for clients, or an empty string when nothing listens."""
        if self.report is not None:
            return self.report.listen
        alive = (row.process for row in self.servers if not row.process.presence.gone)
        return next((process.address for process in alive if process.address), "")

    @property
    def alive(self) -> bool:
        """Whether any server or worker is alive, whichever supervisor started it."""
        return any(process.presence.alive for process in self.snapshot.processes)

    @property
    def light(self) -> Health:
        """The state of the system."""
        if not self.number:
            return Health.UNKNOWN
        if self.report is not None and self.report.phase is not Phase.RUNNING:
            return Health.STARTING if self.report.phase is Phase.STARTING else Health.STOPPING
        if self.is_starting:
            return Health.STARTING
        if self.report is None and not self.alive and not self.troubles_seen:
            return Health.EMPTY if self.snapshot.is_certain else Health.UNKNOWN
        return Health.TROUBLED if self.system_troubles else Health.READY

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong, and what the journal lacks."""
        lacks = (Trouble(Part.JOURNAL, self.lacks),) if self.lacks else ()
        return (*self.system_troubles, *lacks)

    @property
    def system_troubles(self) -> tuple[Trouble, ...]:
        """What is wrong, each once: what the console noticed, then the supervisor, then processes elsewhere."""
        troubles = [*self.snapshot.troubles, *self.troubles_seen]
        for unit in self.report.processes if self.report else ():
            troubles += _troubles_of(unit)
        known = units_of(self.report)
        for process in self.snapshot.processes:
            if process.presence is Presence.TROUBLED and _identity(process) not in known:
                troubles += [replace(trouble, process=process.name) for trouble in process.troubles]
        if self._lacks_workers:
            troubles.append(Trouble(Part.PROCESS, "no worker is running, and tasks wait"))
        return tuple(dict.fromkeys(troubles))

    @property
    def _lacks_workers(self) -> bool:
        """Whether tasks wait in a running system for workers, of which none is alive."""
        runs = self.alive if self.report is None else self.report.phase is Phase.RUNNING
        workers = any(process.role is Role.WORKER and process.presence.alive for process in self.snapshot.processes)
        return runs and self.snapshot.is_certain and self.ledger.open > 0 and not workers

    @property
    def running(self) -> RunningTasks:
        """The tasks that workers run."""
        return running_tasks(self.snapshot.processes)

    @property
    def running_ids(self) -> frozenset[str]:
        """The ids of the tasks in flight."""
        return frozenset(self.running)


def _troubles_of(unit: UnitStatus) -> Sequence[Trouble]:
    """Return the troubles of a unit: with the parts that it can't use, or else its own."""
    if unit.state not in {UnitState.TROUBLED, UnitState.RESTARTING, UnitState.CRASHED}:
        return ()
    if unit.troubles:
        return [replace(trouble, process=unit.name) for trouble in unit.troubles]
    return (Trouble(_PARTS.get(unit.kind, Part.PROCESS), unit.note or unit.state, unit.name),)


_PARTS = {ProcessKind.NGINX: Part.BALANCER, ProcessKind.RABBITMQ: Part.BROKER, ProcessKind.EPMD: Part.BROKER}
"""The parts of the system that are units of their own."""

_SILENT = Trouble(Part.PROCESS, "silent: it writes no heartbeat")
"""The trouble of a process of which the supervisor has not noticed anything yet."""

EMPTY = View()


def offered_kinds(snapshot: Snapshot, otherwise: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of task that live workers run, in alphabetical order.

    Args:
        snapshot: the snapshot that has the workers.
        otherwise: the kinds to offer too, as long as some worker does not tell all of its own, or none is alive.
    """
    workers = [process for process in snapshot.processes if process.role is Role.WORKER and not process.presence.gone]
    told = {kind for process in workers for kind in process.kinds}
    is_complete = workers and all(0 < len(process.kinds) < MAX_KINDS for process in workers)
    return tuple(sorted(told if is_complete else told.union(otherwise)))


def rows_of(
    processes: Iterable[ProcessView],
    histories: Mapping[int, tuple[float, ...]],
    delays: Mapping[str, Delays],
    report: SystemStatus | None,
) -> tuple[WorkerRow, ...]:
    """Combine what is known of each process.

    Args:
        processes: the processes.
        histories: the rates by the number of the process.
        delays: the delays by the name of the worker.
        report: the status of the local system.
    """
    units = units_of(report)
    return tuple(
        WorkerRow(
            process=_known_by_supervisor(process, units.get(_identity(process))),
            history=histories.get(process.number, ()),
            delays=delays.get(process.name),
            unit=units.get(_identity(process)),
        )
        for process in processes
    )


def units_of(report: SystemStatus | None) -> Mapping[ProcessIdentity, UnitStatus]:
    """Return the units that the supervisor runs, by their processes."""
    if report is None:
        return {}
    return {(report.host, unit.name, unit.pid): unit for unit in report.processes if unit.pid is not None}


def _identity(process: ProcessView) -> ProcessIdentity:
    return process.host, process.name, process.pid


def _known_by_supervisor(process: ProcessView, unit: UnitStatus | None) -> ProcessView:
    """Return the process: in trouble, not unknown, when it writes no heartbeat but runs by the supervisor."""
    if process.presence is not Presence.UNKNOWN or unit is None:
        return process
    troubles = [replace(trouble, process="") for trouble in _troubles_of(unit)]
    return replace(process, presence=Presence.TROUBLED, troubles=tuple(troubles or [_SILENT]))
