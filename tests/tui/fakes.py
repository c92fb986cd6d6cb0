"""A source of values for the console. Everything is handed over at once, and calls of the control are recorded."""

import threading
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from core.errors import JournalUnavailable, ServerUnavailable, SupervisorError
from core.model import State, Task
from core.repository.archive import BulkAction
from core.repository.search import Search, SortOrder
from core.supervisor.logs.log_reading import LogLine
from core.supervisor.plan import ProcessKind
from core.supervisor.status import Phase, StopResult, SystemStatus, UnitState, UnitStatus
from core.timeline import TaskRecord, attempts_of
from tests.tui import scene
from tui.app import Console
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
from tui.tabs import all_tabs
from tui.task_feed import FeedTrouble, ListGrown, News, RowsRead, RowsReadById, TasksListed
from tui.translations import Translations
from tui.view import View


class FakePoller:
    """Hands over one view, and another when a test sets it."""

    def __init__(self, view: View, hand_over: Callable[[View], object]) -> None:
        self.view = view
        self._hand_over = hand_over
        self.looks = 0
        self.stopped = False

    def start(self) -> None:
        """Hand the view over."""
        self._hand_over(self.view)

    def show(self, view: View) -> None:
        """Hand another view over."""
        self.view = view
        self._hand_over(view)

    def look_now(self) -> None:
        """Hand it over again."""
        self.looks += 1
        self._hand_over(self.view)

    def request_next(self) -> None:
        """Do nothing: views come from the test."""

    def stop(self) -> None:
        """End."""
        self.stopped = True


class FakeFeed:
    """Finds tasks among values: by state, and by texts in the id, kind, worker or error."""

    def __init__(self, tasks: Mapping[int, Task], hand_over: Callable[[News], object], trouble: str) -> None:
        self._tasks = tasks
        self._hand_over = hand_over
        self._trouble = trouble
        self.number = 0
        self.searches: list[tuple[Search, SortOrder]] = []
        self.following = False
        self.ids: tuple[str, ...] = ()

    def start(self) -> None:
        """Hand over the trouble, if there is one."""
        if self._trouble:
            self._hand_over(FeedTrouble(self._trouble))

    def search_for(self, search: Search, order: SortOrder) -> int:
        """Find the tasks, in the order of their numbers."""
        self.number += 1
        self.searches.append((search, order))
        if not self._trouble:
            found = [seq for seq, task in self._tasks.items() if _wanted(task, search)]
            found.sort(reverse=not order.is_live and order.descending)
            rows = {seq: scene.row(self._tasks[seq]) for seq in found[-80:]}
            self._hand_over(TasksListed(self.number, array("q", found), rows, True))
        return self.number

    def grow(self, *tasks: Task) -> None:
        """Hand over new results."""
        rows = {task.seq: scene.row(task) for task in tasks}
        self._hand_over(ListGrown(self.number, array("q", rows), rows))

    def list_again(self, seqs: "array[int]") -> None:
        """Hand over a whole list that was read anew."""
        self._hand_over(TasksListed(self.number, seqs, {}, True))

    def read_rows(self, seqs: Sequence[int]) -> None:
        """Read rows."""
        self._hand_over(RowsRead({seq: scene.row(self._tasks[seq]) for seq in seqs if seq in self._tasks}))

    def read_rows_by_id(self, ids: Sequence[str]) -> None:
        """Read rows by ids."""
        self.ids = tuple(ids)
        self._hand_over(
            RowsReadById({task.id: scene.row(task) for task in self._tasks.values() if task.id in self.ids})
        )

    def follow(self, following: bool) -> None:
        """Follow or pause."""
        self.following = following

    def stop(self) -> None:
        """End."""


def _wanted(task: Task, search: Search) -> bool:
    if search.states and task.state not in search.states:
        return False
    text = f"{task.id} {task.kind} {task.worker} {task.failure}"
    return all((term.text in text) != term.negated for term in search.terms)


