"""What an operator can have done: each is a call that takes its time, made in a thread of its own by no widget."""

import contextlib
import csv
import getpass
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

import msgspec

from core.addresses import BALANCER, SERVERS, Address
from core.client import Client, NewSubmission, Refused
from core.client.load import Load, LoadOrder
from core.client.pool import Pool
from core.config import Settings
from core.errors import ConfigurationError, JournalUnavailable
from core.model import State, Task
from core.repository.archive import Act, Archive
from core.repository.opening import Journal
from core.repository.search import Order, Search
from core.supervisor import commands, launching
from core.supervisor.home import Home
from core.supervisor.report import Report, Stopped

ANSWER_TIMEOUT = 10.0
PATIENCE = 8.0
"""Seconds in which a server has to be found."""

AT_ONCE = 1000
"""Tasks that are moved in one transaction: others write in between."""

EXPORTED_AT_ONCE = 500
EVERYTHING = 2**62
"""A table lists the first of very many results; a file gets them all."""

Progress = Callable[[int], None]
"""Takes how far it is; may be called from any thread."""

Operation = Literal["start", "stop", "restart", "kill"]


class Submitted(msgspec.Struct, frozen=True):
    """A task was accepted."""

    id: str
    state: State
    duplicate: bool
    seconds: float
    """From sending it to the answer."""


class Tally(msgspec.Struct, frozen=True):
    """What came of many."""

    accepted: int = 0
    refused: int = 0
    first_refusal: str = ""
    seconds: float = 0.0
    latency_p50: float | None = None
    latency_p99: float | None = None


class Settled(msgspec.Struct, frozen=True):
    """What an operator has done about failed tasks."""

    act: Act
    operation: int
    moved: int


