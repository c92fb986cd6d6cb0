"""Decides how many requests travel over few connections, until each has its final reply.

Requests are taken from a source while the window has room, sent many at a time, and returned as they are answered.
A connection that breaks, or whose reply is late, is replaced, and its open requests are sent again.
A connection that the server wants to close gets no new requests, and is read until no request is open on it.
A pipeline belongs to one thread. It never waits: its subclasses do, each in its way.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeAlias

from core.client.connection import ConnectionLost
from core.client.pool import ConnectionT, NoServer, ServerPool, raise_connection_error
from core.client.requests import ClientRequest
from core.client.rotation import GiveUpTimer, belongs_elsewhere, retry_delay
from core.errors import LocalProtocolError, ServerUnavailable
from core.protocol import Error, ErrorCode, Goaway, Reply

WINDOW = 1000
"""Requests that may be open at once; the server's own limit applies too."""

MAX_OPEN_BYTES = 4 * 1024 * 1024
"""Bytes of requests that may be open at once: large payloads make the window smaller."""

GATHER_TIMEOUT = 0.02
"""Seconds for which requests are taken from the source before they are sent."""

IDLE_INTERVAL = 0.02
"""Seconds to wait for replies before a source that had no requests is asked again."""

Answer: TypeAlias = tuple[ClientRequest, Reply]
"""A request and its final reply."""


