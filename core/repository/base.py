"""The journal: the database of all accepted tasks, from which no task is ever lost.

A repository is one connection to it, for one thread.
Methods that write are called within `transaction()`, so that a caller can commit many changes together (group commit).
Methods that read see what is committed.
Every method may raise `JournalUnavailable`; then nothing of the transaction was stored.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager

import msgspec

from core.closeable import Closeable
from core.model import (
    AcceptResult,
    Assignment,
    Attempt,
    Beginning,
    Counters,
    Dispatch,
    Failure,
    KindDescription,
    NewTask,
    Outcome,
    ProcessRecord,
    Role,
    State,
    Task,
)

STRIKE_LIMIT = 4
"""A task with this many strikes is to blame for its workers' deaths, and fails.

The first delivery leaves no strike, so a task has five attempts before it fails.
"""

MAX_CONTRADICTORY = 100
"""How many contradictory tasks an audit lists."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead letter of the broker: a message that was delivered too often."""

    seq: int
    id: str
    failure: Failure


class Sample(msgspec.Struct, frozen=True):
    """The counters of one process at one second."""

    second: int
    number: int
    role: Role
    name: str
    counters: Counters
    in_hand: int


class Audit(msgspec.Struct, frozen=True):
    """A count of all tasks beside the ledger, and the tasks whose rows are wrong."""

    counted: Mapping[str, int]
    """The number of tasks in each stored state, counted row by row."""
    ledger: Mapping[str, int]
    """The number of tasks in each stored state, as the ledger has it."""
    contradictory: tuple[str, ...]
    """Ids of tasks whose row contradicts itself: done without a result, for example. At most `MAX_CONTRADICTORY`."""

    @property
    def differences(self) -> Mapping[str, int]:
        """By how much the ledger exceeds the count, for each state where the two differ."""
        return {
            state: difference
            for state in sorted({*self.counted, *self.ledger})
            if (difference := self.ledger.get(state, 0) - self.counted.get(state, 0))
        }

    @property
    def is_consistent(self) -> bool:
        """Whether ledger and count agree and no row contradicts itself."""
        return not self.differences and not self.contradictory


