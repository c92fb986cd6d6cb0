"""The thread that reads the journal for a server: tasks, their results, and the ledger.

Waiting for results costs one query of the journal's version while nothing changes,
and one query for all awaited tasks after a change.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from core.errors import JournalError
from core.heartbeat import Liveness
from core.logs import LogThrottle
from core.model import Attempt, KindDescription, Ledger, ProcessRecord, Task
from core.repository.base import OpenRepository, Repository
from core.server.waiters import Waiter, Waiters
from core.task_state import RunningTasks, TaskState, running_tasks, task_state
from core.threads import OnDeath, vital_thread

POLL_INTERVAL = 0.005
"""Seconds between two polls of the journal while clients wait for results."""

REST_FACTOR = 4
"""A poll is followed by a pause at least this many times as long, so that waiting clients leave processor time."""

PROCESSES_INTERVAL = 1.0
"""Seconds between two reads of the processes' records."""

MAX_BATCH = 64
"""Requests that are handled together. The results of a batch are in memory at once, and may be large."""

LOG_INTERVAL = 10.0
"""Seconds between two warnings in the log, so that requests can't fill it."""

_NO_ATTEMPTS: Mapping[int, Sequence[Attempt]] = {}
_log = logging.getLogger("cauce.server")

Ticket = TypeVar("Ticket")


class FindTask(msgspec.Struct, Generic[Ticket]):
    """A request for a task and its state."""

    ticket: Ticket
    task_id: str


class ReadStats(msgspec.Struct, Generic[Ticket]):
    """A request for the ledger and the live processes."""

    ticket: Ticket


class ReadKinds(msgspec.Struct, Generic[Ticket]):
    """A request for the kinds of task, or for one."""

    ticket: Ticket
    kind: str | None


class TaskFound(msgspec.Struct, Generic[Ticket]):
    """A task, or None when there is none, and its state at this moment."""

    ticket: Ticket
    task_id: str
    task: Task | None
    only_outcome: bool
    """Whether the request was for the outcome only."""
    state: TaskState | None = None
    """None when there is no such task."""
    former: Sequence[Attempt] = ()
    """The former attempts, unless the request was for the outcome only."""


class StatsRead(msgspec.Struct, Generic[Ticket]):
    """The ledger, and the records of the live processes."""

    ticket: Ticket
    ledger: Ledger
    processes: Sequence[ProcessRecord]


class KindsRead(msgspec.Struct, Generic[Ticket]):
    """The kinds of task that workers have told of, and how many live workers run each."""

    ticket: Ticket
    kind: str | None
    """The only kind that the request was for, or None."""
    kinds: Sequence[KindDescription]
    workers: Mapping[str, int]


class ReadFailed(msgspec.Struct, Generic[Ticket]):
    """The journal can't be read now."""

    ticket: Ticket
    reason: str


ReadRequest = FindTask[Ticket] | Waiter[Ticket] | ReadStats[Ticket] | ReadKinds[Ticket]
ReadResult = TaskFound[Ticket] | StatsRead[Ticket] | KindsRead[Ticket] | ReadFailed[Ticket]


