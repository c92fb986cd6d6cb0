"""The strict JSON of `core.jsontext`, several times faster for ordinary lines.

msgspec accepts what `jsontext.parse` accepts, except for duplicate names, integers beyond 2^53 and deep nesting.
This module detects those. A line that may have one of them, or that msgspec refuses, is parsed again by
`jsontext.parse`, which decides and makes the error message.
"""

import re
from collections.abc import Iterable
from math import isfinite

import msgspec

from core import jsontext
from core.jsontext import MAX_DEPTH, MAX_INTEGER, Json

PAYLOAD_DEPTH = MAX_DEPTH - 1
"""The largest nesting depth of a payload: the request around it is one level."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_find_names = re.compile(rb'"[ \t\r]*:').findall


class _Unusual(Exception):
    """The value needs the slow, exact check."""


def parse(line: bytes) -> Json:
    """Parse one JSON value, as `jsontext.parse` does.

    Raises:
        JsonError: the line is not strict JSON.
    """
    try:
        value = _decode(line)
        if type(value) is dict and _names_are_unique(line, _count_names(value, MAX_DEPTH)):
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _Unusual):
        pass
    return jsontext.parse(line)


def encode_text(value: Json) -> str:
    """Write a value that `parse` returned, or a part of it, as compact JSON text."""
    return _encode(value).decode()


def encode_payload(payload: Json) -> bytes:
    """Write a payload as JSON that a server accepts.

    Raises:
        JsonError: the payload is of a type that JSON lacks, not strict JSON, or nested too deep.
    """
    try:
        _check_plain((payload,), PAYLOAD_DEPTH + 1)
        return _encode(payload)
    except (TypeError, UnicodeEncodeError, _Unusual):
        jsontext.check(payload, PAYLOAD_DEPTH)
        return jsontext.write(payload).encode()


def _count_names(container: Json, depth: int) -> int:
    """Count the members of all objects in a list or object. Raises `_Unusual` when the slow check is needed."""
    names = 0
    values = container
    if type(container) is dict:
        names = len(container)
        values = container.values()
    for value in values:
        kind = type(value)
        if kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise _Unusual
        elif kind is dict or kind is list:
            if depth == 1:
                raise _Unusual
            names += _count_names(value, depth - 1)
    return names


def _check_plain(values: Iterable[Json], depth: int) -> None:
    """Raise `_Unusual` unless every value is exactly of a JSON type: msgspec would convert others."""
    for value in values:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int and -MAX_INTEGER <= value <= MAX_INTEGER:
            continue
        if kind is float and isfinite(value):
            continue
        if depth == 1:
            raise _Unusual
        if kind is dict:
            # The fastest check that all names are strings: nothing else can be joined.
            "".join(value)
            _check_plain(value.values(), depth - 1)
        elif kind is list:
            _check_plain(value, depth - 1)
        else:
            raise _Unusual


def _names_are_unique(line: bytes, names: int) -> bool:
    """Return True only if no object in the line has a duplicate name, given the number of parsed members.

    A colon follows each name, so the line has at least as many colons as names, and at least as many names as parsed
    members. If the first and the last number are equal, no name is a duplicate.
    The second count leaves out most colons within strings, and never one that follows a name.
    """
    return line.count(b":") == names or len(_find_names(line)) == names
