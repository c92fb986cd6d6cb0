"""The server's end of a connection: reads requests from received bytes, and makes the lines of replies.

It knows no socket and no clock. Their owner passes in what is received, sends the lines, and enforces the times in
`Limits`, with `has_partial_line`, `lines_ended`, `authenticated` and `open_requests`.
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
"""The first byte of a TLS connection, which begins no line of JSON."""


class Refusal(msgspec.Struct, frozen=True):
    """A line that the protocol refuses."""

    reply: bytes
    """The error line to send."""
    close: bool
    """Whether to close the connection, once every open request has its reply. Nothing more is read from it."""
    wrong_token: bool = False
    """Whether the line had a wrong token."""


Event: TypeAlias = Request | Refusal


class ServerConnection:
    """The server's end of one connection. It belongs to one thread.

    `receive` returns requests in the order of their lines. Each must have exactly one reply, in any order, made by `ok`
    or `error` (`welcome` for `Hello`). A refusal has its line already.

    Attributes:
        limits: the limits given to the constructor.
        authenticated: whether requests other than `hello` are allowed. True from the start when no token is needed.
        open_requests: the number of requests without a reply.
        finished: whether no more requests follow. Close the connection once `open_requests` is 0.
    """

    def __init__(self, *, server: str, limits: Limits, token: str | None = None) -> None:
        """Make the end of a new connection.

        Args:
            server: the server's name, for `welcome`.
            limits: the limits of the connection.
            token: the token that the client's first request, `hello`, must have, or None for no token.
        """
        self.limits = limits
        self.authenticated = token is None
        self.open_requests = 0
        self.finished = False
        self._server = server
        self._token = None if token is None else _token_bytes(token)
        self._lines = LineReader(limits.max_line if token is None else min(limits.max_line, MAX_HELLO))
        self._ended = False
        self._going_away = False

    @property
    def paused(self) -> bool:
        """Whether as many requests are open as the limit allows: read nothing from the socket now.

        Lines received until then are buffered. Once this is false again, `receive(b"")` returns their requests.
        """
        return self.open_requests >= self.limits.max_open_requests

    @property
    def has_partial_line(self) -> bool:
        """Whether a line has begun whose rest the client must send.

        While `lines_ended` stays the same, it is the same line.
        """
        return self._lines.has_partial_line and not (self.finished or self._ended or self.paused)

    @property
    def lines_ended(self) -> int:
        """The number of lines that have ended so far."""
        return self._lines.ended

    @property
    def buffered(self) -> int:
        """Bytes in the buffer: at most a line and what was received last, if nothing is received while `paused`."""
        return self._lines.buffered

    def receive(self, data: bytes) -> list[Event]:
        """Read received bytes. Returns the requests and refusals in them, in order, or nothing once `finished`."""
        if self.finished:
            return []
        if data and not self._ended:
            if data[0] == TLS_HANDSHAKE and not (self._lines.ended or self._lines.has_partial_line):
                # Refused at once: such a client waits for a reply, and may never send a newline.
                return [self._refuse(ErrorCode.BAD_FRAME, "this is TLS, which this server does not speak")]
            self._lines.feed(data)
        return self._read_events()

    def eof(self) -> list[Event]:
        """Note that the client sends nothing more. Returns a refusal when a line has not ended."""
        self._ended = True
        return [] if self.finished else self._read_events()

    def welcome(self, hello: Hello) -> bytes:
        """Make the reply to `hello`."""
        return self.ok(hello.ref, {"server": self._server, "version": VERSION, "limits": self.limits})

    def ok(self, ref: Ref, members: Mapping[str, object]) -> bytes:
        """Make the reply to an open request that succeeded. Wrap members that are JSON text already in `embed`.

        Raises:
            LocalProtocolError: no request is open, or the members can't be sent. The request stays open then.
        """
        line = ok_line(ref, members)
        self._close_request()
        return line

    def error(self, ref: Ref, code: ErrorCode, message: str, retry_after: float | None = None) -> bytes:
        """Make the error reply to an open request.

        Raises:
            LocalProtocolError: no request is open.
        """
        self._close_request()
        return error_line(ref, code, message, retry_after)

    def refuse(self, code: ErrorCode, message: str) -> bytes:
        """Make the last line of a connection, and read nothing more."""
        self._finish()
        return error_line(None, code, message)

    def goaway(self, reason: str) -> bytes:
        """Make the line that asks the client to finish and reconnect. Returns nothing the second time.

        Requests that follow are still read.
        """
        if self._going_away:
            return b""
        self._going_away = True
        return goaway_line(reason)

    def _close_request(self) -> None:
        if not self.open_requests:
            raise LocalProtocolError("no request is open to reply to")
        self.open_requests -= 1

    def _read_events(self) -> list[Event]:
        events: list[Event] = []
        max_open = self.limits.max_open_requests
        while self.open_requests < max_open and not self.finished:
            try:
                line = self._lines.next()
            except LineTooLong:
                events.append(self._refuse(ErrorCode.TOO_LARGE, f"a line is longer than {self._lines.limit} bytes"))
                break
            if line is None:
                events.extend(self._end_of_input())
                break
            if not line.strip(b" \t\r"):
                continue
            event = self._read_event(line)
            if type(event) is not Refusal:
                self.open_requests += 1
            events.append(event)
        return events

    def _end_of_input(self) -> list[Event]:
        """Finish when the client sends nothing more. Returns a refusal when a line has not ended."""
        if not self._ended:
            return []
        if self._lines.has_partial_line:
            return [self._refuse(ErrorCode.BAD_FRAME, "the connection ended within a line")]
        self._finish()
        return []

    def _read_event(self, line: bytes) -> Event:
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
            return self._handle_hello(request, members)
        if type(request) is Result and request.wait > self.limits.max_wait:
            return _invalid(members, f"wait: must be at most {self.limits.max_wait:g} seconds")
        return request

    def _handle_hello(self, hello: Hello, members: dict[str, Json]) -> Event:
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
        # The token is not needed any more, and a request may be logged.
        return msgspec.structs.replace(hello, token=None)

    def _refuse(self, code: ErrorCode, message: str, members: dict[str, Json] | None = None) -> Refusal:
        """Refuse a line and read nothing more."""
        self._finish()
        ref = None if members is None else usable_ref(members)
        return Refusal(error_line(ref, code, message), close=True)

    def _finish(self) -> None:
        self.finished = True
        self._lines.clear()


def _invalid(members: dict[str, Json], message: str) -> Refusal:
    return Refusal(error_line(usable_ref(members), ErrorCode.INVALID, message), close=False)


def _token_bytes(token: str) -> bytes:
    """Encode a token for `compare_digest`, which accepts only ASCII text or bytes."""
    return token.encode("utf-8", "surrogatepass")
