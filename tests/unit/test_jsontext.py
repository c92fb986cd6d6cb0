"""Strict JSON: what is parsed, what is written, and what is refused."""

import enum
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jsontext import MAX_DEPTH, MAX_INTEGER, Json, JsonError, check, parse, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


def nested(depth: int) -> str:
    """Return nested lists."""
    return "[" * depth + "]" * depth


@given(VALUES)
def test_a_written_value_is_parsed_back(value: Json) -> None:
    written = write(value)
    assert "\n" not in written
    assert parse(written.encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(line: bytes) -> None:
    try:
        value = parse(line)
    except JsonError:
        return
    assert parse(write(value).encode()) == value


@given(st.text(st.sampled_from('[]{},:"0123456789-+.eEtrufalsn \\d8'), max_size=40))
def test_json_like_text_is_parsed_as_by_the_standard_library_or_refused(text: str) -> None:
    try:
        value = parse(text.encode())
    except JsonError:
        return
    assert value == json.loads(text)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"1 2", "not JSON"),
        (b"'a'", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"01", "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b"\xef\xbb\xbf1", "not JSON"),
        ("1".encode("utf-16"), "not UTF-8: byte 0 is 0xff"),
        (b'"\xff"', "not UTF-8: byte 1 is 0xff"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e400", "not finite"),
        (b"9007199254740993", "2^53"),
        (b"-9007199254740993", "2^53"),
        (b"9" * 10_000, "2^53"),
        (nested(MAX_DEPTH + 1).encode(), "nested deeper"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_text_is_refused(line: bytes, reason: str) -> None:
    with pytest.raises(JsonError, match=reason.replace("^", r"\^")):
        parse(line)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b" [1, 2] \r\n", [1, 2]),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\u0000"', "\0"),
        (b"-9007199254740992", -MAX_INTEGER),
        (b"9007199254740992", MAX_INTEGER),
        (b"1e2", 100.0),
        (b"true", True),
    ],
)
def test_a_text_is_parsed(line: bytes, value: Json) -> None:
    assert parse(line) == value


def test_the_deepest_parsed_value_can_be_written() -> None:
    assert write(parse(nested(MAX_DEPTH).encode())) == nested(MAX_DEPTH)


class Number(enum.IntEnum):
    """An integer with a name."""

    ONE = 1


def test_subclasses_of_json_types_are_written_as_json() -> None:
    assert write((1, Number.ONE, "ñ\n\0")) == '[1,1,"ñ\\n\\u0000"]'


def circle() -> Json:
    """Return a list that contains itself."""
    inner: list[Json] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "not finite"),
        ([math.inf], "not finite"),
        (2**53 + 1, "2^53"),
        ({"a": "\udc80"}, "lone surrogate"),
        ({1: 2}, "name of type int"),
        ({"\ud800": 1}, "lone surrogate"),
        (b"bytes", "type bytes"),
        ({"a": {1, 2}}, "type set"),
        (object(), "type object"),
        (circle(), "nested deeper"),
    ],
    ids=["nan", "infinity", "large", "surrogate", "key", "key surrogate", "bytes", "set", "object", "circle"],
)
def test_a_value_is_refused(value: Json, reason: str) -> None:
    for refuse in (write, check):
        with pytest.raises(JsonError, match=reason.replace("^", r"\^")):
            refuse(value)