class RequestPipeline(Generic[ConnectionT]):
    """Which requests are sent when and where, and what becomes of them. It never waits.

    Args:
        pool: takes back the connections, and knows which servers have failed.
        patience: seconds without a success before giving up.
        window: the most requests that may be open at once.
        max_connections: the most connections to spread the requests over, so that several servers behind one address
            share them. Another one is opened only when the others are full.
    """

    def __init__(
        self, pool: ServerPool[ConnectionT], patience: float, window: int = WINDOW, max_connections: int = 1
    ) -> None:
        self._pool = pool
        self._give_up = GiveUpTimer(patience)
        self._max_connections = max_connections
        self._window = max(1, window // max_connections)
        self._max_bytes = MAX_OPEN_BYTES // max_connections
        self._active: list[ConnectionT] = []
        self._draining: list[ConnectionT] = []
        self._sent = 0
        self._resend: deque[ClientRequest] = deque()
        self._resume_at = 0.0
        self._source_exhausted = False
        self._source_idle = False

    @property
    def _is_finished(self) -> bool:
        """Whether every request has its final reply."""
        return (
            self._source_exhausted
            and not self._resend
            and not any(connection.open_requests for connection in self._connections())
        )

    def _connections(self) -> list[ConnectionT]:
        return [*self._draining, *self._active]

    def _release_connections(self) -> None:
        for connection in self._connections():
            self._pool.release(connection)
        self._draining, self._active = [], []

    # Sending.

    def _needs_connection(self) -> bool:
        """Return whether another connection is to be opened before the next `_fill`."""
        if self._has_nothing_to_send():
            return False
        spread = self._sent >= len(self._active) * self._window
        return len(self._active) < self._max_connections and (spread or not self._roomy())

    def _has_nothing_to_send(self) -> bool:
        return time.monotonic() < self._resume_at or (self._source_exhausted and not self._resend)

    def _no_server(self, error: NoServer) -> None:
        """Record that no connection could be opened."""
        if not self._active:
            self._record_failure(error.reason, time.monotonic(), error.delay)

    def _fill(self, requests: Iterator[ClientRequest | None], answers: list[Answer]) -> None:
        """Send as many requests as there is room for, and answer those that can't be sent."""
        self._source_idle = False
        roomy = self._roomy()
        if not roomy or self._has_nothing_to_send():
            return
        now = time.monotonic()
        connection = min(roomy, key=lambda candidate: candidate.request_count)
        self._gather(connection, requests, now + GATHER_TIMEOUT, answers)
        try:
            connection.flush()
        except ConnectionLost as error:
            self._drop(connection, str(error), now)

    def _roomy(self) -> list[ConnectionT]:
        return [connection for connection in self._active if self._has_room(connection)]

    def _gather(
        self,
        connection: ConnectionT,
        requests: Iterator[ClientRequest | None],
        until: float,
        answers: list[Answer],
    ) -> None:
        """Write requests to a connection until it is full or the source takes too long."""
        now = 0.0
        while now < until and connection.room(self._window, self._max_bytes) > 0:
            request = self._next_request(requests)
            if request is None:
                return
            now = time.monotonic()
            try:
                connection.write_request(request, now, time.time())
                self._sent += 1
            except LocalProtocolError as error:
                answers.append((request, Reply(None, error=Error(ErrorCode.INVALID, str(error)))))
            if len(connection.open_requests) == 1:
                # The source may be slow to give the next request: the first is sent at once.
                return

    def _has_room(self, connection: ConnectionT) -> bool:
        """Return whether it pays to send on a connection: a system call costs more than a single task."""
        return connection.room(self._window, self._max_bytes) * 4 >= min(
            self._window, connection.protocol.limits.max_open_requests
        )

    def _next_request(self, requests: Iterator[ClientRequest | None]) -> ClientRequest | None:
        if self._resend:
            return self._resend.popleft()
        if self._source_exhausted:
            return None
        try:
            request = next(requests)
        except StopIteration:
            self._source_exhausted = True
            return None
        self._source_idle = request is None
        return request

    # Receiving.

    def _read(self, connection: ConnectionT, now: float, answers: list[Answer]) -> None:
        """Send the rest of the output, and read what has come."""
        try:
            connection.flush()
            self._handle(connection, connection.receive(now), now, answers)
        except ConnectionLost as error:
            self._drop(connection, str(error), now)

    def _timeout(self, connections: list[ConnectionT], now: float) -> float:
        """Return the seconds to wait for a reply before something else must be done."""
        wake_at = min((connection.deadline(self._pool.timeout) for connection in connections), default=float("inf"))
        if self._resend or not self._source_exhausted:
            has_room = not self._active or any(self._has_room(connection) for connection in self._active)
            if self._source_idle:
                wake_at = min(wake_at, now + IDLE_INTERVAL)
            elif has_room:
                wake_at = min(wake_at, self._resume_at)
        return max(0.0, wake_at - now) if wake_at < float("inf") else IDLE_INTERVAL

    def _handle(
        self, connection: ConnectionT, events: Iterable[Reply | Goaway], now: float, answers: list[Answer]
    ) -> None:
        for event in events:
            if isinstance(event, Goaway):
                self._drain(connection)
                continue
            request = connection.pop_request(event)
            if request is None:
                if event.error is not None:
                    raise_connection_error(event.error)
            elif event.error is not None and event.error.code.retriable:
                self._resend.append(request)
                self._back_off(connection, event.error, now)
            else:
                self._record_success(connection)
                if request.is_final(event, now):
                    answers.append((request, event))
                else:
                    self._resend.append(request)
        if connection in self._draining and not connection.open_requests:
            self._draining.remove(connection)
            connection.close()

    def _check_deadlines(self, connections: Iterable[ConnectionT], now: float) -> None:
        """Drop the connections whose reply is late."""
        for connection in connections:
            if now >= connection.deadline(self._pool.timeout):
                reason = f"no answer within {self._pool.timeout:g} seconds"
                self._drop(connection, reason, now, since=now - self._pool.timeout)

    # Failures.

    def _drain(self, connection: ConnectionT) -> None:
        """Send no new requests on a connection."""
        connection.draining = True
        if connection in self._active:
            self._active.remove(connection)
            self._draining.append(connection)

    def _back_off(self, connection: ConnectionT, error: Error, now: float) -> None:
        """Wait, or use another server, because a server refused a request for now."""
        reason = f"{connection.address}: {error.message} ({error.code})"
        # Only the first of a batch of errors counts.
        if belongs_elsewhere(error.code):
            if not connection.draining:
                self._pool.mark_failed(connection.address, error.retry_after or 0.0)
                self._drain(connection)
                self._record_failure(reason, now, 0.0)
        elif now >= self._resume_at:
            delay = max(error.retry_after or 0.0, retry_delay(self._give_up.failures + 1, 1.0))
            self._record_failure(reason, now, delay)

    def _drop(self, connection: ConnectionT, reason: str, now: float, since: float | None = None) -> None:
        """Close a connection that failed, and send its open requests again."""
        requests = [request for request, _ in connection.open_requests.values()]
        connection.open_requests.clear()
        connection.close()
        if connection in self._active:
            self._active.remove(connection)
        elif connection in self._draining:
            self._draining.remove(connection)
        if requests:
            self._resend.extendleft(reversed(requests))
            self._pool.mark_failed(connection.address)
            delay = retry_delay(self._give_up.failures, 1.0)
            self._record_failure(f"{connection.address}: {reason}", now, delay, since)

    def _record_success(self, connection: ConnectionT) -> None:
        self._give_up.record_success()
        if not connection.proven:
            connection.proven = True
            self._pool.mark_working(connection.address)

    def _record_failure(self, reason: str, now: float, delay: float, since: float | None = None) -> None:
        if reason:
            self._give_up.record_failure(reason, now if since is None else since)
        remaining = self._give_up.remaining(now)
        if remaining <= 0:
            raise ServerUnavailable(self._unavailable_message())
        self._resume_at = now + min(delay, remaining)

    def _unavailable_message(self) -> str:
        unanswered = [
            request for connection in self._connections() for request, _ in connection.open_requests.values()
        ] + list(self._resend)
        failure = f"no server answered for {self._give_up.limit:g} seconds ({self._give_up.reason})"
        if not unanswered:
            return f"{failure}; nothing was sent"
        first_id = unanswered[0].id
        if len(unanswered) == 1:
            which = f" {first_id}" if first_id else ""
        else:
            which = f"s, from {first_id} on," if first_id else "s"
        return (
            f"{failure}; {len(unanswered)} request{which} without an answer: possibly not stored, "
            "repeat with the same ids"
        )
