"""The client's end of a connection: makes the lines of requests, and reads replies from received bytes.

It knows no socket and no clock. It refuses to make a line that the server would refuse.
"""

from typing import TypeAlias

import msgspec

from core.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError
from core.jsontext import Json, JsonError
from core.protocol.limits import MAX_REPLY, VERSION, Limits
from core.protocol.lines import LineReader, LineTooLong
from core.protocol.parsing import encode_payload
from core.protocol.replies import Goaway, Reply, read_line
from core.protocol.requests import Cancel, Hello, Kinds, Ref, Result, Stats, Status, SubmitLine, write

ServerEvent: TypeAlias = Reply | Goaway


class Welcome(msgspec.Struct, frozen=True):
    """The server's reply to `hello`."""

    server: str
    version: int
    limits: Limits


class ClientConnection:
    """The client's end of one connection. It belongs to one thread.

    Each method named like an operation returns the line to send, with its newline. It raises `LocalProtocolError`
    when the server would refuse the line, or when an open request has the same `ref`.

    Attributes:
        limits: the server's limits. Until the reply to `hello` they are those given to the constructor.
        welcome: the reply to `hello`, or None before it.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.welcome: Welcome | None = None
        self._lines = LineReader(MAX_REPLY)
        self._open: set[Ref] = set()
        self._hello_ref: Ref | None = None
        self._broken = ""

    @property
    def open_requests(self) -> int:
        """The number of requests without a reply."""
        return len(self._open)

    def hello(self, ref: Ref, *, token: str | None = None, client: str = "") -> bytes:
        """Make the first request, with the token if the server needs one."""
        line = self._send(Hello(ref=ref, token=token, client=client))
        self._hello_ref = ref
        return line

    def submit(
        self,
        ref: Ref,
        payload: Json = None,
        *,
        task_id: str | None = None,
        kind: str | None = None,
        delay: float = 0.0,
        retries: int | None = None,
        sent: float | None = None,
    ) -> bytes:
        """Make a request to store a task. The fields are those of `Submit`; the payload is a value, not text."""
        try:
            text = msgspec.Raw(encode_payload(payload))
        except JsonError as error:
            raise LocalProtocolError(f"payload: {error}") from error
        return self._send(
            SubmitLine(ref=ref, id=task_id, kind=kind, delay=delay, retries=retries, sent=sent, payload=text)
        )

    def status(self, ref: Ref, task_id: str) -> bytes:
        """Make a request for the state of a task."""
        return self._send(Status(ref=ref, id=task_id))

    def result(self, ref: Ref, task_id: str, wait: float = 0.0) -> bytes:
        """Make a request for the outcome of a task, to be answered after at most `wait` seconds."""
        if wait > self.limits.max_wait:
            raise LocalProtocolError(f"wait: must be at most {self.limits.max_wait:g} seconds")
        return self._send(Result(ref=ref, id=task_id, wait=wait))

    def cancel(self, ref: Ref, task_id: str) -> bytes:
        """Make a request to cancel a task."""
        return self._send(Cancel(ref=ref, id=task_id))

    def stats(self, ref: Ref) -> bytes:
        """Make a request for the ledger and the processes of the system."""
        return self._send(Stats(ref=ref))

    def kinds(self, ref: Ref, kind: str | None = None) -> bytes:
        """Make a request for the kinds of task that workers have told of, or for one with its schema."""
        return self._send(Kinds(ref=ref, kind=kind))

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Read received bytes. Returns the replies and goaways in them, in order.

        Raises:
            RemoteProtocolError: the server violates the protocol: close the connection.
                The rest of `data` is lost, and every later call raises the error again.
        """
        if self._broken:
            raise RemoteProtocolError(self._broken)
        self._lines.feed(data)
        try:
            return self._read_events()
        except RemoteProtocolError as error:
            self._lines.clear()
            self._broken = str(error)
            raise

    def eof(self) -> None:
        """Note that the server sends nothing more.

        Raises:
            RemoteProtocolError: the connection ended within a line.
        """
        if self._lines.has_partial_line:
            raise RemoteProtocolError("the connection ended within a reply")

    def _send(self, request: Hello | SubmitLine | Status | Result | Cancel | Stats | Kinds) -> bytes:
        if request.ref in self._open:
            raise LocalProtocolError(f"ref: {request.ref!r} belongs to a request that has no reply yet")
        line = write(request)
        if len(line) > self.limits.max_line + 1:
            raise LocalProtocolError(
                f"the request is {len(line) - 1} bytes long; the server accepts {self.limits.max_line}"
            )
        self._open.add(request.ref)
        return line

    def _read_events(self) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        try:
            while (line := self._lines.next()) is not None:
                if not line.strip(b" \t\r"):
                    continue
                event = read_line(line)
                if type(event) is Reply:
                    self._match(event)
                events.append(event)
        except LineTooLong:
            raise RemoteProtocolError(f"the server sent a line of more than {MAX_REPLY} bytes") from None
        return events

    def _match(self, reply: Reply) -> None:
        """Close the request that a reply belongs to."""
        if reply.ref is None:
            return
        if reply.ref not in self._open:
            raise RemoteProtocolError(f"the server replied to {reply.ref!r}, which is not an open request")
        self._open.remove(reply.ref)
        if reply.ref == self._hello_ref:
            self._hello_ref = None
            if reply.ok is not None:
                self._set_welcome(reply.ok)

    def _set_welcome(self, members: dict[str, Json]) -> None:
        try:
            welcome = msgspec.convert(members, Welcome)
        except (msgspec.ValidationError, ConfigurationError) as error:
            raise RemoteProtocolError(f"the server's reply to hello is invalid: {error}") from error
        if welcome.version != VERSION:
            raise RemoteProtocolError(f"the server speaks version {welcome.version}, not {VERSION}")
        self.welcome = welcome
        self.limits = welcome.limits
