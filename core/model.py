"""The values that travel through the system: tasks, outcomes, processes, the ledger.

All are frozen and know nothing of sockets, SQL or screens.
They are msgspec structs, which behave like frozen dataclasses and are made several times faster:
some are made ten thousand times a second.
Times are seconds since the epoch (float); `None` is a time that has not come.
"""

import enum
from collections.abc import Mapping

import msgspec


class State(enum.StrEnum):
    """Where a task is. `RUNNING` is never stored: a worker's heartbeat tells which of the queued ones it runs."""

    ACCEPTED = "accepted"
    """In the journal, not yet confirmed by the broker."""
    QUEUED = "queued"
    """With the broker, waiting for a worker."""
    RUNNING = "running"
    """In the hands of a live worker."""
    RETRYING = "retrying"
    """Failed at least once, and to be queued again when due."""
    DONE = "done"
    """Ended, with a result."""
    FAILED = "failed"
    """Ended, with a failure."""
    CANCELLED = "cancelled"
    """Taken back before it ran."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the task by itself."""
        return self in ENDED


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})
WAITING = frozenset({State.ACCEPTED, State.RETRYING})
"""The states in which a task waits for a dispatcher."""


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a client submits."""

    id: str
    kind: str
    payload: str
    """The payload as JSON text."""
    due_at: float | None = None
    """Not to be queued before this time; at once when None."""
    retries: int | None = None
    """How often a failure may be retried; the kind's own number when None."""
    sent_at: float | None = None
    """When the client sent it, by the client's clock."""
    received_at: float
    """When the server read it."""


class AcceptResult(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's answer to one `NewTask`."""

    id: str
    seq: int
    """The task's number in the journal."""
    state: State
    duplicate: bool = False
    """The id was in the journal before; `state` is that task's."""
    conflict: bool = False
    """The id was in the journal before, with another kind or payload: nothing was stored."""


class Dispatch(msgspec.Struct, frozen=True):
    """A task that a dispatcher has in hand, to be published."""

    seq: int
    id: str
    kind: str
    attempt: int
    """How many attempts have ended before this one."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to know of a task to run it."""

    seq: int
    id: str
    kind: str
    payload: str
    """The payload as JSON text."""
    state: State
    attempts: int
    """How many attempts have ended."""
    strikes: int
    """How many attempts began after a redelivery and did not end: the worker died, or seemed to."""
    retries: int | None
    due_at: float | None
    queued_at: float | None = None
    """When the message that the broker confirmed last was published."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed."""

    type: str
    """The exception's class, or a word of ours such as `TaskTimeout`."""
    message: str
    traceback: str = ""
    signature: str = ""
    """The same for failures of the same cause: made of the type and the place, not of the message."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt at a task ended."""

    seq: int
    attempt: int
    """How many attempts had ended before this one: an outcome of an attempt that is already settled is discarded."""
    state: State
    """`DONE`, `FAILED`, or `RETRYING` with `due_at`."""
    result: str | None = None
    """The result as JSON text, when done."""
    failure: Failure | None = None
    due_at: float | None = None
    worker: str
    queued_at: float | None
    taken_at: float
    started_at: float
    finished_at: float


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """A task's way, hop by hop."""

    sent: float | None = None
    """By the client's clock."""
    received: float | None = None
    accepted: float | None = None
    queued: float | None = None
    """Published to the broker, the last time."""
    taken: float | None = None
    """Delivered to the worker of the last attempt."""
    started: float | None = None
    finished: float | None = None
    stored: float | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the journal holds it."""

    seq: int
    id: str
    kind: str
    payload: str
    state: State
    attempts: int
    strikes: int
    retries: int | None
    due_at: float | None
    worker: str | None
    """The name of the worker of the last attempt."""
    result: str | None
    failure: Failure | None
    """Of the last attempt that failed, also when a later one is still to come."""
    times: Times


class Role(enum.StrEnum):
    """What a process does."""

    SERVER = "server"
    WORKER = "worker"


class RunningTask(msgspec.Struct, frozen=True):
    """A task that a worker runs at this moment."""

    id: str
    kind: str
    since: float


class Counters(msgspec.Struct, frozen=True):
    """What a process has done since it started; only ever growing."""

    accepted: int = 0
    published: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    discarded: int = 0
    """Deliveries that changed nothing: duplicates, and tasks cancelled meanwhile."""
    busy_seconds: float = 0.0
    """Time spent in task functions, over all threads."""


class ProcessPhase(enum.StrEnum):
    """Where a process is in its life, by its own account."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    """Finishing what it holds, taking nothing more."""
    LEFT = "left"
    """Ended in good order."""


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A server or worker, as its own heartbeat describes it."""

    number: int = 0
    """Given by the journal; never used again for another process."""
    role: Role
    name: str
    host: str
    pid: int
    address: str = ""
    """Where a server listens, `host:port`."""
    threads: int = 1
    started_at: float
    beat: int = 0
    """Grows with each heartbeat. A process is alive if this moves, whatever the clocks say."""
    seen_at: float = 0.0
    """When the last heartbeat was written, by that process's clock: for people, not for decisions."""
    phase: ProcessPhase = ProcessPhase.STARTING
    troubles: tuple[str, ...] = ()
    """What keeps it from working, each as `part: reason`; empty when all is well."""
    counters: Counters = Counters()
    in_hand: tuple[RunningTask, ...] = ()

    @property
    def status(self) -> str:
        """Phase and troubles as one text for people: `ready; broker: connection refused`."""
        return "; ".join([self.phase, *self.troubles])


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks are in each state. Accepted tasks never leave the books: `total` is the sum of the others."""

    waiting: int = 0
    """Accepted, not yet with the broker."""
    queued: int = 0
    running: int = 0
    retrying: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """How many tasks were ever accepted."""
        return self.open + self.done + self.failed + self.cancelled

    @property
    def open(self) -> int:
        """How many tasks have not ended."""
        return self.waiting + self.queued + self.running + self.retrying

    @classmethod
    def of(cls, counts: Mapping[str, int], running: int = 0) -> "Ledger":
        """Make the ledger of the stored counts by state, and of how many of the queued ones are running."""
        queued = counts.get(State.QUEUED, 0)
        accepted = counts.get(State.ACCEPTED, 0)
        from_queued = min(running, queued)
        from_accepted = min(running - from_queued, accepted)
        return cls(
            waiting=accepted - from_accepted,
            queued=queued - from_queued,
            running=from_queued + from_accepted,
            retrying=counts.get(State.RETRYING, 0),
            done=counts.get(State.DONE, 0),
            failed=counts.get(State.FAILED, 0),
            cancelled=counts.get(State.CANCELLED, 0),
        )


class Depth(msgspec.Struct, frozen=True):
    """How many messages the broker holds."""

    ready: int
    """Waiting for a consumer."""
    dead: int
    """On the dead-letter queue."""
