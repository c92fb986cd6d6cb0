"""The journals that the contract is tested with, and short ways to fill one.

For each there is a function that makes a new, empty journal for one test and returns what opens connections to it.
Connections that the test leaves open are closed with it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from core.closeable import Closeable
from core.model import (
    Beginning,
    Counters,
    Dispatch,
    Failure,
    NewTask,
    Outcome,
    ProcessPhase,
    ProcessRecord,
    Role,
    RunningTask,
    State,
    Task,
)
from core.repository.archive import Archive, OpenArchive
from core.repository.base import OpenRepository, Repository
from core.repository.beginnings import Beginnings, WorkerBeginnings
from core.repository.sqlite import open_sqlite
from core.repository.sqlite_archive import open_archive

T = TypeVar("T", bound=Closeable)
NOW = 1_000_000.0
"""The present time in the tests."""

NOTHING_COUNTED = Counters()
FAILURE = Failure(type="ValueError", message="no", traceback="line 1\nline 2", signature="abc")


class Openers(NamedTuple):
    """Functions that open connections to one journal."""

    repository: OpenRepository
    archive: OpenArchive
    beginnings: Callable[[int, str], WorkerBeginnings]
    """Opens the file in which the worker of a number and a name notes what it begins."""


@contextmanager
def sqlite_journal(directory: Path) -> Iterator[Openers]:
    """Make a journal in an SQLite file."""
    opened: list[Closeable] = []
    lock = threading.Lock()
    path = directory / "resultados.db"

    def keep(connection: T) -> T:
        with lock:
            opened.append(connection)
        return connection

    def open_repository() -> Repository:
        return keep(open_sqlite(path))

    def open_an_archive() -> Archive:
        return keep(open_archive(path))

    try:
        yield Openers(open_repository, open_an_archive, Beginnings(path).of_worker)
    finally:
        for connection in opened:
            connection.close()


JOURNALS: dict[str, Callable[[Path], AbstractContextManager[Openers]]] = {"sqlite": sqlite_journal}


def new_task(
    task_id: str,
    payload: str = "1",
    *,
    kind: str = "echo",
    due_at: float | None = None,
    retries: int | None = None,
    sent_at: float | None = None,
) -> NewTask:
    """Return a task to accept."""
    return NewTask(
        id=task_id, kind=kind, payload=payload, due_at=due_at, retries=retries, sent_at=sent_at, received_at=NOW - 1
    )


def outcome(
    seq: int,
    attempt: int = 0,
    state: State = State.DONE,
    *,
    due_at: float | None = None,
    result: str | None = "42",
    failure: Failure | None = FAILURE,
    queued_at: float | None = None,
) -> Outcome:
    """Return an outcome, with a result or a failure according to its state."""
    done = state is State.DONE
    return Outcome(
        seq=seq,
        attempt=attempt,
        state=state,
        result=result if done else None,
        failure=None if done else failure,
        due_at=due_at,
        worker="w1",
        queued_at=queued_at,
        taken_at=NOW + 4,
        started_at=NOW + 5,
        finished_at=NOW + 6,
    )


def process(
    name: str = "s1",
    *,
    number: int = 0,
    started_at: float = NOW,
    at: float = 0.0,
    beat: int = 0,
    phase: ProcessPhase = ProcessPhase.STARTING,
    counters: Counters = NOTHING_COUNTED,
    in_hand: tuple[RunningTask, ...] = (),
) -> ProcessRecord:
    """Return the record of a server, last seen at `at` or at its start."""
    return ProcessRecord(
        number=number,
        role=Role.SERVER,
        name=name,
        host="here",
        pid=1,
        address="127.0.0.1:7101",
        threads=4,
        started_at=started_at,
        beat=beat,
        seen_at=at or started_at,
        phase=phase,
        counters=counters,
        in_hand=in_hand,
    )


def enter(repository: Repository, *task_ids: str, owner: int | None = None, now: float = NOW) -> list[int]:
    """Accept tasks that are due now. Returns their numbers."""
    with repository.transaction():
        return [receipt.seq for receipt in repository.accept([new_task(name) for name in task_ids], owner, now)]


def mark(repository: Repository, seqs: list[int], attempt: int = 0, now: float = NOW) -> None:
    """Note that the broker has confirmed tasks."""
    with repository.transaction():
        repository.mark_queued([Dispatch(seq, "", "echo", attempt) for seq in seqs], now)


def queue(repository: Repository, *task_ids: str) -> list[int]:
    """Accept tasks and note that the broker has confirmed them. Returns their numbers."""
    seqs = enter(repository, *task_ids, owner=1)
    mark(repository, seqs)
    return seqs


def store_outcomes(repository: Repository, *outcomes: Outcome, now: float = NOW + 7) -> list[bool]:
    """Store outcomes in a transaction."""
    with repository.transaction():
        return repository.store_outcomes(outcomes, now)


def begin(repository: Repository, seq: int, worker: str = "w1", *, at: float = NOW + 3) -> int:
    """Add a strike to a task that begins after a redelivery. Returns the number of the attempt."""
    with repository.transaction():
        return repository.add_strike(Beginning(seq=seq, worker=worker, taken_at=at - 1, started_at=at))


def end(repository: Repository, *task_ids: str, now: float = NOW + 7) -> list[int]:
    """Accept tasks and store results for them. Returns their numbers."""
    seqs = queue(repository, *task_ids)
    store_outcomes(repository, *[outcome(seq) for seq in seqs], now=now)
    return seqs


def find(repository: Repository, task_id: str) -> Task | None:
    """Return the task with this id, or None when the journal has none."""
    found = repository.find_all([task_id])
    return found[0] if found else None


def state_of(repository: Repository, task_id: str) -> State:
    """Return the state of a task that is in the journal."""
    task = find(repository, task_id)
    assert task is not None
    return task.state


def totals(repository: Repository) -> dict[str, int]:
    """Return the ledger, without the states that have no tasks."""
    return {state: number for state, number in repository.counts().items() if number}
