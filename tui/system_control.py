"""The control of one system: submits tasks, runs processes, retries, discards and exports tasks.

Every call blocks, so calls are made in the threads of jobs and never by a widget.
"""

import getpass
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from core.addresses import BALANCER, SERVERS, Address
from core.client import Client, NewSubmission, Refused
from core.client.load_command import LoadCommand, LoadOptions
from core.client.pool import ConnectionPool
from core.config import Settings
from core.encryption import Encryption
from core.errors import JournalError, JournalUnavailable
from core.model import State
from core.repository.archive import Archive, BulkAction
from core.repository.journal import Journal
from core.repository.search import Search, SortOrder
from core.supervisor import commands
from core.supervisor.home import Home
from core.supervisor.options import STOP_TIMEOUT
from core.supervisor.status import StopResult, SystemStatus
from tui import exporting, system_start
from tui.exporting import Exported

REPLY_TIMEOUT = 10.0
"""Seconds a server has to reply."""

CONNECT_TIMEOUT = 8.0
"""Seconds to find a server."""

BATCH_SIZE = 1000
"""Tasks moved in one transaction: between two transactions, other processes can write."""

OnProgress = Callable[[int], None]
"""Takes the number of tasks done so far; called from any thread."""

Reporter = Callable[[int], OnProgress]
"""Takes the number of tasks to do, once it is known, and returns what takes the progress; called from any thread."""

RunningIds = Callable[[], Collection[str]]
"""Gives the ids of the tasks in flight; called from any thread."""

Operation = Literal["start", "stop", "restart", "kill"]


class SubmitResult(msgspec.Struct, frozen=True):
    """The result of the submission of one task."""

    id: str
    state: State
    duplicate: bool
    seconds: float
    """Seconds from the submission to the reply."""


class BulkSubmitResult(msgspec.Struct, frozen=True):
    """The result of the submission of many tasks."""

    accepted: int = 0
    refused: int = 0
    first_refusal: str = ""
    seconds: float = 0.0
    latency_p50: float | None = None
    latency_p99: float | None = None


class BulkProgress(msgspec.Struct, frozen=True):
    """How many of its tasks an operation has moved, and why it ended."""

    moved: int
    total: int
    cancelled: bool = False
    trouble: str = ""
    """The reason why the operation could not continue, or an empty string when there is none."""

    @property
    def is_complete(self) -> bool:
        """Whether the operation reached its end."""
        return not self.cancelled and not self.trouble


class BulkActionResult(msgspec.Struct, frozen=True):
    """The result of a retry or discard of failed tasks."""

    action: BulkAction
    operation: int
    progress: BulkProgress


