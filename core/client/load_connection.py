"""One connection of the load generator: keeps its window full, measures, and survives server failures.

It belongs to one thread. Lost tasks are sent again with the same ids, as the client does,
but every step handles a whole batch.
"""

import selectors
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

import msgspec

from core.client.connection import ConnectionLost
from core.client.histogram import Histogram
from core.client.load_lines import LoadReply, SubmitLineTemplate, pace, read_replies
from core.client.pool import ConnectionPool, NoServer, raise_connection_error
from core.client.rotation import GiveUpTimer, belongs_elsewhere, retry_delay
from core.client.socket_connection import SocketConnection
from core.errors import RemoteProtocolError, ServerUnavailable
from core.protocol import Error

_MAX_SELECT_TIMEOUT = 0.5
"""Seconds between checks of the stop event."""


class LoadShare(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the load that one connection submits."""

    tasks: int
    window: int
    rate: float | None = None
    """Tasks a second; None for no limit."""


class LoadConnection:
    """Submits a share of the tasks over one connection at a time.

    Args:
        pool: provides the connections.
        template: makes the lines.
        share: the tasks to submit.
        patience: seconds without a success before giving up.
        stop: an event that ends the run early.

    Attributes:
        accepted: the number of accepted tasks.
        errors: the number of errors by code; `lost` counts broken connections.
        latencies: the times from submission to acceptance.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        template: SubmitLineTemplate,
        share: LoadShare,
        patience: float,
        stop: threading.Event,
    ) -> None:
        self.accepted = 0
        self.errors: Counter[str] = Counter()
        self.latencies = Histogram()
        self._pool = pool
        self._template = template
        self._share = share
        self._give_up = GiveUpTimer(patience)
        self._stop = stop
        self._next = 1
        self._resend: deque[int] = deque()
        self._open: dict[int, float] = {}
        self._resume_at = 0.0
        self._draining = False
        self._partial_line = b""
        self._started_at = 0.0

    @property
    def last_ids(self) -> list[str]:
        """The ids of the tasks sent last, as many as the window holds."""
        return [self._template.task_id(n) for n in range(max(1, self._next - self._share.window), self._next)]

    def run(self) -> None:
        """Submit all tasks of the share.

        Raises:
            ServerUnavailable: there was no success for too long.
            RequestRefused: the servers refuse the client.
        """
        self._started_at = time.monotonic()
        while not self._is_finished():
            try:
                connection = self._pool.acquire()
            except NoServer as error:
                self._record_failure(error.reason)
                self._stop.wait(error.delay)
                continue
            try:
                self._use(connection)
            except ConnectionLost as error:
                self.errors["lost"] += 1
                self._pool.mark_failed(connection.address)
                self._record_failure(f"{connection.address}: {error}")
                self._stop.wait(retry_delay(self._give_up.failures - 1, 1.0))
            finally:
                # The connection does not know the requests that were written to it here: it can't be reused.
                connection.close()

    def _is_finished(self) -> bool:
        return self._stop.is_set() or (self._next > self._share.tasks and not self._resend and not self._open)

    def _use(self, connection: SocketConnection) -> None:
        """Submit over one connection until it is lost or drained, or everything is submitted."""
        self._resend.extendleft(reversed(self._open))
        self._open.clear()
        self._draining = False
        self._partial_line = b""
        last_received = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            while not self._is_finished() and not (self._draining and not self._open):
                timeout = self._send(connection)
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.has_output else 0)
                selector.modify(connection, wanted)
                ready = selector.select(min(timeout, _MAX_SELECT_TIMEOUT))
                now = time.monotonic()
                if any(events & selectors.EVENT_READ for _, events in ready):
                    last_received = now
                    self._receive(connection, now)
                elif self._open and now - last_received > self._pool.timeout:
                    raise ConnectionLost(f"no answer within {self._pool.timeout:g} seconds")
                elif not self._open:
                    last_received = now

    # Sending.

    def _send(self, connection: SocketConnection) -> float:
        """Send as many tasks as there is room for. Returns the seconds to wait before more can be sent."""
        now = time.monotonic()
        numbers: Sequence[int] = ()
        delay = _MAX_SELECT_TIMEOUT
        if not self._draining:
            room, delay = self._room(connection, now)
            numbers = self._next_numbers(room)
        if numbers:
            connection.write(self._template.lines(numbers, time.time()))
            self._open.update(dict.fromkeys(numbers, now))
        connection.flush()
        return delay

    def _room(self, connection: SocketConnection, now: float) -> tuple[int, float]:
        """Return how many tasks may be sent now, and the seconds until that may change."""
        if now < self._resume_at:
            return 0, self._resume_at - now
        window = min(self._share.window, connection.protocol.limits.max_open_requests)
        room = window - len(self._open)
        if self._share.rate is not None:
            due, delay = pace(self._share.rate, now - self._started_at, self._next - 1)
            return min(room, due), delay or _MAX_SELECT_TIMEOUT
        # A quarter of the window at a time: a system call for each task would cost more than the task.
        return (room if room * 4 >= window else 0), _MAX_SELECT_TIMEOUT

    def _next_numbers(self, limit: int) -> Sequence[int]:
        """Return the numbers of the tasks to send next."""
        if limit <= 0:
            return ()
        if self._resend:
            numbers = list(islice(self._resend, limit))
            for _ in numbers:
                self._resend.popleft()
            return numbers
        new = range(self._next, min(self._next + limit, self._share.tasks + 1))
        self._next += len(new)
        return new

    # Receiving.

    def _receive(self, connection: SocketConnection, now: float) -> None:
        received = connection.read()
        if received is None:
            return
        if not received:
            raise ConnectionLost("the server closed the connection")
        lines, newline, self._partial_line = (self._partial_line + received).rpartition(b"\n")
        if newline:
            try:
                self._handle(connection, read_replies(lines), now)
            except (RemoteProtocolError, KeyError) as error:
                raise ConnectionLost(f"the server sent an unexpected reply: {error}") from error

    def _handle(self, connection: SocketConnection, replies: Sequence[LoadReply], now: float) -> None:
        accepted: Counter[float] = Counter()
        pop = self._open.pop
        for reply in replies:
            if reply.goaway is not None:
                self._draining = True
            elif reply.error is not None:
                self._handle_error(connection, reply.ref, reply.error, now)
            elif reply.ref is not None:
                accepted[pop(reply.ref)] += 1
        for sent_at, count in accepted.items():
            self.latencies.add(now - sent_at, count)
            self.accepted += count
        if accepted:
            self._give_up.record_success()
            if not connection.proven:
                connection.proven = True
                self._pool.mark_working(connection.address)

    def _handle_error(self, connection: SocketConnection, ref: int | None, error: Error, now: float) -> None:
        self.errors[error.code] += 1
        if ref is None:
            raise_connection_error(error)
            return
        del self._open[ref]
        if not error.code.retriable:
            return
        self._resend.append(ref)
        reason = f"{connection.address}: {error.message} ({error.code})"
        if belongs_elsewhere(error.code):
            if not self._draining:
                self._draining = True
                self._pool.mark_failed(connection.address, error.retry_after or 0.0)
                self._record_failure(reason)
        elif now >= self._resume_at:
            self._record_failure(reason)
            delay = max(error.retry_after or 0.0, retry_delay(self._give_up.failures, 1.0))
            self._resume_at = now + min(delay, self._give_up.limit)

    def _record_failure(self, reason: str) -> None:
        now = time.monotonic()
        if reason:
            self._give_up.record_failure(reason, now)
        if self._give_up.remaining(now) <= 0:
            raise ServerUnavailable(
                f"no server answered for {self._give_up.limit:g} seconds ({self._give_up.reason}); "
                f"{len(self._open) + len(self._resend)} tasks without an answer: possibly not stored"
            )
