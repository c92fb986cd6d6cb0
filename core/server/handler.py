"""The request handler: passes the requests of all connections to the journal's threads, and their results back.

It belongs to the event loop's thread. The journal's threads pass their results to `deliver_threadsafe`.
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
from core.protocol import ErrorCode, Kinds, Ref, Request, Result, Stats, Status
from core.protocol import Submit as SubmitRequest
from core.server import reply_members
from core.server.connection import AcceptedConnection
from core.server.journal_reader import (
    FindTask,
    JournalReader,
    KindsRead,
    ReadFailed,
    ReadKinds,
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
LARGE_RESULT = 4096
"""Results of more characters than this are postponed while the client is behind on reading."""

RESUME_BATCH = 4
"""Postponed requests that are continued together when a client reads again."""

MAX_BUFFERED = 256 * 1024 * 1024
"""Bytes of unfinished requests and unsent replies of all clients, above which the largest clients are disconnected."""

LOG_INTERVAL = 60.0
"""Seconds between two warnings in the log about clients that were disconnected for that reason."""

RETRY_AFTER = 1.0
"""Seconds that a client is asked to wait while the journal can't be used."""

# Created once: a union inside the loop over the requests would be created for each.
_READS = (Status, Result, Stats, Kinds)
_WRITES = (SubmitRequest, CancelRequest)

_log = logging.getLogger("cauce.server")

Ticket: TypeAlias = tuple[AcceptedConnection, Ref]


