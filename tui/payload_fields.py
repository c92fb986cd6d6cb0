"""The fields of a typed kind's payloads, from their JSON schema, and the payload that fields stand for. Pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

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
}


class Field(msgspec.Struct, frozen=True):
    """A field of a payload."""

    name: str
    type: str
    """As JSON schema names it; empty when several are possible, or none is named."""
    is_required: bool
    default: str = ""
    """The default value as a person would type it."""
    choices: tuple[str, ...] = ()
    """The values that are possible, as a person would type them; empty for any."""
    description: str = ""

    def note(self, tr: Translations) -> str:
        """Return what may be typed, for people."""
        if self.choices:
            return " | ".join(display_text.clean(choice, 40) for choice in self.choices)
        return tr(_WORDS.get(self.type, "JSON"))


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
    return tuple(_field(name, _resolved(each, schema), name in names) for name, each in properties.items())


def payload_of_fields(fields: Sequence[Field], texts: Sequence[str], tr: Translations) -> dict[str, Json]:
    """Return the payload that was typed. A field that was left empty, and may be, is left out.

    Args:
        fields: the fields.
        texts: what was typed for each.
        tr: translates the error.

    Raises:
        DraftError: a required field is empty, or a text is no value of its field's type.
    """
    payload: dict[str, Json] = {}
    for field, text in zip(fields, texts, strict=True):
        if text:
            payload[field.name] = _value(field, text, tr)
        elif field.is_required and field.type == "string" and not field.choices:
            payload[field.name] = ""
        elif field.is_required:
            raise DraftError(tr("{name}: this field is required", name=display_text.clean(field.name, 40)))
    return payload


def texts_of(fields: Sequence[Field], payload: Json) -> Sequence[str]:
    """Return what fields show for a payload that was typed before; the defaults when it is no object."""
    known = payload if isinstance(payload, dict) else {}
    return [_text(known[field.name]) if field.name in known else field.default for field in fields]


def _field(name: str, schema: Mapping[str, Json], is_required: bool) -> Field:
    named, choices, description = schema.get("type"), schema.get("enum"), schema.get("description")
    return Field(
        name=name,
        type=named if isinstance(named, str) else "",
        is_required=is_required,
        default=_text(schema["default"]) if schema.get("default") is not None else "",
        choices=tuple(map(_text, choices)) if isinstance(choices, list) else (),
        description=description if isinstance(description, str) else "",
    )


def _resolved(schema: Json, root: Json) -> Mapping[str, Json]:
    """Return a schema, or what it refers to within the same document."""
    found: Json = schema
    for _ in range(_MAX_STEPS):
        reference = found.get("$ref") if isinstance(found, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        found = root
        for step in reference[2:].split("/"):
            found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else jsontext.write(value)


def _value(field: Field, text: str, tr: Translations) -> Json:
    if field.type == "string":
        value: Json = text
    else:
        try:
            value = jsontext.parse(text.strip().encode())
        except (jsontext.JsonError, UnicodeEncodeError):
            value = text if field.choices else None
            if value is None and text.strip() != "null":
                raise _refusal(field, tr) from None
    if field.choices and _text(value) not in field.choices:
        raise _refusal(field, tr)
    if not field.choices and not _fits(value, field.type):
        raise _refusal(field, tr)
    return value


def _fits(value: Json, name: str) -> bool:
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    wanted = types.get(name)
    if wanted is None:
        return True
    return isinstance(value, wanted) and (name == "boolean" or not isinstance(value, bool))


def _refusal(field: Field, tr: Translations) -> DraftError:
    return DraftError(tr("{name}: {what} is needed", name=display_text.clean(field.name, 40), what=field.note(tr)))
