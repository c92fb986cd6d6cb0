"""The client's side of one connection: lines of requests to send out of it, bytes in, replies out.

It knows no socket and no clock, and refuses to make a line that the server would refuse.
"""

from typing import TypeAlias

import msgspec

from core.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError
from core.jsontext import Json, JsonError
from core.protocol.limits import MAX_REPLY, VERSION, Limits
from core.protocol.lines import LineReader, LineTooLong
from core.protocol.parsing import checked_bytes_of
from core.protocol.replies import Goaway, Reply, read_line
from core.protocol.requests import Cancel, Hello, Ref, Result, Stats, Status, SubmitLine, write

ServerEvent: TypeAlias = Reply | Goaway


class Welcome(msgspec.Struct, frozen=True):
    """The server's answer to `hello`."""

    server: str
    version: int
    limits: Limits


class ClientConnection:
    """One server, as the client sees it. It belongs to one thread.

    The methods named like an operation make the line to send. All of them raise `LocalProtocolError`
    when the server would refuse it, or when the `ref` is in use; a `ref` may be used again once its reply has come.

    Attributes:
        limits: the server's, as far as they are known: as given, until the reply to `hello` has come.
        welcome: what the server said to `hello`; None until then.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.welcome: Welcome | None = None
        self._lines = LineReader(MAX_REPLY)
        self._open: set[Ref] = set()
        self._greeting: Ref | None = None
        self._broken = ""

    @property
    def open_requests(self) -> int:
        """How many requests have no reply yet."""
        return len(self._open)

    def hello(self, ref: Ref, *, token: str | None = None, client: str = "") -> bytes:
        """Greet the server, and show the token if it needs one."""
        line = self._send(Hello(ref=ref, token=token, client=client))
        self._greeting = ref
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
        """Submit a task. What the fields mean is said at `Submit`."""
        try:
            text = msgspec.Raw(checked_bytes_of(payload))
        except JsonError as error:
            raise LocalProtocolError(f"payload: {error}") from error
        return self._send(
            SubmitLine(ref=ref, id=task_id, kind=kind, delay=delay, retries=retries, sent=sent, payload=text)
        )

    def status(self, ref: Ref, task_id: str) -> bytes:
        """Ask where a task is."""
        return self._send(Status(ref=ref, id=task_id))

    def result(self, ref: Ref, task_id: str, wait: float = 0.0) -> bytes:
        """Ask what came of a task, and wait up to `wait` seconds for its end."""
        if wait > self.limits.max_wait:
            raise LocalProtocolError(f"wait: must be at most {self.limits.max_wait:g} seconds")
        return self._send(Result(ref=ref, id=task_id, wait=wait))

    def cancel(self, ref: Ref, task_id: str) -> bytes:
        """Take a task back before it runs."""
        return self._send(Cancel(ref=ref, id=task_id))

    def stats(self, ref: Ref) -> bytes:
        """Ask how everything is."""
        return self._send(Stats(ref=ref))

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Take what arrived, and give out what it means.

        Raises:
            RemoteProtocolError: the other side doesn't speak the protocol: close the connection.
                What else was in `data` is lost, and every later call raises it again.
        """
        if self._broken:
            raise RemoteProtocolError(self._broken)
        self._lines.feed(data)
        try:
            return self._take()
        except RemoteProtocolError as error:
            self._lines.clear()
            self._broken = str(error)
            raise

    def eof(self) -> None:
        """Note that the server sends nothing more.

        Raises:
            RemoteProtocolError: it ended within a line.
        """
        if self._lines.begun:
            raise RemoteProtocolError("the connection ended within a reply")

    def _send(self, request: Hello | SubmitLine | Status | Result | Cancel | Stats) -> bytes:
        if request.ref in self._open:
            raise LocalProtocolError(f"ref: {request.ref!r} belongs to a request that has no reply yet")
        line = write(request)
        if len(line) > self.limits.max_line + 1:
            raise LocalProtocolError(
                f"the request is {len(line) - 1} bytes long, the server takes {self.limits.max_line}"
            )
        self._open.add(request.ref)
        return line

    def _take(self) -> list[ServerEvent]:
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
        """Find the request that is answered."""
        if reply.ref is None:
            return
        if reply.ref not in self._open:
            raise RemoteProtocolError(f"the server answered {reply.ref!r}, which was not asked")
        self._open.remove(reply.ref)
        if reply.ref == self._greeting:
            self._greeting = None
            if reply.ok is not None:
                self._learn(reply.ok)

    def _learn(self, members: dict[str, Json]) -> None:
        try:
            welcome = msgspec.convert(members, Welcome)
        except (msgspec.ValidationError, ConfigurationError) as error:
            raise RemoteProtocolError(f"the server's answer to hello is wrong: {error}") from error
        if welcome.version != VERSION:
            raise RemoteProtocolError(f"the server speaks version {welcome.version}, not {VERSION}")
        self.welcome = welcome
        self.limits = welcome.limits