class FakeLogs:
    """Reads log lines that are values."""

    def __init__(self, lines: Sequence[LogLine], hand_over: Callable[[LogBatch], object]) -> None:
        self._lines = lines
        self._hand_over = hand_over
        self.number = 0
        self.chosen: Sequence[str] | None = None
        self.following = False

    def start(self) -> None:
        """Begin."""

    def choose(self, names: Sequence[str] | None) -> int:
        """Read the lines of these."""
        self.number += 1
        self.chosen = names
        lines = tuple(line for line in self._lines if names is None or line.process in names)
        self._hand_over(LogBatch(self.number, lines, anew=True))
        return self.number

    def write(self, *lines: LogLine) -> None:
        """Hand over new lines."""
        self._hand_over(LogBatch(self.number, lines, anew=False))

    def follow(self, following: bool) -> None:
        """Go on reading or pause."""
        self.following = following

    def stop(self) -> None:
        """End."""


class FakeControl:
    """Records the calls."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.trouble = ""
        self.submitted = 0
        self.tasks: list[NewSubmission] = []
        self.loads: list[LoadOptions] = []
        self.takes_long = False

    def submit(self, task: NewSubmission, listen: str) -> SubmitResult:
        """Submit one task."""
        self._record("submit", task, listen)
        self.tasks.append(task)
        self.submitted += 1
        return SubmitResult(task.id or f"order-{48_900 + self.submitted}", State.ACCEPTED, False, 0.0023)

    def submit_many(
        self, tasks: Iterable[NewSubmission], listen: str, progress: OnProgress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit many tasks."""
        every = list(tasks)
        self._record("submit_many", tuple(every), listen)
        return BulkSubmitResult(len(every), 0, "", 2.0)

    def load(
        self, order: LoadOptions, listen: str, progress: OnProgress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit at a rate."""
        self._record("load", order, listen)
        self.loads.append(order)
        return BulkSubmitResult(order.tasks, 0, "", 4.0, 0.002, 0.009)

    def cancel(self, task_id: str, listen: str) -> State:
        """Cancel a task."""
        self._record("cancel", task_id, listen)
        return State.CANCELLING

    def up(self, tell: Callable[[SystemStatus], None]) -> SystemStatus:
        """Start the system."""
        self._record("up")
        return scene.report()

    def down(self) -> StopResult:
        """Stop the system."""
        self._record("down")
        return StopResult()

    def operate(self, what: Operation, names: Sequence[str]) -> SystemStatus:
        """Start, stop, restart, kill."""
        self._record(what, *names)
        return scene.report()

    def scale(self, servers: int | None, workers: int | None) -> SystemStatus:
        """Scale the system."""
        self._record("scale", servers, workers)
        return scene.report()

    def apply(
        self, action: BulkAction, seqs: Sequence[int], reporter: Reporter, cancelled: threading.Event
    ) -> BulkActionResult:
        """Retry or discard."""
        self._record(action.value, *seqs)
        done = self._until_cancelled(reporter, cancelled, len(seqs))
        return BulkActionResult(action, 5, BulkProgress(done, len(seqs), cancelled=cancelled.is_set()))

    def undo(self, operation: int, running: RunningIds, reporter: Reporter, cancelled: threading.Event) -> BulkProgress:
        """Undo a bulk action."""
        self._record("undo", operation)
        done = self._until_cancelled(reporter, cancelled, 4)
        return BulkProgress(done, 4, cancelled=cancelled.is_set())

    def export(
        self, search: Search, order: SortOrder, path: Path, reporter: Reporter, cancelled: threading.Event
    ) -> Exported:
        """Write to a file."""
        self._record("export", path)
        done = self._until_cancelled(reporter, cancelled, 12)
        return Exported(done, 12, cancelled=cancelled.is_set())

    def _until_cancelled(self, reporter: Reporter, cancelled: threading.Event, count: int) -> int:
        """Return at once, or when `takes_long`, report half of the tasks and wait for the cancellation."""
        if not self.takes_long:
            return count
        on_progress = reporter(count)
        while not cancelled.wait(0.05):
            on_progress(count // 2)
        return count // 2

    def close(self) -> None:
        """Do nothing."""

    def _record(self, *what: object) -> None:
        self.done.append(what)
        if self.trouble:
            raise ServerUnavailable(self.trouble)


class FakeSource:
    """Makes the fake poller, feeds and control.

    Args:
        view: shown by the console.
        tasks: that have ended.
        lines: of the logs.
        read_only: whether the console is read-only.
        trouble: of the journal.
    """

    def __init__(
        self,
        view: View | None = None,
        *,
        tasks: Mapping[int, Task] | None = None,
        lines: Sequence[LogLine] | None = None,
        read_only: bool = False,
        trouble: str = "",
    ) -> None:
        self._view = scene.view() if view is None else view
        self._tasks = scene.tasks() if tasks is None else tasks
        self._lines = scene.log_lines() if lines is None else lines
        self.trouble = trouble
        self.records: dict[int, TaskRecord] = {}
        """Tasks that have changed."""
        self.reads = 0
        self.control_calls = FakeControl()
        self._read_only = read_only
        self.pollers: list[FakePoller] = []
        self.feeds: dict[str, FakeFeed] = {}
        self.log_sources: list[FakeLogs] = []

    def poller(self, hand_over: Callable[[View], object]) -> FakePoller:
        """Make the poller."""
        self.pollers.append(FakePoller(self._view, hand_over))
        return self.pollers[-1]

    def tasks(self, hand_over: Callable[[News], object], name: str) -> FakeFeed:
        """Make a feed."""
        self.feeds[name] = FakeFeed(self._tasks, hand_over, self.trouble)
        return self.feeds[name]

    def task(self, seq: int) -> TaskRecord | None:
        """Read a task."""
        self.reads += 1
        if self.trouble:
            raise JournalUnavailable(self.trouble)
        task = self._tasks.get(seq)
        return self.records.get(seq) or (None if task is None else TaskRecord(task, attempts_of(task, ())))

    def logs(self, hand_over: Callable[[LogBatch], object]) -> FakeLogs:
        """Make the source of the logs."""
        self.log_sources.append(FakeLogs(self._lines, hand_over))
        return self.log_sources[-1]

    @property
    def control(self) -> FakeControl | None:
        """The control; None in a read-only console."""
        return None if self._read_only else self.control_calls


class FakeStart:
    """A start of the system that waits until a test sets `goes_on`."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.trouble = ""
        self.began = 0

    def __call__(self, tell: Callable[[SystemStatus], None]) -> SystemStatus:
        """Report that some processes are ready, and wait."""
        self.began += 1
        parts = tuple(part_of(name, state) for name, state in STARTING)
        tell(replace(scene.report(), phase=Phase.STARTING, processes=parts))
        self.goes_on.wait(30)
        if self.trouble:
            raise SupervisorError(self.trouble)
        return scene.report()


STARTING = (("rabbitmq", UnitState.READY), ("s1", UnitState.STARTING), ("w1", UnitState.WAITING))


def part_of(name: str, state: UnitState) -> UnitStatus:
    """Return the status of a process of a starting system."""
    kind = {"r": ProcessKind.RABBITMQ, "s": ProcessKind.SERVER, "w": ProcessKind.WORKER}[name[0]]
    note = "port 7101 is not open yet" if state is UnitState.STARTING else ""
    return UnitStatus(name=name, kind=kind, state=state, pid=None, note=note)


def console(
    source: FakeSource,
    tab: str = "monitor",
    *,
    theme: str = "cauce",
    tr: Translations | None = None,
    encoding: str = "",
    start: FakeStart | None = None,
) -> Console:
    """Make the console of a source, without animation."""
    tr = tr or Translations()
    tabs = all_tabs(tr, scene.KINDS)
    app = Console(source, tr, tabs, first=tab, theme=theme, encoding=encoding, clock=lambda: scene.NOW, start=start)
    app.animation_level = "none"
    return app
