"""The thread that writes the journal for a server: group commits, and the dispatcher.

Requests that arrive during a commit, or while it waits for another process's lock, are committed together.
This module knows nothing of sockets: results leave through one function, a batch at a time.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

import msgspec

from core.dispatcher import Dispatcher
from core.errors import JournalError
from core.model import AcceptResult, Dispatch, NewTask, State
from core.repository.base import OpenRepository, Repository
from core.task_state import running_tasks, task_state
from core.threads import OnDeath, vital_thread

MAX_BATCH = 1000
"""Requests committed together. This bounds the time for which other processes wait for the lock."""

MAX_WAITING = 128 * 1024 * 1024
"""Bytes of requests that wait to be written, above which new requests are refused as overloaded."""

TICK_INTERVAL = 0.2
"""Seconds between two turns of the dispatcher while no request arrives."""

_log = logging.getLogger("cauce.server")

Ticket = TypeVar("Ticket")


class WriteTask(msgspec.Struct, Generic[Ticket]):
    """A request to store a task. The ticket identifies the request in its result."""

    ticket: Ticket
    task: NewTask


class CancelTask(msgspec.Struct, Generic[Ticket]):
    """A request to cancel a task."""

    ticket: Ticket
    task_id: str


class TaskWritten(msgspec.Struct, Generic[Ticket]):
    """The result of a `WriteTask` whose transaction is committed."""

    ticket: Ticket
    result: AcceptResult


class TaskCancelResult(msgspec.Struct, Generic[Ticket]):
    """The result of a `CancelTask`."""

    ticket: Ticket
    task_id: str
    state: State | None
    """The state of the task, or None when it does not exist."""


class WriteFailed(msgspec.Struct, Generic[Ticket]):
    """Nothing was stored, because the journal can't be written now."""

    ticket: Ticket
    task_id: str
    reason: str


WriteRequest = WriteTask[Ticket] | CancelTask[Ticket]
WriteResult = TaskWritten[Ticket] | TaskCancelResult[Ticket] | WriteFailed[Ticket]


