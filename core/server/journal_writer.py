"""The thread that writes a server's journal: group commit, and the dispatcher around it.

While one commit is under way, what comes in gathers, and is committed together with the next; and so is what comes
while that one waits for another process's.
It knows nothing of sockets: answers leave through one function, a batch at a time.
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
from core.threads import OnDeath, vital_thread

LARGEST_BATCH = 1000
"""Tasks committed together, at most: bounds the time for which other processes wait for the lock."""

MOST_WAITING = 128 * 1024 * 1024
"""Bytes of tasks that may wait to be written, before clients are told that the server is overloaded."""

TICK = 0.2
"""Seconds after which the dispatcher is looked after, when nothing comes in."""

_log = logging.getLogger("cauce.server")

Ticket = TypeVar("Ticket")


class WriteTask(msgspec.Struct, Generic[Ticket]):
    """A task to enter, and the ticket under which the answer is waited for."""

    ticket: Ticket
    task: NewTask


class CancelTask(msgspec.Struct, Generic[Ticket]):
    """A task to take back."""

    ticket: Ticket
    task_id: str


class TaskWritten(msgspec.Struct, Generic[Ticket]):
    """A task is in the journal, durably."""

    ticket: Ticket
    receipt: AcceptResult


class TaskCancelResult(msgspec.Struct, Generic[Ticket]):
    """What came of a `CancelTask`."""

    ticket: Ticket
    task_id: str
    state: State | None
    """None when there is no such task."""


class WriteFailed(msgspec.Struct, Generic[Ticket]):
    """Nothing was stored: the journal can't be written now."""

    ticket: Ticket
    task_id: str
    reason: str


WriteRequest = WriteTask[Ticket] | CancelTask[Ticket]
WriteResult = TaskWritten[Ticket] | TaskCancelResult[Ticket] | WriteFailed[Ticket]


