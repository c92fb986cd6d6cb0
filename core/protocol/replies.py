"""The lines of a server: replies, goaways, and the closed list of error codes."""

import enum
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from core.errors import LocalProtocolError, RemoteProtocolError
from core.jsontext import Json
from core.protocol.limits import MAX_REPLY
from core.protocol.requests import Ref
from core.safe_text import quote, readable

MAX_RETRY_AFTER = 86_400.0
"""Seconds that a server may ask a client to wait."""


class ErrorCode(enum.StrEnum):
    """The reason why a request is refused. The list is closed: version 1 has no others."""

    BAD_FRAME = "bad_frame"
    """The line is not a valid JSON object. The connection is closed."""
    TOO_LARGE = "too_large"
    """The line is longer than the limit. The connection is closed."""
    INVALID = "invalid"
    """A field is missing, unknown or invalid, or the operation is unknown; the message names the field."""
    UNAUTHORIZED = "unauthorized"
    """The token is missing or wrong, or the server accepts only TLS. The connection is closed."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """The server does not speak this version. The connection is closed."""
    NOT_FOUND = "not_found"
    """No task has this id."""
    CONFLICT = "conflict"
    """The id was used for a task with another kind or payload."""
    NOT_CANCELLABLE = "not_cancellable"
    """The task is running or has ended."""
    OVERLOADED = "overloaded"
    """The server has too much to do. Nothing was stored: try again later."""
    UNAVAILABLE = "unavailable"
    """The journal can't be written or read now. Nothing was stored: try again later."""
    SHUTTING_DOWN = "shutting_down"
    """The server is shutting down. Nothing was stored: try again with another server."""
    INTERNAL = "internal"
    """The server failed, and the effect of the request is unknown. The error is in the server's log."""

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed later or on another server."""
        return self in _RETRIABLE


_RETRIABLE = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.SHUTTING_DOWN})


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """The error of a reply."""

    code: ErrorCode
    message: str
    retry_after: Annotated[float, msgspec.Meta(ge=0, le=MAX_RETRY_AFTER)] | None = None
    """Seconds to wait before the next try."""


class Reply(msgspec.Struct, frozen=True):
    """The reply to one request: either `ok` or `error` is set, and the other is None."""

    ref: Ref | None
    """None when the request is unknown. The server closes the connection then."""
    ok: dict[str, Json] | None = None
    error: Error | None = None


class Goaway(msgspec.Struct, frozen=True):
    """A line by which the server asks the client to finish its open requests and then reconnect."""

    reason: str


class _ServerLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: Ref | UnsetType | None = UNSET
    ok: dict[str, Json] | UnsetType = UNSET
    error: Error | UnsetType = UNSET
    goaway: Goaway | UnsetType = UNSET


class _OkLine(msgspec.Struct, frozen=True):
    ref: Ref
    ok: Mapping[str, object]


class _ErrorLine(msgspec.Struct, frozen=True):
    ref: Ref | None
    error: Error


class _GoawayLine(msgspec.Struct, frozen=True):
    goaway: Goaway


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_ServerLine).decode


def embed(text: str) -> msgspec.Raw:
    """Return the value of a reply's member that is JSON text already."""
    return msgspec.Raw(text)


def ok_line(ref: Ref, members: Mapping[str, object]) -> bytes:
    """Make the line of the reply to a request that succeeded.

    Raises:
        LocalProtocolError: the members are not JSON, or the line is longer than `MAX_REPLY` bytes.
    """
    try:
        line = _encode(_OkLine(ref, members))
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise LocalProtocolError(f"the reply can't be written as JSON: {error}") from error
    if len(line) > MAX_REPLY or b"\n" in line:
        raise LocalProtocolError(f"a reply must be one line of at most {MAX_REPLY} bytes")
    return line + b"\n"


def error_line(ref: Ref | None, code: ErrorCode, message: str, retry_after: float | None = None) -> bytes:
    """Make the line of an error. Its message is made printable and cut."""
    return _encode(_ErrorLine(ref, Error(code, readable(message), retry_after))) + b"\n"


def goaway_line(reason: str) -> bytes:
    """Make the line that asks a client to reconnect."""
    return _encode(_GoawayLine(Goaway(readable(reason)))) + b"\n"


def read_line(line: bytes) -> Reply | Goaway:
    """Parse a line from a server. Its messages are made printable and cut.

    Raises:
        RemoteProtocolError: the line is not one of the protocol.
    """
    try:
        match _decode(line):
            case _ServerLine(ref=int() | str() as ref, ok=dict() as members, error=UnsetType(), goaway=UnsetType()):
                return Reply(ref, members)
            case _ServerLine(
                ref=int() | str() | None as ref, ok=UnsetType(), error=Error() as error, goaway=UnsetType()
            ):
                error = msgspec.structs.replace(error, message=readable(error.message))
                return Reply(ref, error=error)
            case _ServerLine(ref=UnsetType(), ok=UnsetType(), error=UnsetType(), goaway=Goaway() as goaway):
                return Goaway(readable(goaway.reason))
            case _:
                reason = "not a reply"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)
    start = line[:100].decode("utf-8", "replace")
    raise RemoteProtocolError(f"the other side doesn't speak the protocol: {quote(start)} ({readable(reason)})")
