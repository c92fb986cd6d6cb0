"""Strict JSON for untrusted values: a client's line and a task's result. Pure.

RFC 8259 leaves duplicate names, huge numbers, lone surrogates and deep nesting to the reader. They are refused here,
so that every value behind this module can be stored in SQLite, written as JSON again, and displayed.
"""

import json
import math
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any
"""A value that JSON can hold: None, bool, int, float, str, list of such, dict of str to such."""

MAX_DEPTH = 32
"""The largest nesting depth of lists and objects."""

MAX_INTEGER = 2**53
"""The largest absolute value of an integer: other readers of JSON would round a larger one."""

_MAX_DIGITS = len(str(MAX_INTEGER)) + 1


class JsonError(ValueError):
    """The text or the value is not strict JSON; the message gives the reason."""


def parse(line: bytes) -> Json:
    """Parse one JSON value from UTF-8 text.

    Raises:
        JsonError: the text is not UTF-8, not JSON, or not strict.
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
        JsonError: the value is of a type that JSON lacks, contains itself, or is one that `parse` would refuse.
    """
    check(value)
    try:
        return _encode(value).decode()
    except TypeError:  # a subclass of one of JSON's types, which the fast encoder refuses
        return _ENCODER.encode(value)


def check(value: Json, depth: int = MAX_DEPTH) -> None:
    """Check that `parse` could have returned the value.

    Raises:
        JsonError: the value is one that `parse` would refuse.
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
