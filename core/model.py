"""The values that the parts of the system pass to each other: tasks, outcomes, processes, the ledger.

All are frozen and know nothing of sockets, SQL or screens.
They are msgspec structs, which behave like frozen dataclasses and are created several times faster:
some are created ten thousand times a second.
Times are seconds since the epoch (float); `None` is a time that has not come.
"""

import enum
from collections.abc import Mapping

import msgspec


class State(enum.StrEnum):
    """The state of a task.

    Two are never stored: a worker's heartbeat names the queued tasks that are `RUNNING`, and a task that is
    `CANCELLING` has the time at which that was asked for.
    """

    ACCEPTED = "accepted"
    """In the journal, not yet confirmed by the broker."""
    QUEUED = "queued"
    """Confirmed by the broker, waiting for a worker."""
    RUNNING = "running"
    """Run by a live worker."""
    CANCELLING = "cancelling"
    """Cancelled by a client while it ran, and not known to have stopped yet."""
    RETRYING = "retrying"
    """Failed, and queued again when due."""
    DONE = "done"
    """Ended with a result."""
    FAILED = "failed"
    """Ended with a failure."""
    CANCELLED = "cancelled"
    """Cancelled by a client."""

    @property
    def ended(self) -> bool:
        """Whether the state is final, unless an operator acts."""
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
    """The earliest time to queue it; None for now."""
    retries: int | None = None
    """The number of retries after failures; None for the kind's default."""
    sent_at: float | None = None
    """The time of sending, by the client's clock."""
    received_at: float
    """The time at which the server read it."""


