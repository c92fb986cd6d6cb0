"""One client's connection: the protocol, a socket, and the limits of time.

It belongs to the event loop's thread.
What a client asks goes to the desk; answers come back through `reply`, and leave together at `flush`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from core.errors import LocalProtocolError
from core.protocol import ErrorCode, Event, Hello, Limits, Refusal, Request, ServerConnection
from core.server.rate_limits import Limiter, TokenBucket, client_of

WRITE_BUFFER = 256 * 1024
"""Bytes of answers that may wait for a client to read, before nothing more is read of it."""

WRITE_SECONDS = 10.0
"""Seconds for which a client may not read its answers, before it is cut off."""

SLICE = 4096
"""Bytes that are looked at together: a wrong request may have three, and each is answered."""

TURN_SECONDS = 0.002
"""After so long the other connections have their turn, whatever is still to be looked at."""

LINGER_SECONDS = 2.0
"""Seconds that a client has to close a connection after it was sent the last answer, before it is cut off."""

_log = logging.getLogger("cauce.server")


class ConnectionHandler(Protocol):
    """Who answers, as a connection sees it."""

    def join(self, connection: "AcceptedConnection") -> str:
        """Take in a connection; why not, when it can't be."""
        ...

    def leave(self, connection: "AcceptedConnection") -> None:
        """Forget a connection."""
        ...

    def handle(self, connection: "AcceptedConnection", requests: Sequence[Request]) -> None:
        """Have requests answered."""
        ...

    def took(self, count: int) -> None:
        """Note that so many bytes came, of anybody."""
        ...

    def resume(self, connection: "AcceptedConnection") -> None:
        """Go on with answers that waited until the client reads."""
        ...


