"""A journal whose write lock comes late, so that something can happen meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.database import Database
from core.errors import JournalUnavailable
from core.model import AcceptResult, NewTask, Outcome
from core.repository.sqlite import FAULTS, SqliteRepository


class BusyRepository(SqliteRepository):
    """Calls `meanwhile` once, after it has acquired the lock, and counts what is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(Database(path, FAULTS))
        self.meanwhile: Callable[[], None] | None = None
        self.trouble = ""
        """Why tasks can't be accepted; empty when they can."""
        self.accepted: list[int] = []
        """The number of tasks that each transaction has accepted."""
        self.stored: list[int] = []
        """The number of outcomes that each transaction has stored."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin a transaction, late."""
        with super().transaction():
            if self.meanwhile is not None:
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()
            yield

    def accept(self, tasks: Sequence[NewTask], owner: int | None, now: float) -> list[AcceptResult]:
        """Store new tasks, and count them."""
        if self.trouble:
            raise JournalUnavailable(self.trouble)
        self.accepted.append(len(tasks))
        return super().accept(tasks, owner, now)

    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        """Store outcomes, and count them."""
        self.stored.append(len(outcomes))
        return super().store_outcomes(outcomes, now)
