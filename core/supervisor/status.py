"""What the supervisor tells about the system: values, for programs and people."""

import enum

import msgspec

from core.supervisor.plan import ProcessKind, number_of


class Phase(enum.StrEnum):
    """What the supervisor is about."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class UnitState(enum.StrEnum):
    """What is the matter with one process."""

    WAITING = "waiting"
    """Its turn has not come."""
    STARTING = "starting"
    """It runs, and was not ready yet."""
    READY = "ready"
    """It does its work."""
    TROUBLED = "troubled"
    """It was ready, and something is wrong; the note says what."""
    RESTARTING = "restarting"
    """It died, and will be started again."""
    CRASHED = "crashed"
    """It died too often, and stays down."""
    STOPPING = "stopping"
    """It was told to end, and has not yet."""
    STOPPED = "stopped"
    """It was told to end, and has."""


class UnitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process."""

    name: str
    kind: ProcessKind = msgspec.field(name="duty")
    state: UnitState
    pid: int | None
    """None while there is none."""
    address: str = ""
    """Where it listens."""
    started_at: float | None = None
    """When the present one was started, seconds since the epoch."""
    restarts: int = 0
    note: str = ""
    """What is wrong, or how the last one ended."""
    kill_in: float | None = None
    """Seconds until it is killed, when it was told to end and has not yet."""
    cpu: float | None = None
    """Share of one processor, 1.0 for all of one, of late, with all that it started; None when not known."""
    memory: int | None = None
    """Resident bytes, with all that it started; None when not known."""


class SystemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The system on this machine."""

    phase: Phase
    listen: str
    """Where clients connect; empty without a server."""
    servers: tuple[str, ...]
    """Where the servers themselves listen."""
    broker: str
    """What carries the tasks, without a password."""
    directory: str
    pid: int
    """The supervisor's own."""
    processes: tuple[UnitStatus, ...]
    remarks: tuple[str, ...] = ()
    """What is not as wished for, and why."""
    nginx_change: str = ""
    """The last change of NGINX's configuration, as a unified diff."""

    @property
    def ready(self) -> bool:
        """Whether everything does its work that nobody has told to stop."""
        return self.phase is Phase.RUNNING and all(unit.state in _WELL for unit in self.processes)

    @property
    def holding(self) -> tuple[UnitStatus, ...]:
        """The processes that were told to end and have not yet."""
        return tuple(unit for unit in self.processes if unit.state is UnitState.STOPPING)

    def surplus(self, servers: int | None, workers: int | None) -> tuple[str, ...]:
        """The names of those that are too many when there shall be so many; None for as many as there are."""
        most = {ProcessKind.SERVER: servers, ProcessKind.WORKER: workers}
        return tuple(
            unit.name
            for unit in self.processes
            if (limit := most.get(unit.kind)) is not None and number_of(unit.name) > limit
        )


_WELL = frozenset({UnitState.READY, UnitState.STOPPED})


class StopResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a stop."""

    stopped: tuple[str, ...] = ()
    """What ended in good order."""
    killed: tuple[str, ...] = ()
    """What had to be killed."""
    left: tuple[int, ...] = ()
    """The ids of processes that could not be ended at all."""
