"""The fast parser and writer of JSON must agree with the slow ones."""

import enum
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import jsontext
from core.jsontext import MAX_INTEGER, Json, JsonError
from core.protocol.parsing import PAYLOAD_DEPTH, encode_payload, encode_text, parse

QUICK = settings(deadline=None, max_examples=200)

# Few characters, so that names repeat, strings hold colons and quotes, and names look like values.
TEXTS = st.text(st.sampled_from('ab": \\,{}[]\u2028é\x00😀'), max_size=4)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([MAX_INTEGER, -MAX_INTEGER, MAX_INTEGER + 1, -MAX_INTEGER - 1, 0, -0.0, 1e16, 1e22, 5e-324]),
    st.floats(),
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
TOKENS = [
    *'{}[],: \t\r"',
    '"a"',
    '"a":',
    '"b" :',
    '":"',
    '" :"',
    '"\\":"',
    "1",
    "-0",
    "1e400",
    "9007199254740993",
    "nul",
]
TOKENS += [
    "true",
    "NaN",
    "-Infinity",
    "0.5",
    '"\\ud800"',
    '"\\u2028"',
    "\ufeff",
    '{"a":1}',
    '{"a":1,"a":2}',
    "01",
    "\x00",
]


def outcome(line: bytes) -> tuple[str, str]:
    """Return the parsed line as text that shows types and the sign of zero."""
    try:
        return "value", repr(parse(line))
    except JsonError as error:
        return "error", str(error)


def true_outcome(line: bytes) -> tuple[str, str]:
    try:
        return "value", repr(jsontext.parse(line))
    except JsonError as error:
        return "error", str(error)


@QUICK
@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_any_value_is_parsed_as_by_the_slow_parser(value: Json, indent: int | None, ascii_only: bool) -> None:
    line = json.dumps({"op": value}, indent=indent, ensure_ascii=ascii_only).replace("\n", " ").encode()
    assert outcome(line) == true_outcome(line)


@QUICK
@given(st.lists(st.sampled_from(TOKENS), max_size=16))
def test_any_json_like_text_is_parsed_as_by_the_slow_parser(tokens: list[str]) -> None:
    line = "".join(tokens).encode("utf-8")
    assert outcome(line) == true_outcome(line)
    line = b'{"a":' + line + b"}"
    assert outcome(line) == true_outcome(line)


@QUICK
@given(st.binary(max_size=30))
def test_any_bytes_are_parsed_as_by_the_slow_parser(line: bytes) -> None:
    for bytes_within in (line, b'{"a":"' + line + b'"}'):
        assert outcome(bytes_within) == true_outcome(bytes_within)


@QUICK
@given(
    st.lists(st.tuples(TEXTS, st.sampled_from(["1", '"x"', "{}", '{"a":1}'])), max_size=5), st.sampled_from(["", " "])
)
def test_a_duplicate_name_is_always_detected(members: list[tuple[str, str]], space: str) -> None:
    line = "{" + ",".join(f"{json.dumps(name)}{space}:{space}{value}" for name, value in members) + "}"
    names = [name for name, _ in members]
    assert (outcome(line.encode())[0] == "value") == (len(set(names)) == len(names))


@pytest.mark.parametrize(("depth", "taken"), [(31, True), (32, True), (33, False), (2000, False), (100_000, False)])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded(depth: int, taken: bool, begin: str, end: str) -> None:
    inner = begin * (depth - 1) + ("1" if begin != "[" else "") + end * (depth - 1)
    line = f'{{"a":{inner}}}'.encode()
    assert (outcome(line)[0] == "value") == taken


@QUICK
@given(VALUES)
def test_a_payload_is_written_if_and_only_if_a_server_accepts_it(payload: Json) -> None:
    try:
        jsontext.check(payload, PAYLOAD_DEPTH)
    except JsonError:
        with pytest.raises(JsonError):
            encode_payload(payload)
        return
    written = encode_payload(payload)
    assert repr(parse(b'{"a":' + written + b"}")["a"]) == repr(payload)
    assert written.decode() == encode_text(payload) == jsontext.write(payload)


class Colour(enum.StrEnum):
    """A subclass of a string."""

    RED = "red"


class Size(enum.IntEnum):
    """A subclass of an integer."""

    HUGE = 2**60


class Name(str):
    """A string of another type."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("payload", "written"),
    [
        ((1, (2, 3)), b"[1,[2,3]]"),
        ({"c": Colour.RED}, b'{"c":"red"}'),
        (Name("x"), b'"x"'),
        ({Name("x"): 1}, b'{"x":1}'),
        (MAX_INTEGER, b"9007199254740992"),
    ],
)
def test_a_subclass_of_a_json_type_is_written_as_that_type(payload: object, written: bytes) -> None:
    assert encode_payload(payload) == written


LOOP: list[object] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "payload",
    [
        b"bytes", {1: 2}, {None: 1}, {1, 2}, Decimal(1), Size.HUGE, [Size.HUGE], object(), float("nan"), [float("inf")],
        MAX_INTEGER + 1, [-MAX_INTEGER - 1], "\ud800", {"\udfff": 1}, ["\ud800"], LOOP, {"a": bytearray(b"x")},
    ],
)  # fmt: skip
def test_a_type_that_json_lacks_is_refused(payload: object) -> None:
    with pytest.raises(JsonError):
        encode_payload(payload)
