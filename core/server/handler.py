"""The desk: where clients' requests go, and where the answers come back to their connections.

It belongs to the event loop's thread. The journal's two threads hand it their answers through `post`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from core.identifiers import new_id
from core.logs import LogThrottle
from core.model import AcceptResult, NewTask, State
from core.protocol import Cancel as CancelRequest
from core.protocol import ErrorCode, Ref, Request, Result, Stats, Status
from core.protocol import Submit as SubmitRequest
from core.server import reply_members
from core.server.connection import AcceptedConnection
from core.server.journal_reader import (
    FindTask,
    JournalReader,
    ReadFailed,
    ReadRequest,
    ReadResult,
    ReadStats,
    StatsRead,
    TaskFound,
)
from core.server.journal_writer import (
    CancelTask,
    JournalWriter,
    TaskCancelResult,
    TaskWritten,
    WriteFailed,
    WriteRequest,
    WriteResult,
    WriteTask,
)
from core.server.waiters import Waiter

DEFAULT_KIND = "simulate"
LARGE = 4096
"""Characters of a result that is not made into an answer for a client that has much to read already."""

AGAIN = 4
"""Answers that are made together for a client which reads again, and has waited with others for that."""

MOST_HELD = 256 * 1024 * 1024
"""Bytes of begun requests and of unread answers, of all clients together, before those are cut off that hold most."""

COMPLAIN_EVERY = 60.0
"""Seconds between two complaints about that in the log."""

RETRY_AFTER = 1.0
"""Seconds that a client is told to wait while the journal can't be used."""

# Made once: a union within the loop over all requests would be made anew for each.
_QUESTIONS = (Status, Result, Stats)
_ORDERS = (SubmitRequest, CancelRequest)

_log = logging.getLogger("cauce.server")

Ticket: TypeAlias = tuple[AcceptedConnection, Ref]


