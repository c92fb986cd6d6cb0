"""The fields of a typed kind in the console, and the payload that they stand for."""

import dataclasses
import enum
import json
from typing import Annotated, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import jsontext
from core.jsontext import Json
from core.tasks.typed_payloads import decoder_of, schema_of
from tui.payload_fields import MAX_FIELDS, Field, fields_of, fields_of_text, payload_of_fields, texts_of
from tui.payloads import DraftError
from tui.translations import Translations

TR = Translations()


class Struct(msgspec.Struct):
    """Has a field of each type."""

    path: str
    size: Annotated[int, msgspec.Meta(description="pixels")]
    mode: Literal["fast", "slow", 3]
    ratio: float = 0.5
    dry: bool = False
    tags: list[str] = msgspec.field(default_factory=list)
    note: str | None = None


@dataclasses.dataclass
class Dataclass:
    """Has a field and a default."""

    path: str
    size: int = 3


class Model(pydantic.BaseModel):
    """Has a field and a default."""

    path: str
    size: int = 3


def struct(_: Struct) -> None:
    """Take one."""


def dataclass(_: Dataclass) -> None:
    """Take one."""


def model(_: Model) -> None:
    """Take one."""


def schema(function: object) -> Json:
    """Return the schema that a worker tells."""
    assert callable(function)
    return jsontext.parse(schema_of(function).encode())


def test_the_fields_of_a_struct() -> None:
    fields = {field.name: field for field in fields_of(schema(struct))}
    assert list(fields) == ["path", "size", "mode", "ratio", "dry", "tags", "note"]
    assert [name for name, field in fields.items() if field.is_required] == ["path", "size", "mode"]
    assert fields["size"].description == "pixels"
    assert set(fields["mode"].choices) == {"fast", "slow", 3}
    assert [fields[name].default for name in ("ratio", "dry", "tags", "note")] == [0.5, False, [], None]
    notes = {name: field.note(TR) for name, field in fields.items()}
    assert notes["path"] == "text"
    assert notes["dry"] == "true or false"
    assert notes["note"] == "text | null"


@pytest.mark.parametrize("function", [dataclass, model])
def test_what_is_typed_for_a_dataclass_or_model_fits_it(function: object) -> None:
    fields = fields_of(schema(function))
    payload = payload_of_fields(fields, ["a.png", "12"], TR)
    assert payload == {"path": "a.png", "size": 12}
    assert callable(function)
    decode = decoder_of(function)
    assert decode is not None
    decode(json.dumps(payload))


def test_what_is_typed_becomes_the_payload() -> None:
    fields = fields_of(schema(struct))
    payload = payload_of_fields(fields, ["5", "5", "3", "", "true", '["a"]', "null"], TR)
    assert payload == {"path": "5", "size": 5, "mode": 3, "dry": True, "tags": ["a"], "note": None}
    assert texts_of(fields, payload) == ["5", "5", "3", "0.5", "true", '["a"]', "null"]
    assert texts_of(fields, "a text")[3:] == ["0.5", "false", "[]", ""]


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        (1, "", "size: this field is required"),
        (1, "5.5", "size: whole number is needed"),
        (1, "true", "size: whole number is needed"),
        (1, "many", "size: whole number is needed"),
        (1, "\ud800", "size: whole number is needed"),
        (2, "", "mode: this field is required"),
        (2, "faster", "mode: fast | slow | 3 is needed"),
        (3, "NaN", "ratio: number is needed"),
        (4, "1", "dry: true or false is needed"),
        (5, "{}", "tags: JSON list is needed"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_its_field(place: int, text: str, words: str) -> None:
    texts = ["a", "5", "fast", "0.5", "false", "[]", "null"]
    texts[place] = text
    with pytest.raises(DraftError) as caught:
        payload_of_fields(fields_of(schema(struct)), texts, TR)
    assert sorted(str(caught.value)) == sorted(words)  # the choices have no order


class Unions(msgspec.Struct):
    """Has fields of several types."""

    name: str | None = "x"
    code: Literal["1", "2", "true"] = "1"
    level: Literal["a", 3] | None = None
    size: int | str = 5


def unions(_: Unions) -> None:
    """Take one."""


def test_a_field_of_several_types_keeps_each_value_as_it_is() -> None:
    fields = fields_of(schema(unions))
    assert next(field.note(TR) for field in fields) == "text | null"
    assert texts_of(fields, None) == ["x", "1", "", "5"]
    for texts, payload in (
        (["hello", "2", "a", "7"], {"name": "hello", "code": "2", "level": "a", "size": 7}),
        (["5", "true", "3", "big"], {"name": "5", "code": "true", "level": 3, "size": "big"}),
        (["null", "1", "null", '"7"'], {"name": None, "code": "1", "level": None, "size": "7"}),
        (['"null"', "", "", ""], {"name": "null"}),
    ):
        assert payload_of_fields(fields, texts, TR) == payload
        shown = texts_of(fields, payload)
        again = payload_of_fields(fields, shown, TR)
        assert {name: again[name] for name in payload} == payload
    with pytest.raises(DraftError):
        payload_of_fields(fields, ["", "3", "", ""], TR)


class Color(enum.Enum):
    """Is one of two."""

    RED = "red"
    TWO = 2


class WithEnum(pydantic.BaseModel):
    """Refers to another definition, and says more of it."""

    color: Color = pydantic.Field(default=Color.RED, description="of the lid")


def with_enum(_: WithEnum) -> None:
    """Take one."""


def test_what_a_field_says_beside_its_definition_counts() -> None:
    [field] = fields_of(schema(with_enum))
    assert (field.choices, field.default, field.description) == (("red", 2), "red", "of the lid")


TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "null": type(None), "array": list}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(TYPES)), min_size=1, unique=True),
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["5", "null", "true", "[1]", '"a"', " 5 "])
    | st.lists(st.integers(0, 9)),
)
def test_what_a_field_shows_of_a_value_is_read_as_that_value(types: list[str], value: Json) -> None:
    if any(type(value) is TYPES[name] for name in types):
        field = Field("a", tuple(types))
        assert field.read(field.text_of(value)) == value


def test_a_required_text_may_be_empty() -> None:
    assert payload_of_fields([Field("a", ("string",), is_required=True)], [""], TR) == {"a": ""}


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "a",
        {},
        {"type": "array"},
        {"properties": []},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"$ref": "http://elsewhere"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"properties": {str(number): {} for number in range(MAX_FIELDS + 1)}},
    ],
)
def test_a_schema_of_something_else_has_no_fields(odd: Json) -> None:
    assert fields_of(odd) == ()


@pytest.mark.parametrize("text", ["", "{", "\ud800", "5", "[]"])
def test_a_text_that_is_no_schema_has_no_fields(text: str) -> None:
    assert fields_of_text(text) == ()


def test_odd_parts_of_a_schema_are_left_out() -> None:
    odd: Json = {
        "required": "a",
        "properties": {"a": {"type": ["string", "null"], "enum": 5, "description": []}, "b": 5},
    }
    assert fields_of(odd) == (Field("a", ("string", "null")), Field("b"))
