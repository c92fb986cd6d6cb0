"""The strict JSON of `core.jsontext`, several times faster for a line that has nothing unusual about it.

msgspec reads the same language as `jsontext.parse` but for three things: names given twice, integers beyond 2^53,
and deep nesting. Those are looked for here; a line that may have one of them, or that msgspec refuses,
is read again by `jsontext.parse`, which decides and finds the words.
"""

import re
from collections.abc import Iterable
from math import isfinite

import msgspec

from core import jsontext
from core.jsontext import MAX_DEPTH, MAX_INTEGER, Json

PAYLOAD_DEPTH = MAX_DEPTH - 1
"""How deep a payload may be nested: the request around it is one level."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_find_names = re.compile(rb'"[ \t\r]*:').findall


class _Unusual(Exception):
    """Not for the quick way."""


def parse(line: bytes) -> Json:
    """Read one JSON value, as `jsontext.parse` does.

    Raises:
        JsonError: it is not JSON, or holds what `jsontext` refuses.
    """
    try:
        value = _decode(line)
        if type(value) is dict and _names_are_unique(line, _count_names(value, MAX_DEPTH)):
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _Unusual):
        pass
    return jsontext.parse(line)


def text_of(value: Json) -> str:
    """Write a value that `parse` returned, or a part of it, as compact JSON."""
    return _encode(value).decode()


def checked_bytes_of(payload: Json) -> bytes:
    """Write a payload as JSON that a server will take.

    Raises:
        JsonError: it is of a type JSON has no word for, or holds what `jsontext` refuses, or is nested too deep.
    """
    try:
        _check_plain((payload,), PAYLOAD_DEPTH + 1)
        return _encode(payload)
    except (TypeError, UnicodeEncodeError, _Unusual):
        jsontext.check(payload, PAYLOAD_DEPTH)
        return jsontext.write(payload).encode()


def _count_names(container: Json, depth: int) -> int:
    """Count the members of all objects in a list or object; give up where something is unusual."""
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
    """Give up unless every value is exactly of a type of JSON: of others msgspec would make something else."""
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
            # The quickest way to make sure that all names are strings: nothing else can be joined.
            "".join(value)
            _check_plain(value.values(), depth - 1)
        elif kind is list:
            _check_plain(value, depth - 1)
        else:
            raise _Unusual


def _names_are_unique(line: bytes, names: int) -> bool:
    """Tell for certain that the line names nothing twice, given how many members came out of it.

    A colon follows each name, so there are at least as many colons as names in the line, and at least as many names
    as members that came out. If the first and the last number are equal, no name was lost.
    The second count leaves out most colons within strings, and never one that follows a name.
    """
    return line.count(b":") == names or len(_find_names(line)) == names
