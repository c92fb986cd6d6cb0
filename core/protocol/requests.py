"""What a client may ask for: a value for each operation, that can't exist with a wrong id or a number out of bounds.

`read` makes one of a parsed line, `write` makes a line of one.
A fault is named by its field: that is what the one who wrote the client wants to know.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from core.errors import LocalProtocolError
from core.identifiers import KIND, TASK_ID
from core.jsontext import MAX_INTEGER, Json
from core.protocol.limits import VERSION
from core.protocol.parsing import text_of
from core.protocol.safe_text import quote

Ref: TypeAlias = int | str
"""What a client calls its request, and the server's reply to it."""

MAX_REF = 64
"""How many characters a `Ref` may have."""
MAX_CLIENT = 100
"""How many characters a client's name may have."""
MAX_DELAY = 315_576_000.0
"""Ten years, in seconds."""
MAX_RETRIES = 100
"""How often a submission may ask for its task to be tried again."""
MAX_TIME = 32_503_680_000.0
"""The year 3000 as seconds since the epoch: a later time can't be shown as a date on every platform."""

_is_task_id = TASK_ID.fullmatch
_is_kind = KIND.fullmatch
_encode = msgspec.json.Encoder().encode


class InvalidField(LocalProtocolError, ValueError):
    """A request was to be made with a field that it can't have: the message names it and says what it must be."""


class InvalidRequest(Exception):
    """The line is a JSON object, but not a request: the message names the field and says what it must be."""


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True
):
    ref: Ref

    def __post_init__(self) -> None:
        _check_ref(self.ref)


class Hello(_Request, frozen=True, kw_only=True, tag="hello"):
    """Who is there, and with which right."""

    version: int = VERSION
    token: str | None = None
    client: str = ""
    """What the client calls itself, for people."""

    def __post_init__(self) -> None:
        _check_ref(self.ref)
        if len(self.client) > MAX_CLIENT or not self.client.isprintable():
            raise InvalidField(f"client: must be at most {MAX_CLIENT} printable characters")


class _Submission(_Request, frozen=True, kw_only=True):
    id: str | None = None
    """The client's own id, which makes it safe to submit again; the server makes one when None."""
    kind: str | None = None
    delay: float = 0.0
    """Seconds from now before which the task must not run."""
    retries: int | None = None
    sent: float | None = None
    """When the client sent it, by the client's clock."""

    def __post_init__(self) -> None:
        _check_ref(self.ref)
        if self.id is not None and not _is_task_id(self.id):
            raise _wrong_task_id(self.id)
        if self.kind is not None and not _is_kind(self.kind):
            raise _wrong_kind(self.kind)
        if not 0 <= self.delay <= MAX_DELAY:
            raise InvalidField(f"delay: must be 0 to {MAX_DELAY:.0f} seconds (ten years)")
        if self.retries is not None and not 0 <= self.retries <= MAX_RETRIES:
            raise InvalidField(f"retries: must be 0 to {MAX_RETRIES}")
        if self.sent is not None and not 0 <= self.sent <= MAX_TIME:
            raise InvalidField("sent: must be seconds since the epoch, before the year 3000")


class Submit(_Submission, frozen=True, kw_only=True, tag="submit"):
    """Take a task into the journal."""

    payload: str = "null"
    """The payload as compact JSON text, whatever it looked like in the line."""


class SubmitLine(_Submission, frozen=True, kw_only=True, tag="submit"):
    """The same, as a client writes it: the payload is JSON within JSON there."""

    payload: msgspec.Raw


class _OfTask(_Request, frozen=True, kw_only=True):
    id: str

    def __post_init__(self) -> None:
        _check_ref(self.ref)
        if not _is_task_id(self.id):
            raise _wrong_task_id(self.id)


class Status(_OfTask, frozen=True, kw_only=True, tag="status"):
    """Where is the task?"""


