"""A journal whose lock is had by another process just when it is wanted: something comes meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.database import Database
from core.errors import JournalUnavailable
from core.model import AcceptResult, NewTask, Outcome
from core.repository.sqlite import FAULTS, SqliteRepository


class BusyRepository(SqliteRepository):
    """Calls `meanwhile` when its lock was waited for, if it is set, and then forgets it; notes what is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(Database(path, FAULTS))
        self.meanwhile: Callable[[], None] | None = None
        self.trouble = ""
        """Why no task can be entered."""
        self.accepted: list[int] = []
        """How many tasks each transaction has entered."""
        self.settled: list[int] = []
        """How many outcomes each transaction has stored."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As ever, but late."""
        with super().transaction():
            if self.meanwhile is not None:
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()
            yield

    def accept(self, tasks: Sequence[NewTask], owner: int | None, now: float) -> list[AcceptResult]:
        """As ever, and noted."""
        if self.trouble:
            raise JournalUnavailable(self.trouble)
        self.accepted.append(len(tasks))
        return super().accept(tasks, owner, now)

    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        """As ever, and noted."""
        self.settled.append(len(outcomes))
        return super().store_outcomes(outcomes, now)
