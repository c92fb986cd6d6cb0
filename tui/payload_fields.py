"""The fields of a typed kind's payloads, from their JSON schema, and the payload that fields stand for. Pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import NoneType

import msgspec

from core import jsontext
from core.jsontext import Json
from tui import display_text
from tui.payloads import DraftError
from tui.translations import Translations

MAX_FIELDS = 40
"""A payload with more has no form."""

_MAX_STEPS = 10
"""References that are followed to find what one stands for."""

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "JSON list",
    "object": "JSON object",
    "null": "null",
}


class Field(msgspec.Struct, frozen=True):
    """A field of a payload."""

    name: str
    types: tuple[str, ...] = ()
    """The types that a value may have, as JSON schema names them; empty when none is named."""
    is_required: bool = False
    default: Json = None
    choices: tuple[Json, ...] = ()
    """The only values that are possible; empty for any."""
    description: str = ""

    def note(self, tr: Translations) -> str:
        """Return what may be typed, for people."""
        if self.choices:
            return " | ".join(display_text.clean(self.text_of(choice), 40) for choice in self.choices)
        return " | ".join(tr(_WORDS.get(each, "JSON")) for each in self.types) or tr("JSON")

    def text_of(self, value: Json) -> str:
        """Return a value as a person types it: a text without quotes, unless it would be taken for another value."""
        if not isinstance(value, str):
            return jsontext.write(value)
        return value if self.read(value) == value else jsontext.write(value)

    def read(self, text: str) -> Json:
        """Return the value that a person has typed.

        Raises:
            ValueError: it is none that the field may have.
        """
        if self.types == ("string",) and not self.choices:
            return text
        try:
            value: Json = jsontext.parse(text.strip().encode())
        except (jsontext.JsonError, UnicodeEncodeError):
            value = text
        for candidate in (text, value):
            if any(type(candidate) is type(choice) and candidate == choice for choice in self.choices):
                return candidate
        if self.choices or not _fits(value, self.types):
            # What is no value of another type is a text, if that may be one.
            if self.choices or not _fits(text, self.types):
                raise ValueError(text)
            return text
        return value


@lru_cache(maxsize=8)
def fields_of_text(schema: str) -> Sequence[Field]:
    """Return the fields of the payloads that a schema describes, given as JSON text; none when it is no JSON."""
    try:
        return fields_of(jsontext.parse(schema.encode()))
    except (jsontext.JsonError, UnicodeEncodeError):
        return ()


def fields_of(schema: Json) -> Sequence[Field]:
    """Return the fields of the payloads that a schema describes; none when they are no objects, or have too many."""
    root = _resolved(schema, schema)
    properties = root.get("properties")
    if not isinstance(properties, dict) or len(properties) > MAX_FIELDS:
        return ()
    required = root.get("required")
    names = set(map(str, required)) if isinstance(required, list) else set()
    return tuple(_field(name, each, schema, is_required=name in names) for name, each in properties.items())


def payload_of_fields(fields: Sequence[Field], texts: Sequence[str], tr: Translations) -> dict[str, Json]:
    """Return the payload that was typed. A field that was left empty, and may be, is left out.

    Args:
        fields: the fields.
        texts: what was typed for each.
        tr: translates the error.

    Raises:
        DraftError: a required field is empty, or a text is no value of its field.
    """
    payload: dict[str, Json] = {}
    for field, text in zip(fields, texts, strict=True):
        if not text and not field.is_required:
            continue
        name = display_text.clean(field.name, 40)
        if not text and field.types != ("string",):
            raise DraftError(tr("{name}: this field is required", name=name))
        try:
            payload[field.name] = field.read(text)
        except ValueError:
            raise DraftError(tr("{name}: {what} is needed", name=name, what=field.note(tr))) from None
    return payload


def texts_of(fields: Sequence[Field], payload: Json) -> Sequence[str]:
    """Return what fields show for a payload that was typed before; the defaults when it is no object."""
    known = payload if isinstance(payload, dict) else {}
    return [
        field.text_of(known[field.name])
        if field.name in known
        else ""
        if field.default is None
        else field.text_of(field.default)
        for field in fields
    ]


def _field(name: str, schema: Json, root: Json, *, is_required: bool) -> Field:
    whole = _resolved(schema, root)
    types: list[str] = []
    choices: list[Json] = []
    has_free_part = False
    for part in _parts(whole, root):
        if part.get("type") == "null" and len(part) == 1:
            types.append("null")
        elif isinstance(listed := part.get("enum", [part["const"]] if "const" in part else None), list):
            choices += listed
        else:
            named = part.get("type")
            has_free_part = True
            types += named if isinstance(named, list) else [named] if isinstance(named, str) else [""]
    description = whole.get("description")
    return Field(
        name=name,
        types=() if "" in types else tuple(dict.fromkeys(map(str, types))),
        is_required=is_required,
        default=whole.get("default"),
        choices=() if has_free_part else (*choices, *([None] if choices and "null" in types else [])),
        description=description if isinstance(description, str) else "",
    )


def _parts(schema: Mapping[str, Json], root: Json) -> Sequence[Mapping[str, Json]]:
    """Return the schemas of which a value fits one."""
    for name in ("anyOf", "oneOf", "allOf"):
        found = schema.get(name)
        if isinstance(found, list) and (name != "allOf" or len(found) == 1):
            return [part for each in found for part in _parts(_resolved(each, root), root)]
    return [schema]


def _resolved(schema: Json, root: Json) -> Mapping[str, Json]:
    """Return a schema, or what it refers to within the same document with what it says besides."""
    found: Json = schema
    besides: dict[str, Json] = {}
    for _ in range(_MAX_STEPS):
        reference = found.get("$ref") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(reference, str) or not reference.startswith("#/"):
            break
        besides = {**{name: value for name, value in found.items() if name != "$ref"}, **besides}
        found = root
        for step in reference[2:].split("/"):
            found = found.get(step) if isinstance(found, dict) else None
    return {**found, **besides} if isinstance(found, dict) else {}


def _fits(value: Json, names: Sequence[str]) -> bool:
    return not names or any(_has_type(value, name) for name in names)


def _has_type(value: Json, name: str) -> bool:
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
        "null": NoneType,
    }
    wanted = types.get(name)
    if wanted is None:
        return True
    return isinstance(value, wanted) and (name == "boolean" or not isinstance(value, bool))