class RequestHandler:
    """The handler of all requests to one server.

    Args:
        name: the server's name.
        max_connections: the limit of open connections.
        max_buffered: the limit of bytes in memory for all clients.
    """

    def __init__(self, name: str, max_connections: int, max_buffered: int = MAX_BUFFERED) -> None:
        self._name = name
        self._max_connections = max_connections
        self._max_buffered = max_buffered
        self._buffered = 0
        """The upper bound of the bytes in memory: those counted last, and all received since."""
        self._next_count_at = max_buffered
        self._log_throttle = LogThrottle(LOG_INTERVAL)
        self._loop = asyncio.get_running_loop()
        self._connections: set[AcceptedConnection] = set()
        self._shutting_down = False
        self._pending: dict[str, list[ReadRequest[Ticket]]] = {}
        """The requests about each task that is being written. They wait for the end of the write."""
        self._postponed: dict[AcceptedConnection, deque[ReadRequest[Ticket]]] = {}
        """The requests with large results, of clients that are behind on reading."""
        self._writer: JournalWriter[Ticket] | None = None
        self._reader: JournalReader[Ticket] | None = None

    def attach_journal(self, writer: JournalWriter[Ticket], reader: JournalReader[Ticket]) -> None:
        """Set the journal's threads. Called once, before the first request."""
        self._writer, self._reader = writer, reader

    @property
    def connections(self) -> Iterable[AcceptedConnection]:
        """The open connections."""
        return tuple(self._connections)

    def register(self, connection: AcceptedConnection) -> str:
        """Register a connection. Returns the reason when it is refused, or an empty string."""
        self._connections.add(connection)
        if len(self._connections) > self._max_connections:
            return f"this server has {self._max_connections} connections already"
        return "this server is shutting down" if self._shutting_down else ""

    def unregister(self, connection: AcceptedConnection) -> None:
        """Unregister a connection."""
        self._connections.discard(connection)
        self._postponed.pop(connection, None)

    def check_limits(self, now: float) -> None:
        """Apply the timeouts of each connection and the memory limit of all. Called about once a second."""
        for connection in self.connections:
            connection.check_timeouts(now)
        self._count_buffered(now)

    def count_received(self, size: int) -> None:
        """Count bytes that a client sent: they may exceed the memory limit before the next check."""
        self._buffered += size
        if self._buffered > self._next_count_at:
            self._count_buffered(time.monotonic())

    def _count_buffered(self, now: float) -> None:
        """Count the bytes in memory, and apply the limit."""
        self._buffered = sum(connection.buffered for connection in self._connections)
        if self._buffered > self._max_buffered:
            self._evict_largest(now)
        # Counting is slow: not again for every received piece.
        self._next_count_at = max(self._max_buffered, self._buffered + self._max_buffered // 8)

    def _evict_largest(self, now: float) -> None:
        """Disconnect the clients with the most bytes in memory, until half of the limit is free."""
        evicted = 0
        for connection in sorted(self._connections, key=lambda connection: connection.buffered, reverse=True):
            if self._buffered <= self._max_buffered // 2:
                break
            self._buffered -= connection.buffered
            connection.evict()
            evicted += 1
        if self._log_throttle.is_due(now):
            _log.warning(
                "%d clients were disconnected: all clients together had more than %d bytes in memory",
                evicted,
                self._max_buffered,
            )

    def is_disconnected(self, ticket: Ticket) -> bool:
        """Return whether the client of a ticket has disconnected. Other threads may call this."""
        return ticket[0] not in self._connections

    def resume(self, connection: AcceptedConnection) -> None:
        """Continue postponed requests, if the client has read enough."""
        postponed = self._postponed.get(connection)
        if postponed is None or connection.is_backlogged:
            return
        reads = [postponed.popleft() for _ in range(min(RESUME_BATCH, len(postponed)))]
        if not postponed:
            del self._postponed[connection]
        if not self._shutting_down:
            assert self._reader is not None
            self._reader.read(reads)
            return
        for read in reads:
            _refuse_shutting_down(read.ticket)
        connection.flush()

    def start_shutdown(self) -> None:
        """Refuse all new requests from now on, except cancellations."""
        self._shutting_down = True

    def handle(self, connection: AcceptedConnection, requests: Sequence[Request]) -> None:
        """Pass requests to the journal's threads. The replies follow later."""
        assert self._writer is not None
        assert self._reader is not None
        now = time.time()
        writes: list[WriteRequest[Ticket]] = []
        reads: list[ReadRequest[Ticket]] = []
        for request in requests:
            ticket = (connection, request.ref)
            if self._shutting_down and not isinstance(request, CancelRequest):
                _refuse_shutting_down(ticket)
            elif isinstance(request, _READS):
                pending = None if isinstance(request, Stats | Kinds) else self._pending.get(request.id)
                (reads if pending is None else pending).append(_read_request(ticket, request))
            elif self._writer.is_full:
                connection.refuse(request.ref, ErrorCode.OVERLOADED, "too many tasks wait to be written", RETRY_AFTER)
            elif isinstance(request, _WRITES):
                writes.append(self._write_request(ticket, request, now))
        if writes:
            self._writer.write(writes)
        if reads:
            self._reader.read(reads)

    def _write_request(
        self, ticket: Ticket, request: SubmitRequest | CancelRequest, now: float
    ) -> WriteRequest[Ticket]:
        if isinstance(request, CancelRequest):
            return CancelTask(ticket, request.id)
        task = new_task(request, now)
        self._pending.setdefault(task.id, [])
        return WriteTask(ticket, task)

    def deliver_threadsafe(self, results: Sequence[WriteResult[Ticket]] | Sequence[ReadResult[Ticket]]) -> None:
        """Deliver results to their connections. Called from the journal's threads."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, results)
        except RuntimeError:
            _log.debug("the event loop is closed: %d results are discarded", len(results))

    def _deliver(self, results: Sequence[WriteResult[Ticket]] | Sequence[ReadResult[Ticket]]) -> None:
        touched: set[AcceptedConnection] = set()
        for result in results:
            connection, ref = result.ticket
            if isinstance(result, TaskWritten):
                touched |= self._release_pending(result.result.id)
            elif isinstance(result, WriteFailed):
                touched |= self._release_pending(result.task_id)
            if connection in self._connections and not self._postpone(connection, result):
                self._reply(connection, ref, result)
                touched.add(connection)
        for connection in touched:
            connection.flush()
            self.resume(connection)

    def _postpone(self, connection: AcceptedConnection, result: WriteResult[Ticket] | ReadResult[Ticket]) -> bool:
        """Postpone the request of a large result while the client is behind on reading. Returns whether it did so.

        Otherwise a client that asks a thousand times for one large result would have a thousand copies in memory.
        """
        if not isinstance(result, TaskFound) or not connection.is_backlogged or not _is_large(result):
            return False
        read = (
            Waiter(result.ticket, result.task_id, 0.0)
            if result.only_outcome
            else FindTask(result.ticket, result.task_id)
        )
        self._postponed.setdefault(connection, deque()).append(read)
        return True

    def _release_pending(self, task_id: str) -> set[AcceptedConnection]:
        """Read a task for the requests that waited for its write. Returns the connections that were refused instead."""
        reads = self._pending.pop(task_id, None)
        if not reads:
            return set()
        if not self._shutting_down:
            assert self._reader is not None
            self._reader.read(reads)
            return set()
        refused = [read.ticket for read in reads if read.ticket[0] in self._connections]
        for ticket in refused:
            _refuse_shutting_down(ticket)
        return {connection for connection, _ in refused}

    def _reply(
        self, connection: AcceptedConnection, ref: Ref, result: WriteResult[Ticket] | ReadResult[Ticket]
    ) -> None:
        match result:
            case TaskWritten(result=accepted):
                _reply_to_submit(connection, ref, accepted)
            case TaskFound(task=None, task_id=task_id) | TaskCancelResult(state=None, task_id=task_id):
                connection.refuse(ref, ErrorCode.NOT_FOUND, f"there is no task {task_id}")
            case TaskFound():
                self._reply_with_task(connection, ref, result)
            case TaskCancelResult(state=State.CANCELLED | State.CANCELLING as state, task_id=task_id):
                connection.reply(ref, {"id": task_id, "state": state})
            case TaskCancelResult(state=state):
                connection.refuse(ref, ErrorCode.NOT_CANCELLABLE, f"the task is {state}")
            case StatsRead() | KindsRead():
                self._reply_about_system(connection, ref, result)
            case WriteFailed(reason=reason) | ReadFailed(reason=reason):
                connection.refuse(ref, ErrorCode.UNAVAILABLE, reason, RETRY_AFTER)

    def _reply_with_task(self, connection: AcceptedConnection, ref: Ref, found: TaskFound[Ticket]) -> None:
        assert found.task is not None
        assert found.state is not None
        assert self._writer is not None
        if found.only_outcome:
            connection.reply(ref, reply_members.result(found.task, found.state))
            return
        note = reply_members.waits_for(found.task, self._writer.broker_trouble, time.time())
        connection.reply(ref, reply_members.status(found.task, found.state, found.former, note))

    def _reply_about_system(
        self, connection: AcceptedConnection, ref: Ref, read: StatsRead[Ticket] | KindsRead[Ticket]
    ) -> None:
        assert self._writer is not None
        if isinstance(read, StatsRead):
            writer = self._writer
            members = reply_members.stats(
                read.ledger, read.processes, self._name, writer.broker_trouble, writer.trouble
            )
        elif read.kind is not None and not read.kinds:
            connection.refuse(ref, ErrorCode.NOT_FOUND, f"no worker has told of a kind {read.kind}")
            return
        else:
            members = reply_members.kinds(read.kinds, read.workers, whole=read.kind is not None)
        connection.reply(ref, members)


def _is_large(found: TaskFound[Ticket]) -> bool:
    task = found.task
    return task is not None and task.result is not None and len(task.result) > LARGE_RESULT


def _refuse_shutting_down(ticket: Ticket) -> None:
    connection, ref = ticket
    connection.refuse(ref, ErrorCode.SHUTTING_DOWN, "this server is shutting down", 0)


def _reply_to_submit(connection: AcceptedConnection, ref: Ref, accepted: AcceptResult) -> None:
    if accepted.conflict:
        connection.refuse(ref, ErrorCode.CONFLICT, f"id {accepted.id} was used for another task")
    else:
        connection.reply(ref, reply_members.submitted(accepted.id, accepted.state, duplicate=accepted.duplicate))


def _read_request(ticket: Ticket, request: Status | Result | Stats | Kinds) -> ReadRequest[Ticket]:
    match request:
        case Status(id=task_id):
            return FindTask(ticket, task_id)
        case Result(id=task_id, wait=wait):
            return Waiter(ticket, task_id, time.monotonic() + wait)
        case Stats():
            return ReadStats(ticket)
        case Kinds(kind=kind):
            return ReadKinds(ticket, kind)


def new_task(request: SubmitRequest, now: float) -> NewTask:
    """Return the task that a request submits."""
    return NewTask(
        id=request.id or new_id(now),
        kind=request.kind or DEFAULT_KIND,
        payload=request.payload,
        due_at=now + request.delay if request.delay else None,
        retries=request.retries,
        sent_at=request.sent,
        received_at=now,
    )