class JournalWriter(Generic[Ticket]):
    """Owns the thread.

    Args:
        open_repository: opens the journal, in the thread.
        make_dispatcher: makes the dispatcher, in the thread.
        owner: the server's number.
        answer: takes the answers of one commit; called from the thread.
        on_death: called when the thread dies.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        answer: Callable[[Sequence[WriteResult[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        self._open = open_repository
        self._make_dispatcher = make_dispatcher
        self._owner = owner
        self._answer = answer
        self._orders: queue.SimpleQueue[Sequence[WriteRequest[Ticket]]] = queue.SimpleQueue()
        self._leaving = threading.Event()
        self._drain_seconds = 5.0
        self._thread = vital_thread("journal", self._run, on_death)
        self._bytes_ordered = 0
        self._bytes_written = 0
        self.accepted = 0
        self.published = 0
        self.trouble = ""
        """Why the journal can't be written now; empty when it can."""
        self.broker_trouble = "connecting"
        """Why nothing can be published now; empty when it can."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether so much waits to be written that nothing more should be taken."""
        return self._bytes_ordered - self._bytes_written > MOST_WAITING

    def write(self, orders: Sequence[WriteRequest[Ticket]]) -> None:
        """Have these written; each is answered once. Belongs to one thread."""
        self._bytes_ordered += _weight(orders)
        self._orders.put(orders)

    def stop(self, timeout: float) -> None:
        """Write what was ordered before, wait up to `timeout` seconds for the broker's confirmations, and end."""
        self._drain_seconds = timeout
        self._leaving.set()
        self._orders.put([])
        self._thread.join(timeout + 15)

    def _run(self) -> None:
        with self._open() as repository:
            dispatcher = self._make_dispatcher()
            while True:
                orders = self._wait()
                if orders or dispatcher.needs_write(time.monotonic(), partial(_is_due, repository)):
                    self._commit(orders, repository, dispatcher)
                    self._bytes_written += _weight(orders)
                dispatcher.flush(time.monotonic(), time.time())
                self.published = dispatcher.published
                self.broker_trouble = dispatcher.trouble
                if self._leaving.is_set() and self._orders.empty():
                    break
            self._close(repository, dispatcher)

    def _wait(self) -> list[WriteRequest[Ticket]]:
        """Wait for orders for one tick; the first that come."""
        try:
            return list(self._orders.get(timeout=TICK))
        except queue.Empty:
            return []

    def _gather(self, orders: list[WriteRequest[Ticket]]) -> None:
        """Add all that have come by now."""
        with suppress(queue.Empty):
            while len(orders) < LARGEST_BATCH:
                orders.extend(self._orders.get_nowait())

    def _commit(self, orders: list[WriteRequest[Ticket]], repository: Repository, dispatcher: Dispatcher) -> None:
        """Commit these, and all that have come when the journal's lock is got: it can take other processes' while."""
        try:
            with repository.transaction():
                self._gather(orders)
                submits = [order for order in orders if isinstance(order, WriteTask)]
                cancels = [order for order in orders if isinstance(order, CancelTask)]
                owner = self._owner if dispatcher.room >= len(submits) else None
                now, wall = time.monotonic(), time.time()
                receipts = repository.accept([order.task for order in submits], owner, wall) if submits else []
                states = self._cancel(cancels, repository, dispatcher.alive, wall)
                dispatcher.write(repository, now, wall)
        except JournalError as error:
            self._refuse(orders, str(error))
            return
        dispatcher.after_commit(now)
        if owner is not None:
            dispatcher.add(_to_publish(submits, receipts))
        self.accepted += sum(not receipt.duplicate for receipt in receipts)
        self.trouble = ""
        answers: list[WriteResult[Ticket]] = [
            TaskWritten(o.ticket, receipt) for o, receipt in zip(submits, receipts, strict=True)
        ]
        answers += [TaskCancelResult(o.ticket, o.task_id, state) for o, state in zip(cancels, states, strict=True)]
        if answers:
            self._answer(answers)

    def _cancel(
        self, cancels: Sequence[CancelTask[Ticket]], repository: Repository, alive: Collection[int], wall: float
    ) -> list[State | None]:
        """Take back those that no live worker has in its hands."""
        if not cancels:
            return []
        running = {held.id for record in repository.processes() if record.number in alive for held in record.in_hand}
        return [
            State.RUNNING if order.task_id in running else repository.cancel(order.task_id, wall) for order in cancels
        ]

    def _refuse(self, orders: Sequence[WriteRequest[Ticket]], reason: str) -> None:
        if not self.trouble:
            _log.error("the journal can't be written: %s", reason)
        self.trouble = reason
        if orders:
            self._answer([WriteFailed(order.ticket, _task_id(order), reason) for order in orders])
        else:
            self._leaving.wait(TICK)

    def _close(self, repository: Repository, dispatcher: Dispatcher) -> None:
        try:
            dispatcher.close(repository, self._drain_seconds, time.monotonic(), time.time())
        except JournalError as error:
            _log.error("leaving without a last word in the journal; another server takes over: %s", error)
        self.published = dispatcher.published


def _is_due(repository: Repository) -> bool:
    try:
        return repository.has_due_tasks(time.time())
    except JournalError:
        return True  # the transaction finds out what is wrong, and tells


def _task_id(order: WriteRequest[Ticket]) -> str:
    return order.task.id if isinstance(order, WriteTask) else order.task_id


def _weight(orders: Sequence[WriteRequest[Ticket]]) -> int:
    """The bytes of memory that orders take, roughly."""
    return sum(_size(order.task.payload) if isinstance(order, WriteTask) else 0 for order in orders) + 1000 * len(
        orders
    )


def _size(text: str) -> int:
    """The bytes that a text takes at most: one letter can make all others four times as large."""
    return len(text) if text.isascii() else 4 * len(text)


def _to_publish(submits: Sequence[WriteTask[Ticket]], receipts: Sequence[AcceptResult]) -> list[Dispatch]:
    return [
        Dispatch(receipt.seq, receipt.id, order.task.kind, 0)
        for order, receipt in zip(submits, receipts, strict=True)
        if not receipt.duplicate and order.task.due_at is None
    ]