class AcceptedConnection(asyncio.Protocol):
    """One client.

    Args:
        desk: answers requests.
        limits: what the client may ask for.
        name: the server's.
        token: what the client has to show, if anything.
        goaway_at: when to ask the client to connect anew, of the monotonic clock.
        limiter: knows how much each client may do.
    """

    def __init__(
        self,
        desk: ConnectionHandler,
        limits: Limits,
        name: str,
        token: str | None,
        goaway_at: float,
        limiter: Limiter | None = None,
    ) -> None:
        self._desk = desk
        self._limiter = limiter or Limiter()
        self._client: str | None = None
        self._bucket: TokenBucket | None = None
        self._late: asyncio.TimerHandle | None = None
        self._limits = limits
        self._protocol = ServerConnection(server=name, limits=limits, token=token)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._goaway_at = goaway_at
        now = time.monotonic()
        self._opened = now
        self._active = now
        self._line_since = now
        self._line = 0
        self._stuck_since: float | None = None
        self._ending_since: float | None = None
        self._client_ended = False
        self._unread = b""
        self._turn: asyncio.Handle | None = None

    @property
    def settled(self) -> bool:
        """Whether every request that came has its reply."""
        return self._protocol.open_requests == 0 and not self._unread

    @property
    def unsent(self) -> int:
        """Bytes of answers that wait for the client to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def held(self) -> int:
        """Bytes that are in memory for the client: what it has begun to say, and what it doesn't read."""
        return self._protocol.buffered + len(self._unread) + self._out_bytes + self.unsent

    @property
    def burdened(self) -> bool:
        """Whether so much is to be sent already that a large answer has to wait."""
        return self._out_bytes + self.unsent > WRITE_BUFFER

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(WRITE_BUFFER)
        peer = transport.get_extra_info("peername")
        self._client = client_of(peer[0]) if peer else None
        self._bucket = self._limiter.bucket(self._client, self._opened)
        crowded = self._limiter.join(self._client)
        refusal = self._desk.join(self) or crowded
        if refusal:
            self._write(self._protocol.refuse(ErrorCode.OVERLOADED, refusal))
            self.end()

    def connection_lost(self, error: Exception | None) -> None:
        """End; answers that are still to come have nobody to go to."""
        self._transport = None
        for planned in (self._late, self._turn):
            if planned is not None:
                planned.cancel()
        self._limiter.leave(self._client)
        self._desk.leave(self)

    def data_received(self, data: bytes) -> None:
        """Take what came; not from a client that was told that nothing more comes."""
        self._desk.took(len(data))
        if self._ending_since is not None:
            return
        self._unread += data
        self._read_on()

    def eof_received(self) -> bool:
        """The client sends nothing more, and may still wait for answers."""
        self._client_ended = True
        if self._transport is not None and self._ending_since is not None:
            self._transport.close()
            return True
        self._read_on()
        return True

    def pause_writing(self) -> None:
        """The client doesn't read: let it wait, and ask nothing more."""
        self._stuck_since = time.monotonic()
        self._throttle()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stuck_since = None
        self._read_on()
        self._desk.resume(self)

    # What the desk calls.

    def reply(self, line: bytes) -> None:
        """Have a line sent at the next `flush`."""
        self._out.append(line)
        self._out_bytes += len(line)

    def answer(self, ref: int | str, members: dict[str, object]) -> None:
        """Have a good reply sent at the next `flush`."""
        try:
            self.reply(self._protocol.ok(ref, members))
        except LocalProtocolError as error:
            _log.error("an answer can't be sent: %s", error)
            self.refuse(ref, ErrorCode.INTERNAL, f"the answer can't be sent: {error}")

    def refuse(self, ref: int | str, code: ErrorCode, message: str, retry_after: float | None = None) -> None:
        """Have a request's error sent at the next `flush`."""
        self.reply(self._protocol.error(ref, code, message, retry_after))

    def flush(self) -> None:
        """Send what was replied, and go on with what waited for that."""
        if self._out:
            self._write(b"".join(self._out))
            self._out.clear()
            self._out_bytes = 0
        self._active = time.monotonic()
        if self._transport is not None and not self._protocol.paused:
            self._hear(b"")
        self._plan_turn()
        self._finish()

    def goaway(self, reason: str) -> None:
        """Ask the client to finish what is open, and to connect anew."""
        self._write(self._protocol.goaway(reason))

    def age(self, goaway_at: float) -> None:
        """Ask the client to connect anew at that time of the monotonic clock, if not before."""
        self._goaway_at = min(self._goaway_at, goaway_at)

    def end(self) -> None:
        """Send what is still to be sent, say that nothing more comes, and wait a little for the client to close.

        To close at once, with what it sent still unread, would make the system throw away the last answers.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._ending_since is not None:
            return
        self._ending_since = time.monotonic()
        if self._client_ended:
            transport.close()
        else:
            transport.resume_reading()
            try:
                transport.write_eof()
            except OSError:
                # The client has reset the connection, and the event loop has not seen it yet.
                transport.abort()

    def relieve(self) -> None:
        """End a client that has too much in memory, and forget that."""
        self._unread = b""
        if self.unsent:
            self.abort()
        else:
            self._expel(ErrorCode.OVERLOADED, "the clients of this server have begun too many long lines")

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """Hold the client to the limits of time. Called about once a second."""
        protocol = self._protocol
        if self._ending_since is not None:
            if now - self._ending_since > (WRITE_SECONDS if self.unsent else LINGER_SECONDS):
                self.abort()
        elif self._stuck_since is not None and now - self._stuck_since > WRITE_SECONDS:
            self.abort()
        elif not protocol.authenticated and now - self._opened > self._limits.hello_seconds:
            self._expel(ErrorCode.UNAUTHORIZED, "no hello with the token came in time")
        elif self._line_is_late(now):
            self._expel(ErrorCode.BAD_FRAME, f"a line took longer than {self._limits.frame_seconds:g} seconds")
        elif self.settled and now - self._active > self._limits.idle_seconds:
            self.goaway("idle for too long")
            self.end()
        elif now > self._goaway_at:
            self._goaway_at = float("inf")
            self.goaway("connected for long: connect anew, so that the load is shared")

    def _line_is_late(self, now: float) -> bool:
        if not self._protocol.partial or self._protocol.lines_ended != self._line:
            self._line = self._protocol.lines_ended
            self._line_since = now
        return now - self._line_since > self._limits.frame_seconds

    def _expel(self, code: ErrorCode, message: str) -> None:
        self._write(self._protocol.refuse(code, message))
        self.end()

    def _read_on(self) -> None:
        """Look at what came, for one turn, and at the end that the client made."""
        self._turn = None
        until = time.monotonic() + TURN_SECONDS
        came, self._unread = self._unread, b""
        start = 0
        while start < len(came) and self._may_read and time.monotonic() < until:
            self._hear(came[start : start + SLICE])
            start += SLICE
        if not self._protocol.over:
            self._unread = came[start:]
        self._plan_turn()
        if self._client_ended and not self._unread:
            self._take(self._protocol.eof())
            self._finish()
        else:
            self._throttle()

    def _plan_turn(self) -> None:
        """Have what came looked at further, after others have had their turn."""
        if self._unread and self._may_read and self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._read_on)

    @property
    def _may_read(self) -> bool:
        """Whether there is room for requests, and the client reads its answers."""
        if self._transport is None or self._ending_since is not None:
            return False
        return not self._protocol.paused and self._stuck_since is None

    def _hear(self, data: bytes) -> None:
        """Do what these bytes ask for, with those that came before."""
        try:
            self._take(self._protocol.receive(data))
        except MemoryError:
            # It is one client's large request that found none left: its end leaves the others some.
            self._expel(ErrorCode.OVERLOADED, "this server is out of memory")

    def _take(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self._active = time.monotonic()
        requests: list[Request] = []
        for event in events:
            if isinstance(event, Refusal):
                self._refuse(event)
            elif isinstance(event, Hello):
                self.reply(self._protocol.welcome(event))
            else:
                requests.append(event)
        if requests:
            self._desk.handle(self, requests if self._bucket is None else self._granted(requests, self._bucket))
        if self._out:
            self.flush()
        self._throttle()

    def _refuse(self, refusal: Refusal) -> None:
        """Have a refusal sent; late, if the client goes on trying tokens."""
        delay = self._limiter.wrong_token(self._client or "", self._active) if refusal.wrong_token else 0.0
        if delay:
            self._late = asyncio.get_running_loop().call_later(delay, self._refuse_late, refusal.reply)
        else:
            self.reply(refusal.reply)

    def _refuse_late(self, line: bytes) -> None:
        self._late = None
        self.reply(line)
        self.flush()

    def _granted(self, requests: Sequence[Request], bucket: TokenBucket) -> Sequence[Request]:
        """Those for which there is room in the client's limit; the others are refused."""
        count = bucket.take(len(requests), self._active)
        over = requests[count:]
        if over:
            retry_after = bucket.wait_for(len(over))
            for request in over:
                reason = f"more than {self._limiter.rate} requests a second"
                self.refuse(request.ref, ErrorCode.OVERLOADED, reason, retry_after)
        return requests[:count]

    def _throttle(self) -> None:
        """Read on only while there is room for requests and the client reads its answers."""
        if self._transport is None or self._transport.is_closing() or self._ending_since is not None:
            return
        if self._protocol.paused or self._stuck_since is not None or self._unread:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _finish(self) -> None:
        """Close when nothing more can come and everything is answered; else go on reading."""
        if self._protocol.over and self.settled and self._late is None:
            self.end()
        else:
            self._throttle()

    def _write(self, line: bytes) -> None:
        transport = self._transport
        if line and transport is not None and not transport.is_closing() and self._ending_since is None:
            transport.write(line)


MakeConnection = Callable[[], asyncio.Protocol]
