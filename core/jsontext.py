"""Strict JSON, at the two places where values of strangers come in: a client's line and a task's result.

It is pure: text and values in, values and text out.
What RFC 8259 leaves to the reader (duplicate names, huge numbers, lone surrogates, deep nesting) is refused here,
so that everything behind this module can be stored in SQLite, printed as JSON again, and shown, without a surprise.
"""

import json
import math
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any
"""A value that JSON can hold: None, bool, int, float, str, list of such, dict of str to such."""

MAX_DEPTH = 32
"""How deep lists and objects may be nested."""

MAX_INTEGER = 2**53
"""Integers beyond plus or minus this are refused: other readers of JSON would round them."""

_MAX_DIGITS = len(str(MAX_INTEGER)) + 1


class JsonError(ValueError):
    """The text is not JSON as this module takes it, or the value can't be written as such; the message says why."""


def parse(line: bytes) -> Json:
    """Read one JSON value from UTF-8 text.

    Raises:
        JsonError: the text is not UTF-8, not JSON, or holds what this module refuses.
    """
    try:
        value = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8: byte {error.start} is {line[error.start]:#04x}") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise JsonError(f"nested deeper than {MAX_DEPTH}") from error
    check(value)
    return value


def write(value: Json) -> str:
    """Write a value as compact JSON.

    Raises:
        JsonError: the value is of a type JSON has no word for, refers to itself, or holds what `parse` would refuse.
    """
    check(value)
    try:
        return _encode(value).decode()
    except TypeError:  # a subclass of one of JSON's types, which the quick encoder doesn't know
        return _ENCODER.encode(value)


def check(value: Json, depth: int = MAX_DEPTH) -> None:
    """Make sure that `value` is one that `parse` could have returned.

    Raises:
        JsonError: it is not; the message says what was found.
    """
    if isinstance(value, str):
        _check_text(value)
    elif value is None or isinstance(value, bool):
        pass
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise JsonError("an integer beyond 2^53")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise JsonError("a number that is not finite")
    else:
        _check_container(value, depth)


def _check_container(value: Json, depth: int) -> None:
    if depth == 0:
        raise JsonError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str):
                raise JsonError(f"an object's name of type {type(name).__name__}")
            _check_text(name)
            check(member, depth - 1)
    elif isinstance(value, list | tuple):
        for member in value:
            check(member, depth - 1)
    else:
        raise JsonError(f"a value of type {type(value).__name__}")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise JsonError(f"a lone surrogate at character {error.start}") from error


def _refuse_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonError("an object names the same member twice")
    return members


def _refuse_constant(name: str) -> None:
    raise JsonError(f"{name} is not JSON")


def _parse_integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise JsonError("an integer beyond 2^53")
    return int(digits)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant, parse_int=_parse_integer
)
_encode = msgspec.json.Encoder().encode
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
