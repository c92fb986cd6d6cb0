"""What a server may answer: the closed list of error codes, and the line of each kind of answer."""

import enum
from collections.abc import Mapping

import msgspec

from core.errors import LocalProtocolError
from core.jsontext import Json
from core.protocol.limits import MAX_REPLY
from core.protocol.requests import Ref
from core.protocol.wording import readable


class ErrorCode(enum.StrEnum):
    """Why a request was refused. The list is closed: version 1 has no others."""

    BAD_FRAME = "bad_frame"
    """The line is not a JSON object as the protocol takes it. The connection is closed."""
    TOO_LARGE = "too_large"
    """The line is longer than the limit. The connection is closed."""
    INVALID = "invalid"
    """A field is missing, unknown or wrong, or there is no such operation; the message names the field."""
    UNAUTHORIZED = "unauthorized"
    """The token is missing or wrong. The connection is closed."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """The server doesn't speak this version. The connection is closed."""
    NOT_FOUND = "not_found"
    """There is no task with this id."""
    CONFLICT = "conflict"
    """The id was used for another task: one with another kind or payload."""
    NOT_CANCELLABLE = "not_cancellable"
    """The task is running or has ended."""
    OVERLOADED = "overloaded"
    """Too much to do now: nothing was stored, try again later."""
    UNAVAILABLE = "unavailable"
    """The journal can't be written or read now: nothing was stored, try again later."""
    SHUTTING_DOWN = "shutting_down"
    """This server takes nothing more: nothing was stored, try again at another one."""
    INTERNAL = "internal"
    """The server has a fault of its own, and what came of the request is not known. It is in the server's log."""

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed later or elsewhere."""
        return self in _RETRIABLE


_RETRIABLE = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.SHUTTING_DOWN})


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    code: ErrorCode
    message: str
    retry_after: float | None = None
    """Seconds to wait before the next try."""


class Reply(msgspec.Struct, frozen=True):
    """The server's answer to one request: `ok` or `error`, the other is None."""

    ref: Ref | None
    """None when the server could not tell to which request it belongs; then it closes the connection."""
    ok: dict[str, Json] | None = None
    error: Error | None = None


class Goaway(msgspec.Struct, frozen=True):
    """The server asks to finish what is open, and then to connect anew."""

    reason: str


def embed(text: str) -> msgspec.Raw:
    """Make a member of a reply of a value that is JSON text already."""
    return msgspec.Raw(text.encode())


def ok_line(ref: Ref, members: Mapping[str, object]) -> bytes:
    """Make the line of a good reply.

    Raises:
        LocalProtocolError: the members can't be written as one line of JSON of at most `MAX_REPLY` bytes.
    """
    try:
        line = _encode({"ref": ref, "ok": members})
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise LocalProtocolError(f"the reply can't be written as JSON: {error}") from error
    if len(line) > MAX_REPLY or b"\n" in line:
        raise LocalProtocolError(f"a reply must be one line of at most {MAX_REPLY} bytes")
    return line + b"\n"


def error_line(ref: Ref | None, code: ErrorCode, message: str, retry_after: float | None = None) -> bytes:
    """Make the line of an error; the message is made printable and short."""
    return _encode({"ref": ref, "error": Error(code, readable(message), retry_after)}) + b"\n"


def goaway_line(reason: str) -> bytes:
    """Make the line that asks a client to connect anew."""
    return _encode({"goaway": Goaway(readable(reason))}) + b"\n"


_encode = msgspec.json.Encoder().encode