class RequestHandler:
    """Answers every client of one server.

    Args:
        name: the server's.
        most: how many connections may be open at once.
        most_held: how many bytes they may have us hold.
    """

    def __init__(self, name: str, most: int, most_held: int = MOST_HELD) -> None:
        self._name = name
        self._most = most
        self._most_held = most_held
        self._held = 0
        """What they have us hold at most: as counted last, and all that came since then."""
        self._count_at = most_held
        self._complaints = LogThrottle(COMPLAIN_EVERY)
        self._loop = asyncio.get_running_loop()
        self._connections: set[AcceptedConnection] = set()
        self._closing = False
        self._pending: dict[str, list[ReadRequest[Ticket]]] = {}
        """Tasks that are being written, and what was asked about them meanwhile: clients needn't wait for the reply."""
        self._postponed: dict[AcceptedConnection, deque[ReadRequest[Ticket]]] = {}
        """What clients asked, whose answers are large, and for which they have no room now."""
        self._writer: JournalWriter[Ticket] | None = None
        self._reader: JournalReader[Ticket] | None = None

    def open(self, writer: JournalWriter[Ticket], reader: JournalReader[Ticket]) -> None:
        """Begin, with the journal's threads."""
        self._writer, self._reader = writer, reader

    @property
    def connections(self) -> Iterable[AcceptedConnection]:
        """Those that are open."""
        return tuple(self._connections)

    def join(self, connection: AcceptedConnection) -> str:
        """Take in a connection; why not, when it can't be."""
        self._connections.add(connection)
        if len(self._connections) > self._most:
            return f"this server has {self._most} connections already"
        return "this server is leaving" if self._closing else ""

    def leave(self, connection: AcceptedConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._postponed.pop(connection, None)

    def check(self, now: float) -> None:
        """Hold clients to the limits of time, and all together to that of memory. Called about once a second."""
        for connection in self.connections:
            connection.check(now)
        self._count(now)

    def took(self, count: int) -> None:
        """Note that so many bytes came: that may be too much before anybody looks again."""
        self._held += count
        if self._held > self._count_at:
            self._count(time.monotonic())

    def _count(self, now: float) -> None:
        """Count what all have us hold, and cut off those that hold most, until half of what is allowed is free."""
        self._held = sum(connection.held for connection in self._connections)
        if self._held > self._most_held:
            self._relieve(now)
        # Counting takes a while: not again for every piece that comes.
        self._count_at = max(self._most_held, self._held + self._most_held // 8)

    def _relieve(self, now: float) -> None:
        cut = 0
        for connection in sorted(self._connections, key=lambda connection: connection.held, reverse=True):
            if self._held <= self._most_held // 2:
                break
            self._held -= connection.held
            connection.relieve()
            cut += 1
        if self._complaints.is_due(now):
            _log.warning("%d clients were cut off: more than %d bytes were held for all", cut, self._most_held)

    def gone(self, ticket: Ticket) -> bool:
        """Whether a ticket's client has hung up. May be called from other threads."""
        return ticket[0] not in self._connections

    def resume(self, connection: AcceptedConnection) -> None:
        """Go on with what was postponed, if the client has room for it now."""
        postponed = self._postponed.get(connection)
        if postponed is None or connection.burdened:
            return
        questions = [postponed.popleft() for _ in range(min(AGAIN, len(postponed)))]
        if not postponed:
            del self._postponed[connection]
        if not self._closing:
            assert self._reader is not None
            self._reader.ask(questions)
            return
        for question in questions:
            _refuse_at_the_end(question.ticket)
        connection.flush()

    def close(self) -> None:
        """Take no new tasks and answer no new questions from now on."""
        self._closing = True

    def handle(self, connection: AcceptedConnection, requests: Sequence[Request]) -> None:
        """Have requests answered."""
        assert self._writer is not None
        assert self._reader is not None
        now = time.time()
        orders: list[WriteRequest[Ticket]] = []
        questions: list[ReadRequest[Ticket]] = []
        for request in requests:
            ticket = (connection, request.ref)
            if self._closing and not isinstance(request, CancelRequest):
                _refuse_at_the_end(ticket)
            elif isinstance(request, _QUESTIONS):
                waiting = None if isinstance(request, Stats) else self._pending.get(request.id)
                (questions if waiting is None else waiting).append(_question(ticket, request))
            elif self._writer.full:
                connection.refuse(request.ref, ErrorCode.OVERLOADED, "too much waits to be written", RETRY_AFTER)
            elif isinstance(request, _ORDERS):
                orders.append(self._order(ticket, request, now))
        if orders:
            self._writer.write(orders)
        if questions:
            self._reader.ask(questions)

    def _order(self, ticket: Ticket, request: SubmitRequest | CancelRequest, now: float) -> WriteRequest[Ticket]:
        if isinstance(request, CancelRequest):
            return CancelTask(ticket, request.id)
        task = _new_task(request, now)
        self._pending.setdefault(task.id, [])
        return WriteTask(ticket, task)

    def post(self, batch: Sequence[WriteResult[Ticket]] | Sequence[ReadResult[Ticket]]) -> None:
        """Take answers of the journal's threads; may be called from them."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch)
        except RuntimeError:
            _log.debug("the loop is closed: %d answers have nobody to go to", len(batch))

    def _deliver(self, batch: Sequence[WriteResult[Ticket]] | Sequence[ReadResult[Ticket]]) -> None:
        touched: set[AcceptedConnection] = set()
        for item in batch:
            connection, ref = item.ticket
            if isinstance(item, TaskWritten):
                touched |= self._written(item.receipt.id)
            elif isinstance(item, WriteFailed):
                touched |= self._written(item.task_id)
            if connection in self._connections and not self._postpone(connection, item):
                self._answer(connection, ref, item)
                touched.add(connection)
        for connection in touched:
            connection.flush()
            self.resume(connection)

    def _postpone(self, connection: AcceptedConnection, item: WriteResult[Ticket] | ReadResult[Ticket]) -> bool:
        """Keep the question in place of its answer while that is large and the client doesn't read; whether so.

        The result of one task may be asked for a thousand times in one breath.
        """
        if not isinstance(item, TaskFound) or not connection.burdened or not _is_large(item):
            return False
        question = Waiter(item.ticket, item.task_id, 0.0) if item.brief else FindTask(item.ticket, item.task_id)
        self._postponed.setdefault(connection, deque()).append(question)
        return True

    def _written(self, task_id: str) -> set[AcceptedConnection]:
        """Ask what was asked about a task while it was being written; the connections that have an answer already."""
        questions = self._pending.pop(task_id, None)
        if not questions:
            return set()
        if not self._closing:
            assert self._reader is not None
            self._reader.ask(questions)
            return set()
        asking = [question.ticket for question in questions if question.ticket[0] in self._connections]
        for ticket in asking:
            _refuse_at_the_end(ticket)
        return {connection for connection, _ in asking}

    def _answer(self, connection: AcceptedConnection, ref: Ref, item: WriteResult[Ticket] | ReadResult[Ticket]) -> None:
        match item:
            case TaskWritten(receipt=receipt):
                _confirm(connection, ref, receipt)
            case TaskFound(task=None, task_id=task_id) | TaskCancelResult(state=None, task_id=task_id):
                connection.refuse(ref, ErrorCode.NOT_FOUND, f"there is no task {task_id}")
            case TaskFound():
                self._tell(connection, ref, item)
            case TaskCancelResult(state=State.CANCELLED, task_id=task_id):
                connection.answer(ref, {"id": task_id, "state": State.CANCELLED})
            case TaskCancelResult(state=state):
                connection.refuse(ref, ErrorCode.NOT_CANCELLABLE, f"the task is {state}")
            case StatsRead():
                connection.answer(ref, self._stats(item))
            case WriteFailed(reason=reason) | ReadFailed(reason=reason):
                connection.refuse(ref, ErrorCode.UNAVAILABLE, reason, RETRY_AFTER)

    def _tell(self, connection: AcceptedConnection, ref: Ref, found: TaskFound[Ticket]) -> None:
        assert found.task is not None
        assert self._writer is not None
        if found.brief:
            connection.answer(ref, reply_members.result(found.task, found.running))
            return
        note = reply_members.waits_for(found.task, self._writer.broker_trouble, time.time())
        connection.answer(ref, reply_members.status(found.task, found.runner, found.running, note))

    def _stats(self, counted: StatsRead[Ticket]) -> dict[str, object]:
        assert self._writer is not None
        return reply_members.stats(
            counted.ledger, counted.processes, self._name, self._writer.broker_trouble, self._writer.trouble
        )


def _is_large(found: TaskFound[Ticket]) -> bool:
    task = found.task
    return task is not None and task.result is not None and len(task.result) > LARGE


def _refuse_at_the_end(ticket: Ticket) -> None:
    connection, ref = ticket
    connection.refuse(ref, ErrorCode.SHUTTING_DOWN, "this server is leaving", 0)


def _confirm(connection: AcceptedConnection, ref: Ref, receipt: AcceptResult) -> None:
    if receipt.conflict:
        connection.refuse(ref, ErrorCode.CONFLICT, f"id {receipt.id} was used for another task")
    else:
        connection.answer(ref, reply_members.submitted(receipt.id, receipt.state, duplicate=receipt.duplicate))


def _question(ticket: Ticket, request: Status | Result | Stats) -> ReadRequest[Ticket]:
    match request:
        case Status(id=task_id):
            return FindTask(ticket, task_id)
        case Result(id=task_id, wait=wait):
            return Waiter(ticket, task_id, time.monotonic() + wait)
        case Stats():
            return ReadStats(ticket)


def _new_task(request: SubmitRequest, now: float) -> NewTask:
    return NewTask(
        id=request.id or new_id(now),
        kind=request.kind or DEFAULT_KIND,
        payload=request.payload,
        due_at=now + request.delay if request.delay else None,
        retries=request.retries,
        sent_at=request.sent,
        received_at=now,
    )
