"""What people do with the book of tasks: look through it by search and order, and settle what has failed.

It is apart from the repository, which servers and workers live on: nothing here is in a task's way.
An archive holds one connection and belongs to one thread, but for `interrupt`.
"""

import enum
from abc import abstractmethod
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from core.closeable import Closeable
from core.model import State, Task
from core.repository.search import NEWEST_FIRST, Search, SortOrder

MAX_RESULTS = 2_000_000
"""How many results a search gives at most: eight bytes each are held."""

PREVIEW_LENGTH = 200
"""Characters of a payload, result or error that a row has."""


class TaskRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task in a line: what a table shows of it."""

    seq: int
    id: str
    kind: str
    state: State
    attempts: int
    worker: str
    """Of the last attempt; empty when there was none."""
    payload: str
    """As JSON text, cut off after `PREVIEW_LENGTH` characters."""
    outcome: str
    """The result as JSON text, or the failure in a sentence, cut off likewise."""
    accepted: float
    started: float | None
    finished: float | None
    stored: float | None
    waited: float | None
    """Seconds between the broker's taking it, the last time, and its beginning."""

    @property
    def took(self) -> float | None:
        """Seconds that the last attempt ran."""
        return None if self.started is None or self.finished is None else self.finished - self.started


class Timing(msgspec.Struct, frozen=True):
    """How long one task of late waited and ran."""

    worker: str
    waited: float
    took: float


class BulkAction(enum.StrEnum):
    """What an operator can do about failed tasks."""

    RETRY = "retry"
    """Run them once more."""
    DISCARD = "discard"
    """Have done with them: they become cancelled, and keep their failure."""


class OperationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator did."""

    number: int
    action: BulkAction = msgspec.field(name="act")
    at: float
    user: str = msgspec.field(name="who")
    tasks: int
    """How many it moved."""
    undone_at: float | None = None


class Archive(Closeable):
    """See the module's description. Every method may raise `JournalUnavailable`, and `JournalUnusable`."""

    @abstractmethod
    def find(self, search: Search, order: SortOrder = NEWEST_FIRST, limit: int = MAX_RESULTS) -> "array[int]":
        """The numbers of the ended tasks that are wanted, in order; the first `limit` of them."""

    @abstractmethod
    def find_since(self, search: Search, moment: float) -> "array[int]":
        """The numbers of those that ended at `moment` or later, the first ended first.

        Two workers may store at nearly the same time in either order: ask with some seconds of overlap.
        """

    @abstractmethod
    def rows(self, seqs: Collection[int]) -> Mapping[int, TaskRow]:
        """A row for each of these tasks, ended or not, by number."""

    @abstractmethod
    def rows_by_id(self, ids: Collection[str]) -> Mapping[str, TaskRow]:
        """The same by the tasks' ids."""

    @abstractmethod
    def task(self, seq: int) -> Task | None:
        """Everything about one task."""

    @abstractmethod
    def timings(self, since: float, limit: int) -> Sequence[Timing]:
        """How long tasks waited and ran that ended at `since` or later; the last `limit` of them."""

    @abstractmethod
    def kinds(self, limit: int = 1000) -> Sequence[str]:
        """The kinds of the last `limit` tasks, in the order of the alphabet."""

    @abstractmethod
    def begin_operation(self, action: BulkAction, user: str, now: float) -> int:
        """Note that an operator begins to do something; the number of the operation."""

    @abstractmethod
    def apply(self, operation: int, action: BulkAction, seqs: Sequence[int], now: float) -> int:
        """Do it to those of these tasks that have failed; how many. All of them or none."""

    @abstractmethod
    def tasks_moved_by(self, operation: int) -> "array[int]":
        """The numbers of the tasks that an operation was the last to move, whatever has become of them."""

    @abstractmethod
    def undo(self, operation: int, seqs: Sequence[int], running: Collection[str], now: float) -> int:
        """Make failed again those of these tasks that nothing has happened to since; how many. All of them or none.

        Args:
            operation: the number of the one that has moved them.
            seqs: the tasks.
            running: ids of tasks that workers have in hand: too late for them.
            now: seconds since the epoch.
        """

    @abstractmethod
    def mark_undone(self, operation: int, now: float) -> None:
        """Note that an operation was undone, as far as it can be."""

    @abstractmethod
    def reopened(self, seqs: Collection[int]) -> frozenset[int]:
        """Those of these ended tasks that may have ended before: an operator had them run again, or has undone that."""

    @abstractmethod
    def operations(self, limit: int) -> Sequence[OperationRecord]:
        """What operators did, the last first; nothing in a journal that is too old to tell."""

    @abstractmethod
    def limitation(self) -> str:
        """What a journal that an older version has written can't tell yet, in a sentence; empty when it is as new."""

    @abstractmethod
    def data_version(self) -> int:
        """A number that changes when another connection has committed something; very cheap to ask."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make what runs in the archive's thread end with `JournalUnavailable`. Any thread may call it."""


OpenArchive = Callable[[], Archive]
"""Opens a connection of its own for whoever calls it, to be used in that thread."""