class AcceptResult(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's result for one `NewTask`."""

    id: str
    seq: int
    """The task's number in the journal."""
    state: State
    duplicate: bool = False
    """Whether the id was in the journal before; `state` is that task's."""
    conflict: bool = False
    """Whether the id was in the journal before with another kind or payload. Nothing was stored then."""


class Dispatch(msgspec.Struct, frozen=True):
    """A task that a dispatcher has claimed, to publish it."""

    seq: int
    id: str
    kind: str
    attempt: int
    """The number of attempts that have ended before this one."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker must know of a task to run it."""

    seq: int
    id: str
    kind: str
    payload: str
    """The payload as JSON text."""
    state: State
    attempts: int
    """The number of attempts that have ended."""
    strikes: int
    """The number of attempts that began after a redelivery and did not end: the worker died, or seemed to."""
    lost: int = 0
    """The number of attempts that ended with the death of their worker, besides `attempts`."""
    retries: int | None
    due_at: float | None
    queued_at: float | None = None
    """The time at which the message that the broker confirmed last was published."""
    cancelling: bool = False
    """Whether it must not begin again, because it was cancelled while it ran."""


class TaskProgress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a task is, as it says itself."""

    done: float
    total: float | None = None
    """What `done` will be at the end; None when that is not known."""
    text: str = ""


class Note(msgspec.Struct, frozen=True):
    """What a task has noted while it ran."""

    at: float
    text: str


class TaskReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an attempt has said of itself."""

    progress: TaskProgress | None = None
    notes: tuple[Note, ...] = ()
    """Its last notes."""


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of an attempt after a redelivery."""

    seq: int
    worker: str
    queued_at: float | None = None
    taken_at: float
    started_at: float
    runner: int = 0
    """The number of the runner within its worker; 0 when it is not known."""
    report: TaskReport | None = None
    """What the attempt has said of itself, if it has begun already."""


class RetryDelays(msgspec.Struct, frozen=True, array_like=True):
    """How long a failed task of a kind waits for its next attempt."""

    first: float | None = None
    """Seconds after the first failure; None for the worker's default."""
    factor: float = 2.0
    """The factor by which the wait grows with each failure."""
    longest: float | None = None
    """Seconds that the wait has at most; None for an hour, or for `first` if that is longer."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed."""

    type: str
    """The class of the exception, or one of Cauce's such as `TaskTimeout`."""
    message: str
    traceback: str = ""
    signature: str = ""
    """Equal for failures of the same cause: made from the type and the place, not from the message."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt at a task ended."""

    seq: int
    attempt: int
    """The number of attempts that had ended before this one. A second outcome of the same attempt is discarded."""
    state: State
    """`DONE`, `FAILED`, `CANCELLED`, or `RETRYING` with `due_at`."""
    result: str | None = None
    """The result as JSON text, when done."""
    failure: Failure | None = None
    due_at: float | None = None
    worker: str
    queued_at: float | None
    taken_at: float
    started_at: float
    finished_at: float
    runner: int = 0
    """The number of the runner within its worker; 0 when it is not known."""
    report: TaskReport | None = None
    """What the attempt has said of itself, if anything."""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The timeline of a task."""

    sent: float | None = None
    """By the client's clock."""
    received: float | None = None
    accepted: float | None = None
    queued: float | None = None
    """Published to the broker for the last time."""
    taken: float | None = None
    """Delivered to the worker of the present attempt; of the last one when the task waits for no other."""
    started: float | None = None
    finished: float | None = None
    stored: float | None = None


DEATH_SIGNATURES = frozenset({"worker-lost", "delivery-limit"})
"""The signatures of the failures of tasks that were given up because their workers died again and again."""


class AttemptState(enum.StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    """Its worker died, or seemed to."""


class OperatorRetry(msgspec.Struct, frozen=True):
    """An operator's order to run a failed task again."""

    at: float
    by: str
    """The user's login name."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that has ended."""

    number: int
    """1 for the first attempt of a task. Those that ended with the death of their worker count too."""
    state: AttemptState
    worker: str = ""
    """Empty when the worker is not known, as in journals of older versions."""
    runner: int = 0
    """The number of the runner within its worker; 0 when it is not known."""
    queued: float | None = None
    taken: float | None = None
    started: float | None = None
    finished: float | None = None
    """For a lost attempt, when that was found; None when it is not known."""
    error: Failure | None = None
    """The failure, with its texts shortened."""
    progress: TaskProgress | None = None
    """How far it was at the end, if it has said so."""
    notes: tuple[Note, ...] = ()
    """Its last notes."""
    retried: OperatorRetry | None = None
    """The operator's retry that followed, if one did."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the journal."""

    seq: int
    id: str
    kind: str
    payload: str
    state: State
    attempts: int
    """The number of attempts that ended with an outcome. It numbers the messages of the task."""
    lost: int = 0
    """The number of attempts that ended with the death of their worker, besides `attempts`."""
    strikes: int
    retries: int | None
    due_at: float | None
    worker: str | None
    """The name of the worker of the last attempt; None while the next attempt waits."""
    result: str | None
    failure: Failure | None
    """The failure of the last attempt that failed, even when another attempt follows."""
    cancelling: bool = False
    """Whether it was cancelled while it ran, and is not known to have stopped."""
    runner: int = 0
    """The number of the runner of the last attempt within its worker; 0 when it is not known."""
    report: TaskReport | None = None
    """What the last attempt has said of itself, if anything."""
    times: Times

    @property
    def tries(self) -> int:
        """The number of attempts that have ended, with an outcome or with the death of their worker."""
        return self.attempts + self.lost

    @property
    def started(self) -> float | None:
        """When the attempt started that `times` is about."""
        return self.times.started

    @property
    def finished(self) -> float | None:
        """When the attempt finished that `times` is about."""
        return self.times.finished


class Role(enum.StrEnum):
    """The role of a process."""

    SERVER = "server"
    WORKER = "worker"


class TaskStack(msgspec.Struct, frozen=True):
    """Where the code of a running task is."""

    at: float
    """When it was there. A task that keeps Python to itself has an old one, or none."""
    text: str
    """The lines of the stack, as in a traceback."""


class RunningTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task that a worker is running."""

    id: str
    kind: str
    since: float
    progress: TaskProgress | None = None
    notes: tuple[Note, ...] = ()
    """The last notes of the task."""
    runner: int = 0
    """The number of the runner within its worker; 0 when it is not known."""
    stack: TaskStack | None = None
    """Where its code is, if it has run for a while."""


class RunningOn(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worker that runs a task now."""

    worker: str
    since: float
    progress: TaskProgress | None = None
    """How far the task is, if it says so."""
    notes: tuple[Note, ...] = ()
    """The last notes of the task."""
    runner: int = 0
    """The number of the runner within the worker; 0 when it is not known."""
    stack: TaskStack | None = None
    """Where its code is, if it has run for a while."""


class Counters(msgspec.Struct, frozen=True):
    """What a process has done since its start. No counter ever falls."""

    accepted: int = 0
    published: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    discarded: int = 0
    """Deliveries without effect: duplicates, and tasks that were cancelled meanwhile."""
    busy_seconds: float = 0.0
    """Seconds spent in task functions, over all threads."""


MAX_KINDS = 256
"""How many kinds of task a worker tells: its heartbeat must stay small."""


class ProcessPhase(enum.StrEnum):
    """The phase of a process's life, as it reports itself."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    """Finishing its work, accepting nothing new."""
    LEFT = "left"
    """Ended normally."""


class Part(enum.StrEnum):
    """A part of the system that can be in trouble."""

    BROKER = "broker"
    JOURNAL = "journal"
    BALANCER = "balancer"
    SUPERVISOR = "supervisor"
    PROCESS = "process"
    """A server, a worker or a declared program."""
    CONSOLE = "console"
    """The program that shows the system."""


class Trouble(msgspec.Struct, frozen=True):
    """Something that does not work, and why."""

    part: Part
    reason: str
    process: str = ""
    """The process that is in trouble itself, or that can't use the part; empty when the reader of the system can't."""

    def __str__(self) -> str:
        """Return a text for people: `w1: broker: connection refused`."""
        part = "" if self.part is Part.PROCESS else self.part
        return ": ".join(text for text in (self.process, part, self.reason) if text)


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A server or worker, as its heartbeat describes it."""

    number: int = 0
    """The number that the journal assigned, which is never reused."""
    life: int = 1
    """Counts the processes of this role, name and host, up to this one, while the journal remembers any of them."""
    role: Role
    name: str
    host: str
    pid: int
    address: str = ""
    """The address of a server, `host:port`."""
    threads: int = 1
    started_at: float
    beat: int = 0
    """A number that grows with each heartbeat. A process is alive while it changes, whatever the clocks show."""
    seen_at: float = 0.0
    """The time of the last heartbeat by that process's clock: for display, not for decisions."""
    phase: ProcessPhase = ProcessPhase.STARTING
    troubles: tuple[Trouble, ...] = ()
    """What prevents it from working."""
    counters: Counters = Counters()
    in_hand: tuple[RunningTask, ...] = ()
    kinds: tuple[str, ...] = ()
    """The kinds of task that a worker runs, at most `MAX_KINDS`; empty when they are not known."""

    @property
    def status(self) -> str:
        """The phase and the troubles as one text for people: `ready; broker: connection refused`."""
        return "; ".join([self.phase, *map(str, self.troubles)])


class KindDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of task, as the last worker told it that runs it."""

    kind: str
    description: str = ""
    """The first line of its function's docstring."""
    schema: str = ""
    """The JSON schema of its payloads; empty for a kind that takes any JSON value."""
    retries: int | None = None
    """How often a failed task is retried; None for the worker's default."""
    timeout: float | None = None
    """Seconds that an attempt may take, 0 for no limit; None for the worker's default."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The number of tasks in each state. Accepted tasks never leave the ledger: `total` is the sum of all states."""

    waiting: int = 0
    """Accepted, not yet confirmed by the broker."""
    queued: int = 0
    running: int = 0
    retrying: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """The number of tasks that were ever accepted."""
        return self.open + self.done + self.failed + self.cancelled

    @property
    def open(self) -> int:
        """The number of tasks that have not ended."""
        return self.waiting + self.queued + self.running + self.retrying

    @classmethod
    def of(cls, counts: Mapping[str, int], running: int = 0) -> "Ledger":
        """Make the ledger.

        Args:
            counts: the stored numbers of tasks by state.
            running: the number of tasks that workers run, which are stored as queued or accepted.
        """
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
    """The number of messages in the broker."""

    ready: int
    """Messages that wait for a consumer."""
    dead: int
    """Messages in the dead-letter queue."""
