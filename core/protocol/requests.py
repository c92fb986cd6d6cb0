"""The requests of a client: a struct for each operation, which checks its fields when it is created.

`read` makes a request from a parsed line, `write` makes a line from a request.
An error names the field, for the author of the client.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from core.errors import LocalProtocolError
from core.identifiers import KIND, TASK_ID
from core.jsontext import MAX_INTEGER, Json
from core.protocol.limits import VERSION
from core.protocol.parsing import encode_text
from core.safe_text import quote

Ref: TypeAlias = int | str
"""The client's identifier of a request, which the reply repeats."""

MAX_REF = 64
"""Characters of a `Ref`."""
MAX_CLIENT = 100
"""Characters of a client's name."""
MAX_DELAY = 315_576_000.0
"""Seconds of the longest delay: ten years."""
MAX_RETRIES = 100
"""Retries that a submission may ask for."""
MAX_TIME = 32_503_680_000.0
"""The year 3000 in seconds since the epoch: a later time is not a valid date on every platform."""

_is_task_id = TASK_ID.fullmatch
_is_kind = KIND.fullmatch
_encode = msgspec.json.Encoder().encode


class InvalidField(LocalProtocolError, ValueError):
    """A field of a request is invalid; the message names it and the valid values."""


class InvalidRequest(Exception):
    """A line is a JSON object but not a request; the message names the field and the valid values."""


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True
):
    ref: Ref

    def __post_init__(self) -> None:
        _check_ref(self.ref)


class Hello(_Request, frozen=True, kw_only=True, tag="hello"):
    """The first request of a client, with the token that the server may need."""

    version: int = VERSION
    token: str | None = None
    client: str = ""
    """The client's name, for people."""

    def __post_init__(self) -> None:
        _check_ref(self.ref)
        if len(self.client) > MAX_CLIENT or not self.client.isprintable():
            raise InvalidField(f"client: must be at most {MAX_CLIENT} printable characters")


class _Submission(_Request, frozen=True, kw_only=True):
    id: str | None = None
    """The task's id, which makes it safe to submit again. With None the server generates one."""
    kind: str | None = None
    delay: float = 0.0
    """Seconds from now before which the task does not run."""
    retries: int | None = None
    sent: float | None = None
    """The time of sending in seconds since the epoch, by the client's clock."""

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
    """A request to store a task."""

    payload: str = "null"
    """The payload as compact JSON text."""


class SubmitLine(_Submission, frozen=True, kw_only=True, tag="submit"):
    """A `Submit` as a client writes it: the payload is JSON within the line, not text."""

    payload: msgspec.Raw


class _TaskRequest(_Request, frozen=True, kw_only=True):
    id: str

    def __post_init__(self) -> None:
        _check_ref(self.ref)
        if not _is_task_id(self.id):
            raise _wrong_task_id(self.id)


class Status(_TaskRequest, frozen=True, kw_only=True, tag="status"):
    """A request for the state of a task."""


class Result(_TaskRequest, frozen=True, kw_only=True, tag="result"):
    """A request for the outcome of a task."""

    wait: float = 0.0
    """Seconds to wait for the task's end, at most the server's `max_wait`."""

    def __post_init__(self) -> None:
        _TaskRequest.__post_init__(self)
        if not self.wait >= 0:
            raise InvalidField("wait: must not be less than 0 seconds")


class Cancel(_TaskRequest, frozen=True, kw_only=True, tag="cancel"):
    """A request to cancel a task."""


class Stats(_Request, frozen=True, kw_only=True, tag="stats"):
    """A request for the ledger and the processes of the system."""


class Kinds(_Request, frozen=True, kw_only=True, tag="kinds"):
    """A request for the kinds of task that workers have told of."""

    kind: str | None = None
    """The only one; with its schema."""

    def __post_init__(self) -> None:
        _check_ref(self.ref)
        if self.kind is not None and not _is_kind(self.kind):
            raise _wrong_kind(self.kind)


Request: TypeAlias = Hello | Submit | Status | Result | Cancel | Stats | Kinds

_REQUEST_TYPES: Mapping[str, type[Request]] = {
    "hello": Hello,
    "submit": Submit,
    "status": Status,
    "result": Result,
    "cancel": Cancel,
    "stats": Stats,
    "kinds": Kinds,
}


def read(members: dict[str, Json]) -> Request:
    """Make a request from the members of a parsed line. The payload in `members` is replaced by its text.

    Raises:
        InvalidRequest: a field is missing, unknown or wrong.
    """
    try:
        request_type = _REQUEST_TYPES[members["op"]]
    except (KeyError, TypeError):
        raise _unknown_operation(members) from None
    if request_type is Submit and "payload" in members:
        members["payload"] = encode_text(members["payload"])
    try:
        return msgspec.convert(members, request_type)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidField):
            raise InvalidRequest(str(error.__cause__)) from None
        raise _explain(members, request_type) from None


def usable_ref(members: dict[str, Json]) -> Ref | None:
    """Return the `ref` of a request that may be invalid, or None when it has no valid one."""
    ref = members.get("ref")
    if type(ref) is int or (type(ref) is str and len(ref) <= MAX_REF):
        return ref
    return None


def write(request: Hello | SubmitLine | Status | Result | Cancel | Stats | Kinds) -> bytes:
    """Make the line of a request, with its newline.

    Raises:
        LocalProtocolError: a text in it has a lone surrogate.
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
    known = ", ".join(_REQUEST_TYPES)
    if "op" not in members:
        return InvalidRequest(f"op: missing; it must be one of {known}")
    operation = members["op"]
    name = quote(operation) if isinstance(operation, str) else "this value"
    return InvalidRequest(f"op: {name} is not one of {known}")


def _explain(members: dict[str, Json], request_type: type[Request]) -> InvalidRequest:
    """Return the error that names the field for which msgspec refused the members."""
    fields = {field.name: field for field in msgspec.structs.fields(request_type)}
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
