"""The control of one system: submits tasks, runs processes, retries, discards and exports tasks.

Every call blocks, so that it is made in a thread of its own and never by a widget.
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
from core.supervisor.status import StopResult, SystemStatus
from tui import exporting, system_start
from tui.exporting import Exported

ANSWER_TIMEOUT = 10.0
PATIENCE = 8.0
"""Seconds in which a server has to be found."""

AT_ONCE = 1000
"""Tasks that are moved in one transaction: others write in between."""

Progress = Callable[[int], None]
"""Takes how far it is; may be called from any thread."""

RunningIds = Callable[[], Collection[str]]
"""The ids of the tasks that workers have in hand now; may be called from any thread."""

Operation = Literal["start", "stop", "restart", "kill"]


class SubmitResult(msgspec.Struct, frozen=True):
    """A task was accepted."""

    id: str
    state: State
    duplicate: bool
    seconds: float
    """From sending it to the answer."""


class BulkSubmitResult(msgspec.Struct, frozen=True):
    """What came of many."""

    accepted: int = 0
    refused: int = 0
    first_refusal: str = ""
    seconds: float = 0.0
    latency_p50: float | None = None
    latency_p99: float | None = None


class BulkProgress(msgspec.Struct, frozen=True):
    """How much was done of what was to be done to many tasks."""

    moved: int
    of: int
    cancelled: bool = False
    trouble: str = ""
    """Why it went no further."""

    @property
    def whole(self) -> bool:
        """Whether it came to its end."""
        return not self.cancelled and not self.trouble


class BulkActionResult(msgspec.Struct, frozen=True):
    """What an operator has done about failed tasks."""

    act: BulkAction
    operation: int
    extent: BulkProgress


class LocalSystemControl:
    """Controls the system of one directory.

    Args:
        settings: of the console, and of what it starts.
        environment: what processes inherit that it starts.
        journal: of the system.
        home: of its directory.
        token: what servers want to be shown.
        servers: where they are, when nobody says it.
        tls: what to encrypt with; None for no encryption.
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
        """Let go of connections."""
        with self._lock:
            if self._client is not None:
                self._client[1].close()
                self._client = None

    # Tasks.

    def submit(self, task: NewSubmission, listen: str) -> SubmitResult:
        """Submit one task.

        Args:
            task: the task.
            listen: where the system listens, as far as it is known.

        Raises:
            CauceError: it was not accepted.
        """
        client = self._client_for(listen)
        began = time.perf_counter()
        handle = client.submit(task.kind, task.payload, id=task.id, delay=task.delay, retries=task.retries)
        return SubmitResult(handle.id, handle.state, handle.duplicate, time.perf_counter() - began)

    def submit_many(
        self, tasks: Iterable[NewSubmission], listen: str, progress: Progress, cancelled: threading.Event
    ) -> BulkSubmitResult:
        """Submit many tasks; those that were accepted before it is cancelled stay.

        Raises:
            CauceError: no server answers any more.
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
            progress(accepted + refused)
        return BulkSubmitResult(accepted, refused, first, time.perf_counter() - began)

    def load(self, order: LoadOptions, listen: str, progress: Progress, cancelled: threading.Event) -> BulkSubmitResult:
        """Submit as many tasks as are ordered, at a rate.

        Raises:
            CauceError: no server answers any more.
        """
        client = self._client_for(listen)
        ending = threading.Event()

        def step(accepted: int) -> None:
            # The load sets its own event at its end; the person's says that it was cancelled.
            if cancelled.is_set():
                ending.set()
            progress(accepted)

        with ConnectionPool(
            [Address.parse(each) for each in _addresses(listen, self._servers)],
            self._token,
            ANSWER_TIMEOUT,
            tls=self._tls,
        ) as pool:
            figures = LoadCommand(pool, client, order, PATIENCE, step, ending).run()
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
                timeout=ANSWER_TIMEOUT,
                patience=PATIENCE,
                spread=spread,
            )
            self._client = (listen, client)
            return client

    # Processes.

    def up(self, tell: Callable[[SystemStatus], None]) -> SystemStatus | None:
        """Start the system in the background; None when it has ended before it was ready.

        Raises:
            CauceError: something can't be started.
        """
        return system_start.start(self._settings, self._environment, tell)

    def down(self, timeout: float) -> StopResult:
        """Take the system down.

        Raises:
            SupervisorError: something can't be ended.
        """
        return commands.down(self._home, timeout)

    def operate(self, what: Operation, names: Sequence[str]) -> SystemStatus:
        """Have processes started, stopped, restarted or killed.

        Raises:
            SupervisorError: it can't be done; says why.
        """
        return commands.operate(self._home, what, names)

    def scale(self, servers: int | None, workers: int | None) -> SystemStatus:
        """Run so many servers and workers.

        Raises:
            SupervisorError: it can't be done; says why.
        """
        return commands.scale(self._home, servers=servers, workers=workers)

    # Failed tasks.

    def settle(
        self, act: BulkAction, seqs: Sequence[int], progress: Progress, cancelled: threading.Event
    ) -> BulkActionResult:
        """Retry or discard failed tasks, some at a time.

        Raises:
            JournalError: it can't be written.
        """
        with self._archive() as archive:
            operation = archive.begin_operation(act, _user_name(), time.time())
            extent = _some_at_a_time(
                seqs, lambda some: archive.apply(operation, act, some, time.time()), progress, cancelled
            )
        return BulkActionResult(act, operation, extent)

    def undo(self, operation: int, running: RunningIds, progress: Progress, cancelled: threading.Event) -> BulkProgress:
        """Take back what was done about failed tasks, as far as nothing has happened to them since, some at a time.

        What is left when it is cancelled can be undone later.

        Raises:
            JournalError: it can't be written.
        """
        with self._archive() as archive:
            extent = _some_at_a_time(
                archive.tasks_moved_by(operation),
                lambda some: archive.undo(operation, some, running(), time.time()),
                progress,
                cancelled,
            )
            if extent.whole:
                archive.mark_undone(operation, time.time())
        return extent

    def _archive(self) -> Archive:
        if not self._journal.path.exists():
            raise JournalUnavailable(f"there is no journal {self._journal.path}")
        return self._journal.open_archive(readonly=False)

    # Export.

    def export(
        self, search: Search, order: SortOrder, path: Path, progress: Progress, cancelled: threading.Event
    ) -> Exported:
        """Write what a search finds to a new file: as JSON lines, or as CSV when its name ends so.

        Raises:
            JournalError: the journal can't be read.
            ConfigurationError: the file can't be written.
        """
        with self._journal.open_archive(readonly=True) as archive:
            return exporting.export(archive, search, order, path, progress, cancelled)


def _some_at_a_time(
    seqs: Sequence[int], move: Callable[[Sequence[int]], int], progress: Progress, cancelled: threading.Event
) -> BulkProgress:
    """Move tasks, each batch in a transaction of its own; what was moved stays so when it ends early.

    Raises:
        JournalError: none could be moved.
    """
    moved = 0
    for place in range(0, len(seqs), AT_ONCE):
        if cancelled.is_set():
            return BulkProgress(moved, len(seqs), cancelled=True)
        try:
            moved += move(list(seqs[place : place + AT_ONCE]))
        except JournalError as error:
            if not moved:
                raise
            return BulkProgress(moved, len(seqs), trouble=str(error))
        progress(min(len(seqs), place + AT_ONCE))
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
