"""The arguments and results of the client: frozen values, independent of sockets."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from core.errors import RemoteProtocolError
from core.jsontext import Json
from core.model import Attempt, Counters, Failure, RunningOn, State, Times

T = TypeVar("T")


class NewSubmission(msgspec.Struct, frozen=True):
    """A task to submit."""

    kind: str | None = None
    """None for the server's default."""
    payload: Json = None
    id: str | None = None
    """Your own id; None for a new one."""
    delay: float = 0.0
    """Seconds to wait before the task may run."""
    retries: int | None = None
    """How often a failed attempt is repeated; None for the default of the kind."""


class Accepted(msgspec.Struct, frozen=True):
    """A task that is stored, and will end with one outcome."""

    id: str
    state: State
    duplicate: bool
    """Whether the task had been submitted before; `state` is its current state."""


class Refused(msgspec.Struct, frozen=True):
    """A request that was refused for good; the rest of its stream goes on."""

    id: str
    code: str
    """One of the protocol's error codes."""
    message: str


class TaskOutcome(msgspec.Struct, frozen=True):
    """The outcome of a task, or its state when the timeout passed."""

    id: str
    state: State
    """An ended state, unless the timeout passed before the end."""
    result: Json = None
    """Set when the task is done."""
    error: Failure | None = None
    """Set when the task has failed."""
    running: RunningOn | None = None
    """Where it runs and how far it is, when the timeout passed before the end."""


class TaskStatus(msgspec.Struct, frozen=True):
    """Where a task is, and its timeline."""

    id: str
    kind: str
    state: State
    attempts: int
    """The number of attempts that have ended, with an outcome or with the death of their worker."""
    running: RunningOn | None = None
    note: str = ""
    """What the task waits for."""
    worker: str = ""
    """The worker that runs the task, or that ran the last attempt."""
    due: float | None = None
    """The time before which the task must not run."""
    strikes: int = 0
    """The number of attempts in `history` during which the worker died, or seemed to."""
    result: Json = None
    error: Failure | None = None
    times: Times = Times()
    """The times of the task, and of its present or last attempt."""
    history: tuple[Attempt, ...] = ()
    """The attempts that have ended, in order: the last 21 at most."""


class ProcessStatus(msgspec.Struct, frozen=True):
    """A server or worker that is alive."""

    name: str
    host: str
    pid: int
    address: str
    status: str
    threads: int
    in_hand: int
    """The number of tasks that it runs now."""
    counters: Counters


class Statistics(msgspec.Struct, frozen=True):
    """The ledger and the state of all processes."""

    server: str
    """The name of the server that replied."""
    ledger: Mapping[str, int]
    """The number of tasks in each state; `accepted` is the sum."""
    broker: str
    """`ready`, or what is wrong with it."""
    journal: str
    servers: Sequence[ProcessStatus]
    workers: Sequence[ProcessStatus]

    @property
    def ended(self) -> int:
        """The number of tasks that have ended."""
        return sum(self.ledger.get(state, 0) for state in ("done", "failed", "cancelled"))


class TaskKind(msgspec.Struct, frozen=True):
    """A kind of task, as the last worker told it that runs it."""

    kind: str
    description: str
    """The first line of its function's docstring."""
    workers: int
    """The number of live workers that run it."""
    retries: int | None = None
    """How often a failed task is retried; None for the worker's default."""
    timeout: float | None = None
    """Seconds that an attempt may take, 0 for no limit; None for the worker's default."""
    schema: Json = None
    """The JSON schema of its payloads. None for a kind that takes any JSON value, and for each kind in a list."""


class TaskKinds(msgspec.Struct, frozen=True):
    """Kinds of task."""

    kinds: tuple[TaskKind, ...]


def convert(members: dict[str, Json], value_type: type[T]) -> T:
    """Convert the members of a reply to a value.

    Raises:
        RemoteProtocolError: the members don't fit the type.
    """
    try:
        return msgspec.convert(members, value_type)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"the server's answer is wrong: {error}") from error
