"""The client's side of one connection: lines of requests to send out of it, bytes in, replies out.

It knows no socket and no clock, and refuses to make a line that the server would refuse.
"""

from typing import Any, TypeAlias

import msgspec

from core.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError
from core.jsontext import Json, JsonError
from core.protocol.limits import MAX_REPLY, Limits
from core.protocol.lines import LineReader, LineTooLong
from core.protocol.parsing import checked_text_of
from core.protocol.replies import Error, Goaway, Reply
from core.protocol.requests import Cancel, Hello, InvalidRequest, Ref, Request, Result, Stats, Status, Submit, write
from core.protocol.wording import quote

ServerEvent: TypeAlias = Reply | Goaway


class Welcome(msgspec.Struct, frozen=True):
    """The server's answer to `hello`."""

    server: str
    version: int
    limits: Limits


class ClientConnection:
    """One server, as the client sees it. It belongs to one thread.

    A `ref` may be used again when its reply has come.

    Attributes:
        limits: of the server, as far as known: the defaults, until the reply to `hello` has come.
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

    def hello(self, ref: Ref, token: str | None = None, client: str = "") -> bytes:
        """Make the line that greets the server.

        Raises:
            LocalProtocolError: the server would refuse it, or the `ref` is in use; so for all the others.
        """
        with _Refused():
            request = Hello(ref=ref, token=token, client=client)
        line = self._line(request)
        self._greeting = ref
        return line

    def submit(
        self,
        ref: Ref,
        payload: Json = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's name
        kind: str | None = None,
        delay: float = 0.0,
        retries: int | None = None,
        sent: float | None = None,
    ) -> bytes:
        """Make the line that submits a task; `Submit` says what each field is."""
        text = checked_text_of(payload)
        return self._line(Submit(ref=ref, payload=text, id=id, kind=kind, delay=delay, retries=retries, sent=sent))