class Operator:
    """Does things to one system.

    Args:
        settings: of the console, and of what it starts.
        environment: what processes inherit that it starts.
        journal: of the system.
        home: of its directory.
        token: what servers want to be shown.
        servers: where they are, when nobody says it.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        journal: Journal,
        home: Home,
        token: str | None,
        servers: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._journal = journal
        self._home = home
        self._token = token
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

    def submit(self, task: NewSubmission, listen: str) -> Submitted:
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
        return Submitted(handle.id, handle.state, handle.duplicate, time.perf_counter() - began)

    def submit_many(
        self, tasks: Iterable[NewSubmission], listen: str, progress: Progress, cancelled: threading.Event
    ) -> Tally:
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
        return Tally(accepted, refused, first, time.perf_counter() - began)

    def load(self, order: LoadOrder, listen: str, progress: Progress, cancelled: threading.Event) -> Tally:
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

        with Pool(
            [Address.parse(each) for each in _addresses(listen, self._servers)], self._token, ANSWER_TIMEOUT
        ) as pool:
            figures = Load(pool, client, order, PATIENCE, step, ending).run()
        return Tally(
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
                timeout=ANSWER_TIMEOUT,
                patience=PATIENCE,
                spread=spread,
            )
            self._client = (listen, client)
            return client

    # Processes.

    def up(self, tell: Callable[[Report], None]) -> Report:
        """Start the system in the background.

        Raises:
            CauceError: something can't be started.
        """
        return launching.up_detached(self._settings, self._environment, tell)

    def down(self, timeout: float) -> Stopped:
        """Take the system down.

        Raises:
            SupervisorError: something can't be ended.
        """
        return commands.down(self._home, timeout)

    def operate(self, what: Operation, names: Sequence[str]) -> Report:
        """Have processes started, stopped, restarted or killed.

        Raises:
            SupervisorError: it can't be done; says why.
        """
        return commands.operate(self._home, what, names)

    def scale(self, servers: int | None, workers: int | None) -> Report:
        """Run so many servers and workers.

        Raises:
            SupervisorError: it can't be done; says why.
        """
        return commands.scale(self._home, servers=servers, workers=workers)

    def hasten(self, names: Sequence[str]) -> None:
        """Have a stop that is under way kill at once what still runs."""
        commands.hasten(self._home, names)

    # Failed tasks.

    def settle(self, act: Act, seqs: Sequence[int], progress: Progress, cancelled: threading.Event) -> Settled:
        """Retry or discard failed tasks, some at a time.

        Raises:
            JournalError: it can't be written.
        """
        with self._archive() as archive:
            operation = archive.begin(act, _user(), time.time())
            moved = 0
            for place in range(0, len(seqs), AT_ONCE):
                if cancelled.is_set():
                    break
                moved += archive.apply(operation, act, list(seqs[place : place + AT_ONCE]), time.time())
                progress(min(len(seqs), place + AT_ONCE))
        return Settled(act, operation, moved)

    def undo(self, operation: int, running: frozenset[str]) -> int:
        """Take back what was done about failed tasks, as far as nothing has happened to them since; how many.

        Raises:
            JournalError: it can't be written.
        """
        with self._archive() as archive:
            return archive.undo(operation, running, time.time())

    def _archive(self) -> Archive:
        if not self._journal.path.exists():
            raise JournalUnavailable(f"there is no journal {self._journal.path}")
        return self._journal.archive(readonly=False)()

    # Export.

    def export(self, search: Search, order: Order, path: Path, progress: Progress, cancelled: threading.Event) -> int:
        """Write what a search finds to a new file: as JSON lines, or as CSV when its name ends so; how many.

        A file that is there is not overwritten; one that is left half-way, cancelled or not, is taken away.

        Raises:
            JournalError: the journal can't be read.
            ConfigurationError: the file can't be written.
        """
        try:
            with self._journal.archive(readonly=True)() as archive, _new_file(path) as out:
                written = _export(archive, search, order, out, path.suffix.lower() == ".csv", progress, cancelled)
        except FileExistsError as error:
            raise ConfigurationError(f"{path} is there already: choose another name") from error
        except OSError as error:
            raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from error
        if cancelled.is_set():
            path.unlink(missing_ok=True)
        return written


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """A file that was not there, and is not there afterwards either when it could not be written to its end."""
    with path.open("x", encoding="utf-8", newline="") as out:
        try:
            yield out
            out.flush()
        except BaseException:
            with contextlib.suppress(OSError):
                out.close()
            path.unlink(missing_ok=True)
            raise


_COLUMNS = ("number", "id", "kind", "state", "attempts", "worker", "payload", "result", "error", "accepted", "ended")


def _export(
    archive: Archive,
    search: Search,
    order: Order,
    out: IO[str],
    as_csv: bool,
    progress: Progress,
    cancelled: threading.Event,
) -> int:
    seqs = archive.matching(search, order, EVERYTHING)
    writer = csv.writer(out)
    if as_csv:
        writer.writerow(_COLUMNS)
    written = 0
    for task in _tasks(archive, seqs):
        if cancelled.is_set():
            break
        if as_csv:
            writer.writerow([harmless(str(value)) for value in _cells(task)])
        else:
            out.write(msgspec.json.encode(_members(task)).decode() + "\n")
        written += 1
        if written % EXPORTED_AT_ONCE == 0:
            progress(written)
    progress(written)
    return written


def _tasks(archive: Archive, seqs: Sequence[int]) -> Iterator[Task]:
    for seq in seqs:
        task = archive.task(seq)
        if task is not None:
            yield task


def _cells(task: Task) -> tuple[object, ...]:
    failure = "" if task.failure is None else f"{task.failure.type}: {task.failure.message}"
    return (
        task.seq,
        task.id,
        task.kind,
        task.state.value,
        task.attempts,
        task.worker or "",
        task.payload,
        task.result or "",
        failure,
        task.times.accepted or "",
        task.times.stored or "",
    )


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    Those that begin with `=`, `+`, `-`, `@` or a tab are: https://owasp.org/www-community/attacks/CSV_Injection.
    A number stays a number.
    """
    if text[:1] in {"=", "+", "-", "@", "\t", "\r"} and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _members(task: Task) -> dict[str, object]:
    members: dict[str, object] = msgspec.structs.asdict(task)
    members["payload"] = json.loads(task.payload)
    members["result"] = None if task.result is None else json.loads(task.result)
    members["state"] = task.state.value
    members["failure"] = None if task.failure is None else msgspec.structs.asdict(task.failure)
    members["times"] = msgspec.structs.asdict(task.times)
    return members


def _addresses(listen: str, servers: Sequence[str]) -> Iterator[str]:
    if listen:
        yield listen
    elif servers:
        yield from servers
    else:
        yield str(BALANCER)
        yield str(SERVERS[0])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