class LocalSystemControl:
    """Controls the system of one directory.

    Args:
        settings: the settings of the console and of the system that it starts.
        environment: the environment that the processes of the system inherit.
        journal: the journal of the system.
        home: the paths of its data directory.
        token: the token that servers require.
        servers: the addresses to use when the address of the system is unknown.
        tls: the encryption of the connections to servers; None for none.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        journal: Journal,
        home: Home,
        token: str | None,
        servers: Sequence[str] = (),
        tls: Encryption | None = None,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._journal = journal
        self._home = home
        self._token = token
        self._tls = tls
        self._servers = tuple(servers)
        self._client: tuple[str, Client] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client[1].close()
                self._client = None

    # Tasks.

    def submit(self, task: NewSubmission, listen: str) -> SubmitResult:
        """Submit one task.

        Args:
            task: the task.
            listen: the address of the system, or an empty string when it is unknown.

        Raises:
            CauceError: the task was not accepted.
        """
        client = self._client_for(listen)
        began = time.perf_counter()
        handle = client.submit(task.kind, task.payload, id=task.id, delay=task.delay, retries=task.retries)
        return SubmitResult(handle.id, handle.state, handle.duplicate, time.perf_counter() - began)

    def submit_many(
        self, tasks: Iterable[NewSubmission], listen: str, on_progress: OnProgress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit many tasks. Those accepted before a cancellation stay.

        Raises:
            CauceError: no server replies any more.
        """
        client = self._client_for(listen)
        began = time.perf_counter()
        accepted = refused = 0
        first = ""
        wanted = itertools.takewhile(lambda _: not cancelled.is_set(), tasks)
        for answer in client.submit_many(wanted):
            if isinstance(answer, Refused):
                refused += 1
                first = first or f"{answer.id}: {answer.message}"
            else:
                accepted += 1
            on_progress(accepted + refused)
        return BulkSubmitResult(accepted, refused, first, time.perf_counter() - began)

    def cancel(self, task_id: str, listen: str) -> State:
        """Cancel a task. Returns its state afterwards: `CANCELLED`, or `CANCELLING` when it runs.

        Raises:
            CauceError: it has ended, or no server replies.
        """
        return self._client_for(listen).cancel(task_id)

    def load(
        self, options: LoadOptions, listen: str, on_progress: OnProgress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit tasks at a rate.

        Raises:
            CauceError: no server replies any more.
        """
        client = self._client_for(listen)
        ending = threading.Event()

        def step(accepted: int) -> None:
            # The load sets `ending` at its own end too, so it can't be the event that the user sets.
            if cancelled.is_set():
                ending.set()
            on_progress(accepted)

        with ConnectionPool(
            [Address.parse(each) for each in _addresses(listen, self._servers)],
            self._token,
            REPLY_TIMEOUT,
            tls=self._tls,
        ) as pool:
            figures = LoadCommand(pool, client, options, CONNECT_TIMEOUT, step, ending).run()
        return BulkSubmitResult(
            figures.accepted,
            sum(figures.errors.values()),
            ", ".join(f"{number:,} {code}" for code, number in sorted(figures.errors.items())),
            figures.seconds,
            figures.latency_p50,
            figures.latency_p99,
        )

    def _client_for(self, listen: str) -> Client:
        with self._lock:
            if self._client is not None and self._client[0] == listen:
                return self._client[1]
            if self._client is not None:
                self._client[1].close()
            spread = not listen
            client = Client(
                list(_addresses(listen, self._servers)),
                self._token,
                tls=self._tls,
                timeout=REPLY_TIMEOUT,
                patience=CONNECT_TIMEOUT,
                spread=spread,
            )
            self._client = (listen, client)
            return client

    # Processes.

    def up(self, on_progress: Callable[[SystemStatus], None]) -> SystemStatus:
        """Start the system in the background. Returns its status when it is ready.

        Raises:
            CauceError: a process can't be started.
        """
        return system_start.start(self._settings, self._environment, on_progress)

    def down(self) -> StopResult:
        """Stop the system, in the time that the settings give, or else those that it was started with.

        Raises:
            SupervisorError: a process can't be ended.
        """
        given = self._settings.given(STOP_TIMEOUT)
        return commands.down(self._home, self._settings[STOP_TIMEOUT] if given else None)

    def operate(self, operation: Operation, names: Sequence[str]) -> SystemStatus:
        """Start, stop, restart or kill processes.

        Raises:
            SupervisorError: no supervisor runs, or the operation fails.
        """
        return commands.operate(self._home, operation, names)

    def scale(self, servers: int | None, workers: int | None) -> SystemStatus:
        """Run this number of servers and of workers; None leaves a number as it is.

        Raises:
            SupervisorError: no supervisor runs, or the operation fails.
        """
        return commands.scale(self._home, servers=servers, workers=workers)

    # Failed tasks.

    def apply(
        self, action: BulkAction, seqs: Sequence[int], reporter: Reporter, cancelled: threading.Event
    ) -> BulkActionResult:
        """Retry or discard failed tasks, in batches.

        Raises:
            JournalError: the journal can't be written.
        """
        with self._archive() as archive:
            operation = archive.begin_operation(action, _user_name(), time.time())
            progress = _in_batches(
                seqs, lambda batch: archive.apply(operation, action, batch, time.time()), reporter, cancelled
            )
        return BulkActionResult(action, operation, progress)

    def undo(self, operation: int, running: RunningIds, reporter: Reporter, cancelled: threading.Event) -> BulkProgress:
        """Undo a retry or discard, in batches, for the tasks that have not changed since.

        The rest of a cancelled undo can be undone later.

        Raises:
            JournalError: the journal can't be written.
        """
        with self._archive() as archive:
            progress = _in_batches(
                archive.tasks_moved_by(operation),
                lambda batch: archive.undo(operation, batch, running(), time.time()),
                reporter,
                cancelled,
            )
            if progress.is_complete:
                archive.mark_undone(operation, time.time())
        return progress

    def _archive(self) -> Archive:
        if not self._journal.path.exists():
            raise JournalUnavailable(f"there is no journal {self._journal.path}")
        return self._journal.open_archive(readonly=False)

    # Export.

    def export(
        self, search: Search, order: SortOrder, path: Path, reporter: Reporter, cancelled: threading.Event
    ) -> Exported:
        """Write the tasks that a search matches to a new file: CSV when its name ends in .csv, else JSON lines.

        Raises:
            JournalError: the journal can't be read.
            ConfigurationError: the file can't be written.
        """
        with self._journal.open_archive(readonly=True) as archive:
            return exporting.export(archive, search, order, path, reporter, cancelled)


def _in_batches(
    seqs: Sequence[int], move: Callable[[Sequence[int]], int], reporter: Reporter, cancelled: threading.Event
) -> BulkProgress:
    """Move tasks, each batch in its own transaction. What was moved stays moved when it ends early.

    Raises:
        JournalError: no task could be moved.
    """
    moved = 0
    on_progress = reporter(len(seqs))
    for place in range(0, len(seqs), BATCH_SIZE):
        if cancelled.is_set():
            return BulkProgress(moved, len(seqs), cancelled=True)
        try:
            moved += move(list(seqs[place : place + BATCH_SIZE]))
        except JournalError as error:
            if not moved:
                raise
            return BulkProgress(moved, len(seqs), trouble=str(error))
        on_progress(min(len(seqs), place + BATCH_SIZE))
    return BulkProgress(moved, len(seqs))


def _addresses(listen: str, servers: Sequence[str]) -> Iterator[str]:
    if listen:
        yield listen
    elif servers:
        yield from servers
    else:
        yield str(BALANCER)
        yield str(SERVERS[0])


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
