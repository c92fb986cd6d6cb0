"""What the console needs of the world, as interfaces: the programs give it the real ones, tests give it values."""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from core.model import Task
from core.repository.archive import BulkAction
from core.repository.search import Search, SortOrder
from core.supervisor.status import StopResult, SystemStatus
from tui.exporting import Exported
from tui.log_feed import LogBatch
from tui.system_control import (
    BulkActionResult,
    BulkProgress,
    BulkSubmitResult,
    Operation,
    Progress,
    RunningIds,
    SubmitResult,
)
from tui.task_feed import News
from tui.view import View


class ViewPoller(Protocol):
    """Looks at the system again and again."""

    def start(self) -> None:
        """Begin."""

    def poke(self) -> None:
        """Look now."""

    def taken(self) -> None:
        """Note that the last view has been taken in."""

    def stop(self) -> None:
        """End."""


class TaskFeed(Protocol):
    """Finds tasks for a table."""

    def start(self) -> None:
        """Begin."""

    def look_for(self, search: Search, order: SortOrder) -> int:
        """Look for something else; the number of the search."""

    def want(self, seqs: Sequence[int]) -> None:
        """Read these rows, and keep them fresh."""

    def want_ids(self, ids: Sequence[str]) -> None:
        """The same by the ids of the tasks."""

    def follow(self, following: bool) -> None:
        """Follow what comes, or rest."""

    def stop(self) -> None:
        """End."""


class LogSource(Protocol):
    """Reads logs."""

    def start(self) -> None:
        """Begin."""

    def choose(self, names: Sequence[str] | None) -> int:
        """Read the logs of these processes, of all when None; the number of this choice."""

    def follow(self, following: bool) -> None:
        """Go on reading, or rest."""

    def stop(self) -> None:
        """End."""


class SystemControl(Protocol):
    """Has things done. Every call takes its time, and may raise `CauceError`."""

    def submit(self, task: NewSubmission, listen: str) -> SubmitResult:
        """Submit one task."""

    def submit_many(
        self, tasks: Iterable[NewSubmission], listen: str, progress: Progress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit many tasks."""

    def load(self, order: LoadOptions, listen: str, progress: Progress, cancelled: threading.Event) -> BulkSubmitResult:
        """Submit as many tasks as are ordered, at a rate."""

    def up(self, tell: Callable[[SystemStatus], None]) -> SystemStatus | None:
        """Start the system in the background; None when it has ended before it was ready."""

    def down(self, timeout: float) -> StopResult:
        """Take the system down."""

    def operate(self, what: Operation, names: Sequence[str]) -> SystemStatus:
        """Have processes started, stopped, restarted or killed."""

    def scale(self, servers: int | None, workers: int | None) -> SystemStatus:
        """Run so many servers and workers."""

    def settle(
        self, act: BulkAction, seqs: Sequence[int], progress: Progress, cancelled: threading.Event
    ) -> BulkActionResult:
        """Retry or discard failed tasks."""

    def undo(self, operation: int, running: RunningIds, progress: Progress, cancelled: threading.Event) -> BulkProgress:
        """Take that back."""

    def export(
        self, search: Search, order: SortOrder, path: Path, progress: Progress, cancelled: threading.Event
    ) -> Exported:
        """Write what a search finds to a file."""

    def close(self) -> None:
        """Let go of connections."""


class Source(Protocol):
    """Makes all of these for one system."""

    def watcher(self, hand_over: Callable[[View], object]) -> ViewPoller:
        """What looks at the system."""

    def tasks(self, hand_over: Callable[[News], object], name: str) -> TaskFeed:
        """What finds tasks for one table."""

    def task(self, seq: int) -> Task | None:
        """Read everything about one task, in whichever thread; None when it is not in the book.

        Raises:
            CauceError: the book can't be read.
        """

    def logs(self, hand_over: Callable[[LogBatch], object]) -> LogSource:
        """What reads logs."""

    @property
    def control(self) -> SystemControl | None:
        """What has things done; None for a console that only looks."""