class Result(_OfTask, frozen=True, kw_only=True, tag="result"):
    """What came of the task?"""

    wait: float = 0.0
    """How many seconds to wait for its end; the server's `max_wait` at most."""

    def __post_init__(self) -> None:
        _OfTask.__post_init__(self)
        if not self.wait >= 0:
            raise InvalidField("wait: must not be less than 0 seconds")


class Cancel(_OfTask, frozen=True, kw_only=True, tag="cancel"):
    """Take the task back before it runs."""


class Stats(_Request, frozen=True, kw_only=True, tag="stats"):
    """How is everything?"""


Request: TypeAlias = Hello | Submit | Status | Result | Cancel | Stats

_SHAPES: Mapping[str, type[Request]] = {
    "hello": Hello,
    "submit": Submit,
    "status": Status,
    "result": Result,
    "cancel": Cancel,
    "stats": Stats,
}


def read(members: dict[str, Json]) -> Request:
    """Make the request of what `parse` made of a line. The payload in `members` is replaced by its text.

    Raises:
        InvalidRequest: a field is missing, unknown or wrong.
    """
    try:
        shape = _SHAPES[members["op"]]
    except (KeyError, TypeError):
        raise _unknown_operation(members) from None
    if shape is Submit and "payload" in members:
        members["payload"] = text_of(members["payload"])
    try:
        return msgspec.convert(members, shape)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidField):
            raise InvalidRequest(str(error.__cause__)) from None
        raise _explain(members, shape) from None


def usable_ref(members: dict[str, Json]) -> Ref | None:
    """Find the `ref` of a request that may be wrong in any way, to answer it; None when it has none."""
    ref = members.get("ref")
    if type(ref) is int or (type(ref) is str and len(ref) <= MAX_REF):
        return ref
    return None


def write(request: Hello | SubmitLine | Status | Result | Cancel | Stats) -> bytes:
    """Make the line of a request.

    Raises:
        LocalProtocolError: a text in it is not Unicode.
    """
    try:
        return _encode(request) + b"\n"
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"a text holds a lone surrogate: {quote(error.object)}") from error


def _check_ref(ref: Ref) -> None:
    if type(ref) is int:
        if -MAX_INTEGER <= ref <= MAX_INTEGER:
            return
    elif type(ref) is str and len(ref) <= MAX_REF:
        return
    raise InvalidField(f"ref: must be an integer within 2^53, or a string of at most {MAX_REF} characters")


def _wrong_task_id(task_id: str) -> InvalidField:
    return InvalidField(
        f"id: {quote(task_id)} is not 1 to 64 letters, digits and . _ : - beginning with a letter or digit"
    )


def _wrong_kind(kind: str) -> InvalidField:
    return InvalidField(f"kind: {quote(kind)} is not 1 to 64 letters, digits and . _ - beginning with a letter")


def _unknown_operation(members: dict[str, Json]) -> InvalidRequest:
    known = ", ".join(_SHAPES)
    if "op" not in members:
        return InvalidRequest(f"op: missing; it must be one of {known}")
    operation = members["op"]
    found = quote(operation) if isinstance(operation, str) else "what came"
    return InvalidRequest(f"op: {found} is not one of {known}")


def _explain(members: dict[str, Json], shape: type[Request]) -> InvalidRequest:
    """Find the field for which msgspec refused the members."""
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    operation = members["op"]
    for name in members:
        if name not in fields and name != "op":
            return InvalidRequest(f"{quote(name)}: {operation} has no such field; it has {', '.join(fields)}")
    for name, field in fields.items():
        if name in members:
            try:
                msgspec.convert(members[name], field.type)
            except msgspec.ValidationError as error:
                return InvalidRequest(f"{name}: {str(error).replace('`', '').lower()}")
        elif field.required:
            return InvalidRequest(f"{name}: missing; {operation} needs it")
    return InvalidRequest(f"{operation}: not a request")