class JournalWriter(Generic[Ticket]):
    """The thread that writes the journal.

    Args:
        open_repository: opens the journal, in the thread.
        make_dispatcher: makes the dispatcher, in the thread.
        owner: the server's number in the journal.
        on_results: takes the results of one commit; called from the thread.
        on_death: called when the thread dies of an error.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        on_results: Callable[[Sequence[WriteResult[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        self._open = open_repository
        self._make_dispatcher = make_dispatcher
        self._owner = owner
        self._on_results = on_results
        self._requests: queue.SimpleQueue[Sequence[WriteRequest[Ticket]]] = queue.SimpleQueue()
        self._rest: Sequence[WriteRequest[Ticket]] = ()
        """Requests that found no room in the last batch."""
        self._stopping = threading.Event()
        self._drain_timeout = 5.0
        self._thread = vital_thread("journal", self._run, on_death)
        self._bytes_queued = 0
        self._bytes_written = 0
        self.accepted = 0
        self.published = 0
        self.trouble = ""
        """The reason why the journal can't be written now, or an empty string."""
        self.broker_trouble = "connecting"
        """The reason why nothing can be published now, or an empty string."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that new requests must be refused."""
        return self._bytes_queued - self._bytes_written > MAX_WAITING

    def write(self, requests: Sequence[WriteRequest[Ticket]]) -> None:
        """Queue requests. Each has exactly one result. Called from one thread only."""
        self._bytes_queued += _memory_size(requests)
        self._requests.put(requests)

    def stop(self, timeout: float) -> None:
        """Write the queued requests, wait up to `timeout` seconds for publisher confirms, and end the thread."""
        self._drain_timeout = timeout
        self._stopping.set()
        self._requests.put([])
        self._thread.join(timeout + 15)

    def _run(self) -> None:
        with self._open() as repository:
            dispatcher = self._make_dispatcher()
            while True:
                requests = self._take_requests()
                if requests or dispatcher.needs_write(time.monotonic(), partial(_is_due, repository)):
                    self._commit(requests, repository, dispatcher)
                    self._bytes_written += _memory_size(requests)
                dispatcher.flush(time.monotonic(), time.time())
                self.published = dispatcher.published
                self.broker_trouble = dispatcher.trouble
                if self._stopping.is_set() and self._requests.empty() and not self._rest:
                    break
            self._close(repository, dispatcher)

    def _take_requests(self) -> list[WriteRequest[Ticket]]:
        """Return the next requests, after waiting up to one interval for them."""
        requests: list[WriteRequest[Ticket]] = []
        with suppress(queue.Empty):
            self._add(self._rest or self._requests.get(timeout=TICK_INTERVAL), requests)
        return requests

    def _take_more(self, requests: list[WriteRequest[Ticket]]) -> None:
        """Add the requests that have arrived by now."""
        with suppress(queue.Empty):
            while len(requests) < MAX_BATCH:
                self._add(self._rest or self._requests.get_nowait(), requests)

    def _add(self, more: Sequence[WriteRequest[Ticket]], requests: list[WriteRequest[Ticket]]) -> None:
        """Add as many requests as one batch may have, and keep the rest for the next."""
        room = MAX_BATCH - len(requests)
        requests.extend(more[:room])
        self._rest = more[room:]

    def _commit(self, requests: list[WriteRequest[Ticket]], repository: Repository, dispatcher: Dispatcher) -> None:
        """Commit these requests, and those that arrive while the transaction waits for the journal's lock."""
        try:
            with repository.transaction():
                self._take_more(requests)
                submissions = [request for request in requests if isinstance(request, WriteTask)]
                cancellations = [request for request in requests if isinstance(request, CancelTask)]
                owner = self._owner if dispatcher.room >= len(submissions) else None
                now, wall = time.monotonic(), time.time()
                accepted = (
                    repository.accept([request.task for request in submissions], owner, wall) if submissions else []
                )
                states = self._cancel(cancellations, repository, dispatcher.alive, wall)
                dispatcher.write(repository, now, wall)
        except JournalError as error:
            self._fail(requests, str(error))
            return
        dispatcher.after_commit(now)
        if owner is not None:
            dispatcher.add(_to_publish(submissions, accepted))
        self.accepted += sum(not result.duplicate for result in accepted)
        self.trouble = ""
        results: list[WriteResult[Ticket]] = [
            TaskWritten(request.ticket, result) for request, result in zip(submissions, accepted, strict=True)
        ]
        results += [
            TaskCancelResult(request.ticket, request.task_id, state)
            for request, state in zip(cancellations, states, strict=True)
        ]
        if results:
            self._on_results(results)

    def _cancel(
        self, cancellations: Sequence[CancelTask[Ticket]], repository: Repository, alive: Collection[int], wall: float
    ) -> list[State | None]:
        """Cancel tasks. Returns their states."""
        if not cancellations:
            return []
        held = running_tasks(record for record in repository.processes() if record.number in alive)
        asked = {request.task_id for request in cancellations}.intersection(held)
        running = {task.id for task in repository.find_all(asked) if task_state(task, held).running is not None}
        return [repository.cancel(request.task_id, wall, runs=request.task_id in running) for request in cancellations]

    def _fail(self, requests: Sequence[WriteRequest[Ticket]], reason: str) -> None:
        if not self.trouble:
            _log.error("the journal can't be written: %s", reason)
        self.trouble = reason
        if requests:
            self._on_results([WriteFailed(request.ticket, _task_id(request), reason) for request in requests])
        else:
            self._stopping.wait(TICK_INTERVAL)

    def _close(self, repository: Repository, dispatcher: Dispatcher) -> None:
        try:
            dispatcher.close(repository, self._drain_timeout, time.monotonic(), time.time())
        except JournalError as error:
            _log.error("the last states could not be written; another server will publish these tasks again: %s", error)
        self.published = dispatcher.published


def _is_due(repository: Repository) -> bool:
    try:
        return repository.has_due_tasks(time.time())
    except JournalError:
        return True  # the transaction raises the same error and reports it


def _task_id(request: WriteRequest[Ticket]) -> str:
    return request.task.id if isinstance(request, WriteTask) else request.task_id


def _memory_size(requests: Sequence[WriteRequest[Ticket]]) -> int:
    """Return the approximate bytes of memory that requests take."""
    payloads = sum(_text_size(request.task.payload) if isinstance(request, WriteTask) else 0 for request in requests)
    return payloads + 1000 * len(requests)


def _text_size(text: str) -> int:
    """Return the bytes that a text takes at most: one character can make all others four bytes large."""
    return len(text) if text.isascii() else 4 * len(text)


def _to_publish(submissions: Sequence[WriteTask[Ticket]], accepted: Sequence[AcceptResult]) -> list[Dispatch]:
    return [
        Dispatch(result.seq, result.id, request.task.kind, 0)
        for request, result in zip(submissions, accepted, strict=True)
        if not result.duplicate and request.task.due_at is None
    ]