class JournalReader(Generic[Ticket]):
    """The thread that reads the journal.

    Args:
        open_repository: opens the journal read-only, in the thread.
        on_results: takes several results at once; called from the thread.
        on_death: called when the thread dies of an error.
        is_disconnected: returns whether the client of a ticket has disconnected; called from the thread.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        on_results: Callable[[Sequence[ReadResult[Ticket]]], None],
        on_death: OnDeath,
        is_disconnected: Callable[[Ticket], bool] = lambda _: False,
    ) -> None:
        self._open = open_repository
        self._on_results = on_results
        self._requests: queue.SimpleQueue[Sequence[ReadRequest[Ticket]]] = queue.SimpleQueue()
        self._waiters = Waiters[Ticket](is_disconnected)
        self._liveness = Liveness()
        self._alive: list[ProcessRecord] = []
        self._running: RunningTasks = {}
        self._log_throttle = LogThrottle(LOG_INTERVAL)
        self._next_poll = 0.0
        self._next_processes = 0.0
        self._version = -1
        self._stopping = threading.Event()
        self._thread = vital_thread("reader", self._run, on_death)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def read(self, requests: Sequence[ReadRequest[Ticket]]) -> None:
        """Queue requests. Each has exactly one result."""
        self._requests.put(requests)

    def stop(self) -> None:
        """Handle the queued requests, answer the waiters with the current state, and end the thread."""
        self._stopping.set()
        self._requests.put([])
        self._thread.join(15)

    def _run(self) -> None:
        with self._open() as repository:
            while not self._stopping.is_set() or not self._requests.empty():
                self._handle(self._take_requests(), repository)
            self._answer_waiters(repository, self._waiters.pop_all())

    def _take_requests(self) -> list[ReadRequest[Ticket]]:
        """Return the queued requests, after waiting for the first until the next poll."""
        timeout = PROCESSES_INTERVAL
        if self._waiters:
            timeout = min(max(0.001, self._next_poll - time.monotonic()), PROCESSES_INTERVAL)
        requests: list[ReadRequest[Ticket]] = []
        try:
            requests.extend(self._requests.get(timeout=timeout))
            while True:
                requests.extend(self._requests.get_nowait())
        except queue.Empty:
            return requests

    def _handle(self, requests: Sequence[ReadRequest[Ticket]], repository: Repository) -> None:
        now = time.monotonic()
        for first in range(0, max(1, len(requests)), MAX_BATCH):
            self._handle_batch(requests[first : first + MAX_BATCH], repository, now)
        try:
            self._poll(repository, now)
        except JournalError as error:
            self._fail(self._waiters.pop_all(), error)

    def _handle_batch(self, requests: Sequence[ReadRequest[Ticket]], repository: Repository, now: float) -> None:
        try:
            self._read_processes(repository, now)
            results, waiters = self._answer(requests, repository)
        except JournalError as error:
            self._fail(requests, error)
        else:
            self._deliver(results)
            self._add_waiters(waiters)

    def _fail(self, requests: Sequence[ReadRequest[Ticket]], error: JournalError) -> None:
        if requests:
            now = time.monotonic()
            if self._log_throttle.is_due(now):
                _log.warning("the journal can't be read: %s", error)
            self._deliver([ReadFailed(request.ticket, str(error)) for request in requests])

    def _answer(
        self, requests: Sequence[ReadRequest[Ticket]], repository: Repository
    ) -> tuple[list[ReadResult[Ticket]], list[Waiter[Ticket]]]:
        """Return the results that are known now, and the waiters for tasks that have not ended."""
        task_ids = {request.task_id for request in requests if isinstance(request, FindTask | Waiter)}
        tasks = {task.id: task for task in repository.find_all(task_ids)} if task_ids else {}
        asked = [tasks[each.task_id].seq for each in requests if isinstance(each, FindTask) and each.task_id in tasks]
        former = repository.former_attempts(asked) if asked else _NO_ATTEMPTS
        results: list[ReadResult[Ticket]] = []
        waiters: list[Waiter[Ticket]] = []
        ledger: Ledger | None = None
        for request in requests:
            if isinstance(request, ReadStats):
                ledger = ledger or self._ledger(repository)
                results.append(StatsRead(request.ticket, ledger, self._alive))
                continue
            if isinstance(request, ReadKinds):
                workers = Counter(kind for record in self._alive for kind in record.kinds)
                results.append(KindsRead(request.ticket, request.kind, repository.told_kinds(request.kind), workers))
                continue
            task = tasks.get(request.task_id)
            if isinstance(request, Waiter) and task is not None and not task.state.ended:
                waiters.append(request)
            else:
                results.append(self._task_found(request, task, former))
        return results, waiters

    def _add_waiters(self, waiters: Sequence[Waiter[Ticket]]) -> None:
        for waiter in waiters:
            self._waiters.add(waiter)
            # The task may have ended since it was read.
            self._version = -1

    def _read_processes(self, repository: Repository, now: float) -> None:
        if now < self._next_processes:
            return
        self._next_processes = now + PROCESSES_INTERVAL
        records = repository.processes()
        self._liveness.observe(records, now)
        self._alive = [record for record in records if self._liveness.is_alive(record, now)]
        self._running = running_tasks(self._alive)

    def _ledger(self, repository: Repository) -> Ledger:
        return Ledger.of(repository.counts(), len(self._running))

    def _task_found(
        self,
        request: FindTask[Ticket] | Waiter[Ticket],
        task: Task | None,
        former: Mapping[int, Sequence[Attempt]] = _NO_ATTEMPTS,
    ) -> TaskFound[Ticket]:
        only_outcome = isinstance(request, Waiter)
        if task is None:
            return TaskFound(request.ticket, request.task_id, None, only_outcome)
        state = task_state(task, self._running)
        return TaskFound(request.ticket, task.id, task, only_outcome, state, former.get(task.seq, ()))

    def _poll(self, repository: Repository, now: float) -> None:
        """Answer the waiters whose task has ended, and those that are overdue."""
        if not self._waiters or now < self._next_poll:
            return
        version = repository.data_version()
        if version != self._version:
            ended = repository.ended(self._waiters.ids)
            self._version = version
            self._deliver([self._task_found(waiter, task) for task in ended for waiter in self._waiters.pop(task.id)])
        self._answer_waiters(repository, self._waiters.pop_overdue(now))
        self._next_poll = now + max(POLL_INTERVAL, REST_FACTOR * (time.monotonic() - now))

    def _answer_waiters(self, repository: Repository, waiters: Sequence[Waiter[Ticket]]) -> None:
        """Answer waiters with the current state of their tasks."""
        if not waiters:
            return
        try:
            tasks = {task.id: task for task in repository.find_all({waiter.task_id for waiter in waiters})}
        except JournalError as error:
            self._fail(waiters, error)
        else:
            self._deliver([self._task_found(waiter, tasks.get(waiter.task_id)) for waiter in waiters])

    def _deliver(self, results: Sequence[ReadResult[Ticket]]) -> None:
        if results:
            self._on_results(results)
