"""A client's connection: the protocol, a socket, and the timeouts.

It belongs to the event loop's thread. Requests go to the handler. Replies come back through `reply` and are sent
together by `flush`.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Protocol

from core.errors import LocalProtocolError
from core.protocol import ErrorCode, Event, Hello, Limits, Refusal, Request, ServerConnection
from core.server.rate_limits import Limiter, TokenBucket, client_key

WRITE_BUFFER_LIMIT = 256 * 1024
"""Unsent bytes of replies above which nothing more is read from a client."""

WRITE_TIMEOUT = 10.0
"""Seconds without reading its replies after which a client is disconnected."""

PARSE_CHUNK = 4096
"""Bytes that are parsed together. An invalid request can be as short as three bytes, and each gets a reply."""

MAX_TURN = 0.002
"""Seconds after which parsing yields to the other connections."""

CLOSE_TIMEOUT = 2.0
"""Seconds a client has to close the connection after the last reply."""

_log = logging.getLogger("cauce.server")


class ConnectionHandler(Protocol):
    """The request handler, as a connection sees it."""

    def register(self, connection: "AcceptedConnection") -> str:
        """Register a connection. Returns the reason when it is refused, or an empty string."""
        ...

    def unregister(self, connection: "AcceptedConnection") -> None:
        """Unregister a connection."""
        ...

    def handle(self, connection: "AcceptedConnection", requests: Sequence[Request]) -> None:
        """Start handling requests. The replies follow later."""
        ...

    def count_received(self, size: int) -> None:
        """Count bytes that a client sent."""
        ...

    def resume(self, connection: "AcceptedConnection") -> None:
        """Continue the requests that were postponed until the client reads."""
        ...


class AcceptedConnection(asyncio.Protocol):
    """A connection of one client.

    Args:
        handler: handles the requests.
        limits: the limits of the connection.
        name: the server's name.
        token: the token that the client must send, or None.
        goaway_at: the time of the monotonic clock at which to ask the client to reconnect.
        limiter: the limits of each client.
    """

    def __init__(
        self,
        handler: ConnectionHandler,
        limits: Limits,
        name: str,
        token: str | None,
        goaway_at: float,
        limiter: Limiter | None = None,
    ) -> None:
        self._handler = handler
        self._limiter = limiter or Limiter()
        self._client: str | None = None
        self._bucket: TokenBucket | None = None
        self._delayed_refusal: asyncio.TimerHandle | None = None
        self._limits = limits
        self._protocol = ServerConnection(server=name, limits=limits, token=token)
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._goaway_at = goaway_at
        now = time.monotonic()
        self._opened_at = now
        self._last_active = now
        self._line_since = now
        self._line_number = 0
        self._write_paused_since: float | None = None
        self._closing_since: float | None = None
        self._client_ended = False
        self._unparsed = b""
        self._next_turn: asyncio.Handle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether every received request has its reply."""
        return self._protocol.open_requests == 0 and not self._unparsed

    @property
    def unsent(self) -> int:
        """Bytes of replies that wait for the client to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def buffered(self) -> int:
        """Bytes in memory for the client: requests that are not parsed yet, and unsent replies."""
        return self._protocol.buffered + len(self._unparsed) + self._outgoing_bytes + self.unsent

    @property
    def is_backlogged(self) -> bool:
        """Whether so much is unsent that a large reply must wait."""
        return self._outgoing_bytes + self.unsent > WRITE_BUFFER_LIMIT

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection, or refuse it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(WRITE_BUFFER_LIMIT)
        peer = transport.get_extra_info("peername")
        self._client = client_key(peer[0]) if peer else None
        self._bucket = self._limiter.bucket(self._client, self._opened_at)
        over_limit = self._limiter.add_connection(self._client)
        refusal = self._handler.register(self) or over_limit
        if refusal:
            self._write(self._protocol.refuse(ErrorCode.OVERLOADED, refusal))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Unregister the connection. Later replies are discarded."""
        self._transport = None
        for scheduled in (self._delayed_refusal, self._next_turn):
            if scheduled is not None:
                scheduled.cancel()
        self._limiter.remove_connection(self._client)
        self._handler.unregister(self)

    def data_received(self, data: bytes) -> None:
        """Process what the client sent, unless the connection is closing."""
        self._handler.count_received(len(data))
        if self._closing_since is not None:
            return
        self._unparsed += data
        self._process_input()

    def eof_received(self) -> bool:
        """Note that the client sends nothing more. It may still wait for replies."""
        self._client_ended = True
        if self._transport is not None and self._closing_since is not None:
            self._transport.close()
            return True
        self._process_input()
        return True

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its replies."""
        self._write_paused_since = time.monotonic()
        self._update_reading()

    def resume_writing(self) -> None:
        """Continue with a client that reads again."""
        self._write_paused_since = None
        self._process_input()
        self._handler.resume(self)

    # Called by the handler.

    def queue_line(self, line: bytes) -> None:
        """Queue a line for the next `flush`."""
        self._outgoing.append(line)
        self._outgoing_bytes += len(line)

    def reply(self, ref: int | str, members: dict[str, object]) -> None:
        """Queue the reply to a request that succeeded."""
        try:
            self.queue_line(self._protocol.ok(ref, members))
        except LocalProtocolError as error:
            _log.error("a reply can't be sent: %s", error)
            self.refuse(ref, ErrorCode.INTERNAL, f"the reply can't be sent: {error}")

    def refuse(self, ref: int | str, code: ErrorCode, message: str, retry_after: float | None = None) -> None:
        """Queue the error reply to a request."""
        self.queue_line(self._protocol.error(ref, code, message, retry_after))

    def flush(self) -> None:
        """Send the queued lines, and continue with input that waited for them."""
        if self._outgoing:
            self._write(b"".join(self._outgoing))
            self._outgoing.clear()
            self._outgoing_bytes = 0
        self._last_active = time.monotonic()
        if self._transport is not None and not self._protocol.paused:
            self._receive(b"")
        self._schedule_turn()
        self._close_if_done()

    def send_goaway(self, reason: str) -> None:
        """Ask the client to finish its open requests and to reconnect."""
        self._write(self._protocol.goaway(reason))

    def advance_goaway(self, goaway_at: float) -> None:
        """Ask the client to reconnect at this time of the monotonic clock, if not earlier."""
        self._goaway_at = min(self._goaway_at, goaway_at)

    def close(self) -> None:
        """Send what is unsent, end the sending direction, and wait for the client to close.

        Closing at once with unread input would make the operating system discard the last replies.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing_since is not None:
            return
        self._closing_since = time.monotonic()
        if self._client_ended:
            transport.close()
        else:
            transport.resume_reading()
            try:
                transport.write_eof()
            except OSError:
                # The client has reset the connection, and the event loop has not noticed yet.
                transport.abort()

    def evict(self) -> None:
        """Disconnect the client and free its buffers, because it has too much in memory."""
        self._unparsed = b""
        if self.unsent:
            self.abort()
        else:
            self._close_with_error(ErrorCode.OVERLOADED, "the unfinished requests of all clients take too much memory")

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def check_timeouts(self, now: float) -> None:
        """Apply the timeouts. Called about once a second."""
        protocol = self._protocol
        if self._closing_since is not None:
            if now - self._closing_since > (WRITE_TIMEOUT if self.unsent else CLOSE_TIMEOUT):
                self.abort()
        elif self._write_paused_since is not None and now - self._write_paused_since > WRITE_TIMEOUT:
            self.abort()
        elif not protocol.authenticated and now - self._opened_at > self._limits.hello_seconds:
            self._close_with_error(ErrorCode.UNAUTHORIZED, "no hello with the token was received in time")
        elif self._line_is_late(now):
            self._close_with_error(
                ErrorCode.BAD_FRAME, f"a line took longer than {self._limits.frame_seconds:g} seconds"
            )
        elif self.is_idle and now - self._last_active > self._limits.idle_seconds:
            self.send_goaway("idle for too long")
            self.close()
        elif now > self._goaway_at:
            self._goaway_at = float("inf")
            self.send_goaway("connected for long: reconnect, so that the load is shared")

    def _line_is_late(self, now: float) -> bool:
        if not self._protocol.has_partial_line or self._protocol.lines_ended != self._line_number:
            self._line_number = self._protocol.lines_ended
            self._line_since = now
        return now - self._line_since > self._limits.frame_seconds

    def _close_with_error(self, code: ErrorCode, message: str) -> None:
        self._write(self._protocol.refuse(code, message))
        self.close()

    def _process_input(self) -> None:
        """Parse received bytes for one turn, and handle the end of the input."""
        self._next_turn = None
        turn_ends = time.monotonic() + MAX_TURN
        received, self._unparsed = self._unparsed, b""
        start = 0
        while start < len(received) and self._can_read and time.monotonic() < turn_ends:
            self._receive(received[start : start + PARSE_CHUNK])
            start += PARSE_CHUNK
        if not self._protocol.finished:
            self._unparsed = received[start:]
        self._schedule_turn()
        if self._client_ended and not self._unparsed:
            self._handle_events(self._protocol.eof())
            self._close_if_done()
        else:
            self._update_reading()

    def _schedule_turn(self) -> None:
        """Continue parsing after the other connections have had their turn."""
        if self._unparsed and self._can_read and self._next_turn is None:
            self._next_turn = asyncio.get_running_loop().call_soon(self._process_input)

    @property
    def _can_read(self) -> bool:
        """Whether another request is allowed and the client reads its replies."""
        if self._transport is None or self._closing_since is not None:
            return False
        return not self._protocol.paused and self._write_paused_since is None

    def _receive(self, data: bytes) -> None:
        """Parse these bytes and handle the requests in them."""
        try:
            self._handle_events(self._protocol.receive(data))
        except MemoryError:
            # One client's large request used up the memory: disconnecting it frees some for the others.
            self._close_with_error(ErrorCode.OVERLOADED, "this server is out of memory")

    def _handle_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self._last_active = time.monotonic()
        requests: list[Request] = []
        for event in events:
            if isinstance(event, Refusal):
                self._refuse(event)
            elif isinstance(event, Hello):
                self.queue_line(self._protocol.welcome(event))
            else:
                requests.append(event)
        if requests:
            self._handler.handle(self, requests if self._bucket is None else self._within_rate(requests, self._bucket))
        if self._outgoing:
            self.flush()
        self._update_reading()

    def _refuse(self, refusal: Refusal) -> None:
        """Queue a refusal, or delay it when the client keeps trying tokens."""
        delay = self._limiter.count_wrong_token(self._client or "", self._last_active) if refusal.wrong_token else 0.0
        if delay:
            self._delayed_refusal = asyncio.get_running_loop().call_later(
                delay, self._send_delayed_refusal, refusal.reply
            )
        else:
            self.queue_line(refusal.reply)

    def _send_delayed_refusal(self, line: bytes) -> None:
        self._delayed_refusal = None
        self.queue_line(line)
        self.flush()

    def _within_rate(self, requests: Sequence[Request], bucket: TokenBucket) -> Sequence[Request]:
        """Return the requests within the client's rate limit, and refuse the others."""
        count = bucket.take(len(requests), self._last_active)
        excess = requests[count:]
        if excess:
            retry_after = bucket.seconds_until(len(excess))
            for request in excess:
                reason = f"more than {self._limiter.rate} requests a second"
                self.refuse(request.ref, ErrorCode.OVERLOADED, reason, retry_after)
        return requests[:count]

    def _update_reading(self) -> None:
        """Read only while all input is parsed, another request is allowed, and the client reads its replies."""
        if self._transport is None or self._transport.is_closing() or self._closing_since is not None:
            return
        if self._protocol.paused or self._write_paused_since is not None or self._unparsed:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _close_if_done(self) -> None:
        """Close when no request can follow and all have replies; otherwise continue reading."""
        if self._protocol.finished and self.is_idle and self._delayed_refusal is None:
            self.close()
        else:
            self._update_reading()

    def _write(self, line: bytes) -> None:
        transport = self._transport
        if line and transport is not None and not transport.is_closing() and self._closing_since is None:
            transport.write(line)
