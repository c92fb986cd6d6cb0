"""What goes into the client and what comes out of it: frozen values, which know nothing of sockets."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from core.errors import RemoteProtocolError
from core.jsontext import Json
from core.model import Counters, Failure, State, Times

T = TypeVar("T")


class NewSubmission(msgspec.Struct, frozen=True):
    """A task to submit."""

    kind: str | None = None
    """The server's default kind when None."""
    payload: Json = None
    id: str | None = None
    """An id of your own; one is made when None."""
    delay: float = 0.0
    """Seconds before which the task must not run."""
    retries: int | None = None
    """How often a failure may be tried again; the kind's own number when None."""


class Accepted(msgspec.Struct, frozen=True):
    """The task is stored, and will end with one outcome."""

    id: str
    state: State
    duplicate: bool
    """It had been submitted before; `state` is where it is now."""


class Refused(msgspec.Struct, frozen=True):
    """The request was refused for good; the others of its stream go on."""

    id: str
    code: str
    """One of the protocol's error codes."""
    message: str


class TaskOutcome(msgspec.Struct, frozen=True):
    """What came of a task, if its time has come."""

    id: str
    state: State
    """If this is not an ended one, the time to wait was over before."""
    result: Json = None
    """When done."""
    error: Failure | None = None
    """When failed."""


class RunningOn(msgspec.Struct, frozen=True):
    """Who runs a task at this moment."""

    worker: str
    since: float


class TaskStatus(msgspec.Struct, frozen=True):
    """Where a task is, and how it came there."""

    id: str
    kind: str
    state: State
    attempts: int
    """How many attempts have ended."""
    running: RunningOn | None = None
    note: str = ""
    """What it waits for."""
    worker: str = ""
    """Of the last attempt."""
    due: float | None = None
    """It must not run before."""
    strikes: int = 0
    """How many attempts ended with the death of their worker."""
    result: Json = None
    error: Failure | None = None
    times: Times = Times()


class ProcessStatus(msgspec.Struct, frozen=True):
    """A server or worker that is alive."""

    name: str
    host: str
    pid: int
    address: str
    status: str
    threads: int
    in_hand: int
    """How many tasks it runs."""
    counters: Counters


class Statistics(msgspec.Struct, frozen=True):
    """How everything is."""

    server: str
    """Who says so."""
    ledger: Mapping[str, int]
    """How many tasks are in each state; `accepted` is the sum."""
    broker: str
    """`ready`, or what is wrong."""
    journal: str
    servers: Sequence[ProcessStatus]
    workers: Sequence[ProcessStatus]

    @property
    def ended(self) -> int:
        """How many tasks have ended."""
        return sum(self.ledger.get(state, 0) for state in ("done", "failed", "cancelled"))


def read(members: dict[str, Json], shape: type[T]) -> T:
    """Make a value of a reply's members.

    Raises:
        RemoteProtocolError: the members are not such a value.
    """
    try:
        return msgspec.convert(members, shape)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"the server's answer is wrong: {error}") from error
