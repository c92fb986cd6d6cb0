"""The server's side of one connection: bytes in; requests, and refusals to send, out.

It knows no socket and no clock. Whoever owns those feeds what arrives and sends what comes out, and keeps the times
that `Limits` states, for which `partial`, `lines_ended`, `authenticated` and `open_requests` say what is going on.
"""

import hmac
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from core.errors import LocalProtocolError
from core.jsontext import Json, JsonError
from core.protocol.limits import MAX_HELLO, VERSION, Limits
from core.protocol.lines import LineReader, LineTooLong
from core.protocol.parsing import parse
from core.protocol.replies import ErrorCode, error_line, goaway_line, ok_line
from core.protocol.requests import Hello, InvalidRequest, Ref, Request, Result, read, usable_ref

TLS_HANDSHAKE = 0x16
"""The first byte of a client that speaks TLS; no line of JSON begins so."""


class Refusal(msgspec.Struct, frozen=True):
    """A line that is refused by the protocol itself."""

    reply: bytes
    """The error line to send."""
    close: bool
    """Nothing more is read of this connection: close it when every open request has its reply."""
    wrong_token: bool = False
    """Somebody tried a token that is not the server's."""


Event: TypeAlias = Request | Refusal


class ServerConnection:
    """One client, as the server sees it. It belongs to one thread.

    Requests come out in the order of their lines. Each has to be answered exactly once, in any order, by `ok` or
    `error` (`welcome` for `Hello`); refusals need only be sent.

    Attributes:
        limits: as given.
        authenticated: whether the client may ask for more than `hello`; true from the start where no token is needed.
        open_requests: how many requests came out and have no reply yet.
        over: nothing more comes out of this connection; it is to be closed once `open_requests` is 0.
    """

    def __init__(self, *, server: str, limits: Limits, token: str | None = None) -> None:
        """Begin with a client of which nothing is known.

        Args:
            server: the server's name, for `welcome`.
            limits: what the client may ask for.
            token: what the client has to show in its `hello` before anything else; None lets everybody in.
        """
        self.limits = limits
        self.authenticated = token is None
        self.open_requests = 0
        self.over = False
        self._server = server
        self._token = None if token is None else _token_bytes(token)
        self._lines = LineReader(limits.max_line if token is None else min(limits.max_line, MAX_HELLO))
        self._ended = False
        self._going_away = False

    @property
    def paused(self) -> bool:
        """Whether as many requests are open as may be: read nothing of the socket now.

        Lines that had arrived by then are held. Once it is false again, `receive(b"")` gives them out.
        """
        return self.open_requests >= self.limits.max_open_requests

    @property
    def partial(self) -> bool:
        """Whether a line has begun and the client is to send the rest of it.

        It is still the same line as before if `lines_ended` is the same.
        """
        return self._lines.begun and not (self.over or self._ended or self.paused)

    @property
    def lines_ended(self) -> int:
        """How many lines have ended so far."""
        return self._lines.ended

    @property
    def buffered(self) -> int:
        """How many bytes are held: at most a line and what was fed last, if nothing is fed while `paused`."""
        return self._lines.buffered

    def receive(self, data: bytes) -> list[Event]:
        """Take what arrived, and give out what it means. After the end it is ignored."""
        if self.over:
            return []
        if data and not self._ended:
            if data[0] == TLS_HANDSHAKE and not (self._lines.ended or self._lines.begun):
                # Told at once: such a client waits for an answer, and may never send a newline.
                return [self._refuse(ErrorCode.BAD_FRAME, "this is TLS, which this server does not speak")]
            self._lines.feed(data)
        return self._take()

    def eof(self) -> list[Event]:
        """Note that the client sends nothing more. A line that has not ended counts as never sent, and is refused."""
        self._ended = True
        return [] if self.over else self._take()

    def welcome(self, hello: Hello) -> bytes:
        """Make the reply to `hello`."""
        return self.ok(hello.ref, {"server": self._server, "version": VERSION, "limits": self.limits})

    def ok(self, ref: Ref, members: Mapping[str, object]) -> bytes:
        """Make the good reply to an open request. What is JSON text already goes into `members` by `embed`.

        Raises:
            LocalProtocolError: no request is open, or the members can't be sent; the request is still open then.
        """
        line = ok_line(ref, members)
        self._settle()
        return line

    def error(self, ref: Ref, code: ErrorCode, message: str, retry_after: float | None = None) -> bytes:
        """Make the reply to an open request that did not succeed.

        Raises:
            LocalProtocolError: no request is open.
        """
        self._settle()
        return error_line(ref, code, message, retry_after)

    def refuse(self, code: ErrorCode, message: str) -> bytes:
        """Make the last line for a client that broke a limit of time, and read nothing more of it."""
        self._end()
        return error_line(None, code, message)

    def goaway(self, reason: str) -> bytes:
        """Make the line that asks the client to finish and connect anew; empty the second time.

        Requests that come nevertheless come out as ever.
        """
        if self._going_away:
            return b""
        self._going_away = True
        return goaway_line(reason)

    def _settle(self) -> None:
        if not self.open_requests:
            raise LocalProtocolError("no request is open that this could be the reply to")
        self.open_requests -= 1

    def _take(self) -> list[Event]:
        events: list[Event] = []
        most = self.limits.max_open_requests
        while self.open_requests < most and not self.over:
            try:
                line = self._lines.next()
            except LineTooLong:
                events.append(self._refuse(ErrorCode.TOO_LARGE, f"a line is longer than {self._lines.limit} bytes"))
                break
            if line is None:
                events.extend(self._finish())
                break
            if not line.strip(b" \t\r"):
                continue
            event = self._event(line)
            if type(event) is not Refusal:
                self.open_requests += 1
            events.append(event)
        return events

    def _finish(self) -> list[Event]:
        """Come to the end of what has arrived."""
        if not self._ended:
            return []
        if self._lines.begun:
            return [self._refuse(ErrorCode.BAD_FRAME, "the connection ended within a line")]
        self._end()
        return []

    def _event(self, line: bytes) -> Event:
        try:
            members = parse(line)
        except JsonError as error:
            return self._refuse(ErrorCode.BAD_FRAME, str(error))
        if type(members) is not dict:
            return self._refuse(ErrorCode.BAD_FRAME, "not a JSON object")
        if not self.authenticated and members.get("op") != "hello":
            return self._refuse(ErrorCode.UNAUTHORIZED, "this server needs a hello with its token first", members)
        try:
            request = read(members)
        except InvalidRequest as error:
            return _invalid(members, str(error))
        if type(request) is Hello:
            return self._greet(request, members)
        if type(request) is Result and request.wait > self.limits.max_wait:
            return _invalid(members, f"wait: must be at most {self.limits.max_wait:g} seconds")
        return request

    def _greet(self, hello: Hello, members: dict[str, Json]) -> Event:
        if hello.version != VERSION:
            message = f"version: this server speaks version {VERSION}, not {hello.version}"
            return self._refuse(ErrorCode.UNSUPPORTED_VERSION, message, members)
        if self._token is not None:
            if hello.token is None:
                return self._refuse(ErrorCode.UNAUTHORIZED, "token: missing", members)
            if not hmac.compare_digest(self._token, _token_bytes(hello.token)):
                refusal = self._refuse(ErrorCode.UNAUTHORIZED, "token: wrong", members)
                return msgspec.structs.replace(refusal, wrong_token=True)
            self.authenticated = True
            self._lines.limit = self.limits.max_line
        # The token is of no more use, and a request may end in a log.
        return msgspec.structs.replace(hello, token=None)

    def _refuse(self, code: ErrorCode, message: str, members: dict[str, Json] | None = None) -> Refusal:
        """Refuse for good."""
        self._end()
        ref = None if members is None else usable_ref(members)
        return Refusal(error_line(ref, code, message), close=True)

    def _end(self) -> None:
        self.over = True
        self._lines.clear()


def _invalid(members: dict[str, Json], message: str) -> Refusal:
    return Refusal(error_line(usable_ref(members), ErrorCode.INVALID, message), close=False)


def _token_bytes(token: str) -> bytes:
    """Make a token comparable: `compare_digest` takes no text but ASCII."""
    return token.encode("utf-8", "surrogatepass")