class Repository(Closeable):
    """A connection to the journal."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Begin to write. Commits durably at the end of the block, or stores nothing when the block raises."""

    # Written by servers.

    @abstractmethod
    def accept(self, tasks: Sequence[NewTask], owner: int | None, now: float) -> list[AcceptResult]:
        """Store new tasks. Returns a result for each, in their order.

        Tasks that are due at once belong to `owner`, the server that must publish them.
        Other tasks, and all of them without an owner, are for the first server that calls `claim` when they are due.
        A task whose id is in the journal already is not stored again.
        """

    @abstractmethod
    def has_due_tasks(self, now: float) -> bool:
        """Return whether `claim` would find a task. Writes nothing."""

    @abstractmethod
    def claim(self, owner: int, now: float, limit: int) -> list[Dispatch]:
        """Give at most `limit` due tasks without an owner to `owner`, the longest due first."""

    @abstractmethod
    def mark_queued(self, published: Sequence[Dispatch], at: float) -> None:
        """Note that the broker has confirmed these tasks, whose messages were published at `at`.

        A task that has left this attempt meanwhile is not changed.
        """

    @abstractmethod
    def release(self, owner: int) -> int:
        """Take all tasks from `owner`, which can't publish them, so that another server may claim them.

        Returns their number.
        """

    @abstractmethod
    def release_orphans(self, alive: Collection[int]) -> int:
        """Take all tasks from owners that are not among `alive`. Returns their number."""

    @abstractmethod
    def cancel(self, task_id: str, now: float, *, runs: bool = False) -> State | None:
        """Cancel a task unless it has ended.

        One of which an attempt has begun and not ended becomes `CANCELLING`: its worker stops it. Its next outcome
        ends it, and so does the next worker that would begin it.

        Args:
            task_id: the id of the task.
            now: seconds since the epoch.
            runs: whether a worker is known to run it. Workers of this machine are found here.

        Returns:
            Its state afterwards, or None when there is no such task.
        """

    @abstractmethod
    def settle_dead_letters(self, dead_letters: Sequence[DeadLetter], now: float) -> list[State | None]:
        """Settle dead letters. Returns the state of each task afterwards, or None when there is no such task.

        A task with at least `STRIKE_LIMIT` strikes fails for good, with the failure of the dead letter.
        A task with fewer was only in flight beside the one that killed the workers. It becomes accepted again, with
        at least one strike, so that workers treat it as a suspect. A task that has ended is not changed.
        """

    @abstractmethod
    def redispatch(self) -> int:
        """Make every queued task accepted again, because the broker has lost its queue. Returns their number.

        A new generation of the queue begins: see `generation`.
        """

    @abstractmethod
    def generation(self) -> int:
        """Return the generation of the queue that messages are published to now.

        The broker may have confirmed a message of an earlier generation and lost it all the same.
        """

    @abstractmethod
    def reschedule(self, now: float) -> int:
        """Correct times that were written by a clock that was ahead and has been set back.

        A task whose wait began in the future waits its whole time from now on. Returns the number of such tasks.
        """

    # Written by workers.

    @abstractmethod
    def add_strike(self, beginning: Beginning) -> int:
        """Add a strike to a task, which is about to begin after a redelivery.

        Its earlier beginnings that did not end are recorded as lost attempts: the journal knows them by their strike,
        or the file of the worker that began them does.

        Returns:
            The number of the attempt that begins; 0 when there is no such task, or when it has ended.
        """

    @abstractmethod
    def remove_strikes(self, seqs: Sequence[int]) -> None:
        """Remove a strike from each of these tasks: their worker left in good order, so they are not to blame."""

    @abstractmethod
    def give_up(self, seq: int, attempt: int, now: float) -> bool:
        """End a task that must not begin again. Returns whether that was stored, as `store_outcomes` does.

        One that is cancelling is cancelled. One that has `STRIKE_LIMIT` strikes fails: the attempt whose worker died
        last becomes the one that failed.

        Args:
            seq: the number of the task.
            attempt: the number of attempts that had ended with an outcome before.
            now: seconds since the epoch.
        """

    @abstractmethod
    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        """Store outcomes. Returns for each whether it was stored.

        An outcome of a task that has ended, or of an attempt that has, is a duplicate and changes nothing.
        A task that is cancelling is done if it has a result, and else cancelled.
        """

    @abstractmethod
    def tell_kinds(self, kinds: Sequence[KindDescription]) -> None:
        """Store what kinds of task a worker runs. What was told of them before is replaced."""

    # Written by every process.

    @abstractmethod
    def register(self, record: ProcessRecord) -> int:
        """Store a new process. Returns its number.

        Removes processes that have not been seen for a week, and all but the last ones that are certainly dead.
        """

    @abstractmethod
    def record_heartbeat(self, record: ProcessRecord) -> None:
        """Store the record of the process `record.number`, and once a second a sample of its counters."""

    # Written by supervisors.

    @abstractmethod
    def mark_left(self, host: str, names: Collection[str]) -> int:
        """Note that the last process of each of these names has ended on a host. Returns how many had not left.

        A process that is killed can't write so itself. One that runs all the same comes back with its next heartbeat.
        """

    # Reading.

    @abstractmethod
    def cancelling(self) -> list[int]:
        """Return the numbers of the tasks that were cancelled while they ran and have not ended."""

    @abstractmethod
    def assignments(self, seqs: Collection[int]) -> dict[int, Assignment]:
        """Return what a worker needs to run these tasks, by number. Numbers without a task are left out."""

    @abstractmethod
    def find_all(self, task_ids: Collection[str]) -> list[Task]:
        """Return the tasks with these ids, in no particular order. Unknown ids are left out."""

    @abstractmethod
    def former_attempts(self, seqs: Collection[int]) -> Mapping[int, Sequence[Attempt]]:
        """Return the attempts of each of these tasks before the one that its `Task` is about, in order.

        The last 20 are kept. Tasks without former attempts are left out.
        """

    @abstractmethod
    def ended(self, task_ids: Collection[str]) -> list[Task]:
        """Return those of these tasks that have ended, in no particular order."""

    @abstractmethod
    def latest(self, limit: int) -> list[Task]:
        """Return the `limit` tasks that ended last, newest first."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Return the ledger: the number of tasks in each stored state. It is fast for any number of tasks."""

    @abstractmethod
    def told_kinds(self, kind: str | None = None) -> Sequence[KindDescription]:
        """Return what workers have told of their kinds of task, or of one, in alphabetical order."""

    @abstractmethod
    def audit(self) -> Audit:
        """Count all tasks and compare them with the ledger, at one moment.

        It only reads, but reads every row, which takes seconds for some million tasks.
        """

    @abstractmethod
    def processes(self) -> list[ProcessRecord]:
        """Return the processes that have not left, even if dead, and those that left in the last hour, by number."""

    @abstractmethod
    def samples(self, since: int) -> list[Sample]:
        """Return the samples from second `since` on, in order."""

    @abstractmethod
    def data_version(self) -> int:
        """Return a number that changes when another connection has committed. Reading it is cheap."""


OpenRepository = Callable[[], Repository]
"""Opens a connection for the thread that calls it."""
