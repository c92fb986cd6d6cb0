"""What the journal can do: the book of all tasks, in which nothing is ever lost.

A repository holds one connection and belongs to one thread.
Methods that write are called inside `transaction()`, so that a caller can commit many things at once
(group commit); methods that read see what is committed.
Every method may raise `JournalUnavailable`: then nothing of the transaction was stored.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager

import msgspec

from core.closeable import Closeable
from core.model import (
    AcceptResult,
    Assignment,
    Counters,
    Dispatch,
    Failure,
    NewTask,
    Outcome,
    ProcessRecord,
    Role,
    State,
    Task,
)

STRIKE_LIMIT = 4
"""How often a task may be begun after a redelivery without an end. Its worker died each time, so the task is to blame.

With the first delivery, which leaves no mark, that makes five attempts.
"""


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead letter: a message that the broker gave up."""

    seq: int
    id: str
    failure: Failure


class Cursor(msgspec.Struct, frozen=True):
    """A place in the list of ended tasks, which is ordered by when they ended."""

    stored_at: float
    seq: int


class Sample(msgspec.Struct, frozen=True):
    """What one process had counted at one second."""

    second: int
    number: int
    role: Role
    name: str
    counters: Counters
    in_hand: int


class Audit(msgspec.Struct, frozen=True):
    """What counting the whole book found. Takes as long as the book is large."""

    counted: Mapping[str, int]
    """Tasks by stored state, counted one by one."""
    ledger: Mapping[str, int]
    """The same by the running totals."""
    contradictory: tuple[str, ...]
    """Ids of tasks whose row contradicts itself, such as one that is done and has no result; at most 100."""

    @property
    def is_consistent(self) -> bool:
        """Whether the two agree and no task is a misfit."""
        counted = {state: number for state, number in self.counted.items() if number}
        ledger = {state: number for state, number in self.ledger.items() if number}
        return counted == ledger and not self.contradictory


class Repository(Closeable):
    """The journal. See the module's description for who may call what."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Begin to write; commit, durably, at the end of the block, or store nothing when it raises."""

    # What servers write.

    @abstractmethod
    def accept(self, tasks: Sequence[NewTask], owner: int | None, now: float) -> list[AcceptResult]:
        """Enter new tasks; a receipt for each, in their order.

        Those that are due at once belong to `owner`, which has to publish them;
        with no owner, and where `due_at` lies ahead, whoever calls `claim` first when they are due.
        An id that is in the book already is entered no second time.
        """

    @abstractmethod
    def has_due_tasks(self, now: float) -> bool:
        """Whether `claim` would find anything. Writes nothing."""

    @abstractmethod
    def claim(self, owner: int, now: float, limit: int) -> list[Dispatch]:
        """Give up to `limit` tasks that are due and belong to nobody to `owner`, the longest due first."""

    @abstractmethod
    def mark_queued(self, published: Sequence[Dispatch], at: float) -> None:
        """Note that the broker has confirmed these, whose messages were published at this time.

        One that has moved on meanwhile is left alone.
        """

    @abstractmethod
    def release(self, owner: int) -> int:
        """Take all tasks from `owner`, which can't publish them, so that another may claim them; how many."""

    @abstractmethod
    def release_orphans(self, alive: Collection[int]) -> int:
        """Take all tasks from owners that are not among `alive`; how many."""

    @abstractmethod
    def cancel(self, task_id: str, now: float) -> State | None:
        """Take a task back unless it has ended; the state it is in then, None when there is no such task."""

    @abstractmethod
    def settle_dead_letters(self, letters: Sequence[DeadLetter], now: float) -> list[State | None]:
        """Settle dead letters; the state of each task then, None when there is no such task.

        A task with fewer strikes than `STRIKE_LIMIT` was a bystander, delivered beside the one that killed
        its workers: it becomes accepted again, with one strike at least, so that whoever begins it is warned.
        Another fails for good with the letter's failure. One that has ended stays as it is.
        """

    @abstractmethod
    def redispatch(self) -> int:
        """Make every queued task accepted again, for when the broker has lost its messages; how many.

        A new generation of the queue begins with it: see `generation`.
        """

    @abstractmethod
    def generation(self) -> int:
        """Which queue messages are on by now.

        What was published before the present one began may be confirmed by the broker and yet be lost.
        """

    @abstractmethod
    def reschedule(self, now: float) -> int:
        """Mend what was written by a clock that was ahead, for when it was set back; how many tasks.

        One whose wait seems to have begun in the future waits from now on, as long as it was meant to.
        """

    # What workers write.

    @abstractmethod
    def add_strikes(self, seqs: Sequence[int]) -> None:
        """Note that these are about to begin after a redelivery."""

    @abstractmethod
    def remove_strikes(self, seqs: Sequence[int]) -> None:
        """Take back one strike of each of these: their worker left in good order, and they are not to blame."""

    @abstractmethod
    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        """Store outcomes; for each whether it counted.

        It does not when the task has ended or its attempt was settled before: a duplicate changes nothing.
        """

    # What every process writes.

    @abstractmethod
    def register(self, record: ProcessRecord) -> int:
        """Enter a process; the number it has from now on. Forgets processes not seen for a week."""

    @abstractmethod
    def record_heartbeat(self, record: ProcessRecord) -> None:
        """Write a process's heartbeat: its record, with `number` as given, and once a second a sample of it."""

    # What anybody reads.

    @abstractmethod
    def assignments(self, seqs: Collection[int]) -> dict[int, Assignment]:
        """What to know of these tasks to run them, by number. Those not in the book are left out."""

    @abstractmethod
    def find_all(self, task_ids: Collection[str]) -> list[Task]:
        """Those of these tasks that are in the book, in no order."""

    @abstractmethod
    def ended(self, task_ids: Collection[str]) -> list[Task]:
        """Those of these tasks that have ended, in no order."""

    @abstractmethod
    def latest(self, limit: int, before: Cursor | None = None) -> list[Task]:
        """Ended tasks, the last ended first; those that ended before `before`, for the page after it."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """How many tasks are in each stored state, by the running totals: as quick for millions as for none."""

    @abstractmethod
    def audit(self) -> Audit:
        """Count the whole book."""

    @abstractmethod
    def processes(self) -> list[ProcessRecord]:
        """The processes that have not left, dead ones too, and those that left within the last hour; by number."""

    @abstractmethod
    def samples(self, since: int) -> list[Sample]:
        """The samples from second `since` on, in order."""

    @abstractmethod
    def data_version(self) -> int:
        """A number that changes when another connection has committed something; very cheap to ask."""


OpenRepository = Callable[[], Repository]
"""Opens a connection of its own for whoever calls it, to be used in that thread."""
