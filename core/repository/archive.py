"""The archive: the journal as operators use it, to search tasks and to retry or discard those that failed.

It is separate from the repository, on which servers and workers depend.
An archive is one connection, for one thread; other threads may call only `interrupt`.
"""

import enum
from abc import abstractmethod
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from core.closeable import Closeable
from core.model import Attempt, State, Task
from core.repository.search import NEWEST_FIRST, Search, SortOrder

MAX_RESULTS = 2_000_000
"""The most results of a search. Each takes eight bytes of memory."""

PREVIEW_LENGTH = 200
"""Characters of a payload, result or error that a row shows."""


class TaskRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task as a row of a table."""

    seq: int
    id: str
    kind: str
    state: State
    attempts: int
    """The number of attempts that have ended, with an outcome or with the death of their worker."""
    worker: str
    """The worker of the last attempt; an empty string when there was none, or while the next attempt waits."""
    payload: str
    """The first `PREVIEW_LENGTH` characters of the payload's JSON text."""
    outcome: str
    """The result as JSON text, or the failure as a sentence, shortened in the same way."""
    accepted: float
    started: float | None
    finished: float | None
    stored: float | None
    waited: float | None
    """Seconds from the moment when the task was accepted, due or queued again, to the beginning of the last attempt.

    None when they are not known, or while the next attempt waits.
    """
    cancelling: bool = False
    """Whether it was cancelled while it ran."""

    @property
    def tries(self) -> int:
        """The number of attempts that have ended, as `Task.tries`."""
        return self.attempts

    @property
    def took(self) -> float | None:
        """Seconds that the last attempt ran."""
        return None if self.started is None or self.finished is None else self.finished - self.started


class LiveList(msgspec.Struct, frozen=True):
    """Ended tasks, the last one at the end."""

    seqs: "array[int]"
    position: int
    """The place, among all commits, of the last one that the list includes."""


class Timing(msgspec.Struct, frozen=True):
    """Seconds that one task waited until its last attempt began, and that this attempt ran."""

    worker: str
    waited: float | None
    """None when it is not known."""
    took: float


class BulkAction(enum.StrEnum):
    """What an operator can do with many failed tasks at once."""

    RETRY = "retry"
    """Run them again."""
    DISCARD = "discard"
    """Cancel them; they keep their failure."""


class OperationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One bulk action of an operator."""

    number: int
    action: BulkAction = msgspec.field(name="act")
    at: float
    user: str = msgspec.field(name="who")
    tasks: int
    """The number of tasks that it moved."""
    undone_at: float | None = None


class Archive(Closeable):
    """A connection to the journal for operators. Every method may raise `JournalUnavailable` or `JournalUnusable`."""

    @abstractmethod
    def find(self, search: Search, order: SortOrder = NEWEST_FIRST, limit: int = MAX_RESULTS) -> "array[int]":
        """Return the numbers of the ended tasks that match, the first `limit` in order."""

    @abstractmethod
    def find_live(self, search: Search, limit: int = MAX_RESULTS) -> LiveList:
        """Return the matching tasks that ended last, at most `limit`."""

    @abstractmethod
    def ended_after(self, search: Search, position: int) -> LiveList | None:
        """Return the matching tasks that have ended since a list was read: all of them, whatever their times are.

        They are in the order in which they were committed. Returns None when the list must be read anew, because
        operators have moved tasks that had ended, or because it was read too long ago, or by an older version.

        Args:
            search: the search of the list.
            position: the position of the list.
        """

    @abstractmethod
    def rows(self, seqs: Collection[int]) -> Mapping[int, TaskRow]:
        """Return a row for each of these tasks, ended or not, by number."""

    @abstractmethod
    def rows_by_id(self, ids: Collection[str]) -> Mapping[str, TaskRow]:
        """Return a row for each of these tasks, ended or not, by id."""

    @abstractmethod
    def task(self, seq: int) -> Task | None:
        """Return a whole task, or None when there is none with this number."""

    @abstractmethod
    def former_attempts(self, seq: int) -> Sequence[Attempt]:
        """Return the attempts of a task before the one that `task` is about, in order; the last 20 are kept."""

    @abstractmethod
    def timings(self, since: float, limit: int) -> Sequence[Timing]:
        """Return the timings of the last `limit` tasks that ended at `since` or later."""

    @abstractmethod
    def kinds(self, limit: int = 1000) -> Sequence[str]:
        """Return the kinds of the last `limit` tasks, in alphabetical order."""

    @abstractmethod
    def begin_operation(self, action: BulkAction, user: str, now: float) -> int:
        """Record that an operator begins a bulk action. Returns the number of the operation."""

    @abstractmethod
    def apply(self, operation: int, action: BulkAction, seqs: Sequence[int], now: float) -> int:
        """Apply the action to those of these tasks that have failed: all of them or none. Returns their number."""

    @abstractmethod
    def tasks_moved_by(self, operation: int) -> "array[int]":
        """Return the numbers of the tasks that this operation was the last to move, whatever their state is now."""

    @abstractmethod
    def undo(self, operation: int, seqs: Sequence[int], running: Collection[str], now: float) -> int:
        """Mark these tasks as failed again, except those that have moved on since. Stores all changes or none.

        Args:
            operation: the number of the operation that moved them.
            seqs: the tasks.
            running: ids of the tasks that workers run now, which can't be taken back.
            now: seconds since the epoch.

        Returns:
            The number of tasks that are failed again.
        """

    @abstractmethod
    def mark_undone(self, operation: int, now: float) -> None:
        """Record that an operation was undone, as far as possible."""

    @abstractmethod
    def operations(self, limit: int) -> Sequence[OperationRecord]:
        """Return the last `limit` operations, newest first. A journal of an older version has none."""

    @abstractmethod
    def limitation(self) -> str:
        """Return a sentence on what the journal of an older version lacks, or an empty string when it is up to date."""

    @abstractmethod
    def data_version(self) -> int:
        """Return a number that changes when another connection has committed. Reading it is cheap."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make the call that runs in the archive's thread end with `JournalUnavailable`. Any thread may call this."""


OpenArchive = Callable[[], Archive]
"""Opens a connection for the thread that calls it."""
