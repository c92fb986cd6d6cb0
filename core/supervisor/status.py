"""The status of the system and its processes, as the supervisor reports it."""

import enum

import msgspec

from core.model import Trouble
from core.supervisor.plan import ProcessKind, number_of


class Phase(enum.StrEnum):
    """The phase of the supervisor's life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class UnitState(enum.StrEnum):
    """The state of one unit."""

    WAITING = "waiting"
    """It has not been started yet."""
    STARTING = "starting"
    """It runs, and is not ready yet."""
    READY = "ready"
    """It runs without a problem."""
    TROUBLED = "troubled"
    """It was ready, and now has a problem, which the note describes."""
    RESTARTING = "restarting"
    """It died, and will be started again soon."""
    CRASHED = "crashed"
    """It died too often, and stays down."""
    STOPPING = "stopping"
    """It was asked to end, and still runs."""
    STOPPED = "stopped"
    """It was asked to end, and has ended."""


class UnitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one unit."""

    name: str
    kind: ProcessKind = msgspec.field(name="duty")
    state: UnitState
    pid: int | None
    """None while there is no process."""
    address: str = ""
    """The address that it listens on, or empty."""
    started_at: float | None = None
    """The time at which the present process was started, in seconds since the epoch."""
    restarts: int = 0
    note: str = ""
    """The problem, or how the last process ended."""
    troubles: tuple[Trouble, ...] = ()
    """What the process can't use: other parts that don't work. The note describes them too."""
    kill_in: float | None = None
    """Seconds until it is killed, while it is stopping."""
    cpu: float | None = None
    """Recent processor use with all child processes, 1.0 for one whole processor, or None when unknown."""
    memory: int | None = None
    """Resident bytes with all child processes, or None when unknown."""


class SystemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of the system on this machine."""

    phase: Phase
    listen: str
    """The address that clients connect to; empty without a server."""
    servers: tuple[str, ...]
    """The addresses of the servers."""
    broker: str
    """A description of the broker, without a password."""
    directory: str
    host: str = ""
    """The name of this machine, as its processes write it in the journal."""
    pid: int
    """The supervisor's process id."""
    processes: tuple[UnitStatus, ...]
    remarks: tuple[str, ...] = ()
    """Deviations from the settings, with their reasons."""
    nginx_change: str = ""
    """The last change of NGINX's configuration, as a unified diff."""

    @property
    def ready(self) -> bool:
        """Whether all processes work, except those that an operator has stopped."""
        return self.phase is Phase.RUNNING and all(unit.state in _GOOD for unit in self.processes)

    @property
    def stopping(self) -> tuple[UnitStatus, ...]:
        """The units that were asked to end and still run."""
        return tuple(unit for unit in self.processes if unit.state is UnitState.STOPPING)

    def surplus(self, servers: int | None, workers: int | None) -> tuple[str, ...]:
        """Return the names of the units beyond these numbers; None stands for the present number."""
        limits = {ProcessKind.SERVER: servers, ProcessKind.WORKER: workers}
        return tuple(
            unit.name
            for unit in self.processes
            if (limit := limits.get(unit.kind)) is not None and number_of(unit.name) > limit
        )


_GOOD = frozenset({UnitState.READY, UnitState.STOPPED})


class StopResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a stop."""

    stopped: tuple[str, ...] = ()
    """The processes that ended in good order."""
    killed: tuple[str, ...] = ()
    """The processes that had to be killed."""
    left: tuple[int, ...] = ()
    """The ids of processes that could not be ended."""
