"""The interfaces between the console and the system, so that tests need no system."""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from core.model import State
from core.repository.archive import BulkAction
from core.repository.search import Search, SortOrder
from core.supervisor.status import StopResult, SystemStatus
from core.timeline import TaskRecord
from tui.exporting import Exported
from tui.log_feed import LogBatch
from tui.system_control import (
    BulkActionResult,
    BulkProgress,
    BulkSubmitResult,
    OnProgress,
    Operation,
    Reporter,
    RunningIds,
    SubmitResult,
)
from tui.task_feed import News
from tui.view import View


class ViewPoller(Protocol):
    """Polls the system, and hands over views."""

    def start(self) -> None:
        """Start polling."""

    def look_now(self) -> None:
        """Build a view now."""

    def request_next(self) -> None:
        """Allow the next view, because the last one has been received."""

    def stop(self) -> None:
        """Stop polling."""


class TaskFeed(Protocol):
    """Reads the tasks of one table."""

    def start(self) -> None:
        """Start reading."""

    def search_for(self, search: Search, order: SortOrder) -> int:
        """Replace the search. Returns its number."""

    def read_rows(self, seqs: Sequence[int]) -> None:
        """Read these rows, and read them again when they change."""

    def read_rows_by_id(self, ids: Sequence[str]) -> None:
        """Read the rows of the tasks with these ids, and read them again when they change."""

    def follow(self, following: bool) -> None:
        """Follow new results, or pause."""

    def stop(self) -> None:
        """Stop reading."""


class LogSource(Protocol):
    """Reads the logs of processes."""

    def start(self) -> None:
        """Start reading."""

    def choose(self, names: Sequence[str] | None) -> int:
        """Read the logs of these processes; None means all. Returns the number of this choice."""

    def follow(self, following: bool) -> None:
        """Go on reading, or pause."""

    def stop(self) -> None:
        """Stop reading."""


class SystemControl(Protocol):
    """Controls one system. Every call blocks, and may raise `CauceError`."""

    def submit(self, task: NewSubmission, listen: str) -> SubmitResult:
        """Submit one task."""

    def submit_many(
        self, tasks: Iterable[NewSubmission], listen: str, on_progress: OnProgress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit many tasks."""

    def load(
        self, options: LoadOptions, listen: str, on_progress: OnProgress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit tasks at a rate."""

    def cancel(self, task_id: str, listen: str) -> State:
        """Cancel a task. Returns its state afterwards."""

    def up(self, on_progress: Callable[[SystemStatus], None]) -> SystemStatus:
        """Start the system in the background. Returns its status when it is ready."""

    def down(self) -> StopResult:
        """Stop the system."""

    def operate(self, operation: Operation, names: Sequence[str]) -> SystemStatus:
        """Start, stop, restart or kill processes."""

    def scale(self, servers: int | None, workers: int | None) -> SystemStatus:
        """Run this number of servers and of workers; None leaves a number as it is."""

    def apply(
        self, action: BulkAction, seqs: Sequence[int], reporter: Reporter, cancelled: threading.Event
    ) -> BulkActionResult:
        """Retry or discard failed tasks."""

    def undo(self, operation: int, running: RunningIds, reporter: Reporter, cancelled: threading.Event) -> BulkProgress:
        """Undo a retry or discard."""

    def export(
        self, search: Search, order: SortOrder, path: Path, reporter: Reporter, cancelled: threading.Event
    ) -> Exported:
        """Write the tasks that a search matches to a file."""

    def close(self) -> None:
        """Close the connections."""


class Source(Protocol):
    """Makes the poller, the feeds and the control of one system."""

    def poller(self, hand_over: Callable[[View], object]) -> ViewPoller:
        """Make the poller."""

    def tasks(self, hand_over: Callable[[News], object], name: str) -> TaskFeed:
        """Make the feed of one table."""

    def task(self, seq: int) -> TaskRecord | None:
        """Read everything about one task, in any thread. Returns None when it is not in the journal.

        Raises:
            CauceError: the journal can't be read.
        """

    def logs(self, hand_over: Callable[[LogBatch], object]) -> LogSource:
        """Make the feed of the logs."""

    @property
    def control(self) -> SystemControl | None:
        """The control of the system; None in a read-only console."""
