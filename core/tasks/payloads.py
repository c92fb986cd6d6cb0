"""Checks of payloads for the built-in kinds.

Each check returns the value, or raises an `InvalidPayload` whose message explains what is wrong with it.
"""

import math

from core.jsontext import Json
from core.tasks.definition import InvalidPayload

_NAMES = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}


def type_name(value: Json) -> str:
    """Return the type of a JSON value, as messages name it."""
    return _NAMES.get(type(value), "an object")


def text(value: Json, name: str = "the payload") -> str:
    """Return the value if it is text."""
    if not isinstance(value, str):
        raise InvalidPayload(f"{name} must be text, not {type_name(value)}")
    return value


def number(value: Json, maximum: float, name: str = "the payload") -> float:
    """Return the value if it is a number from 0 to `maximum`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidPayload(f"{name} must be a number, not {type_name(value)}")
    if not (math.isfinite(value) and 0 <= value <= maximum):
        raise InvalidPayload(f"{name} must be from 0 to {maximum:,}, not {value}")
    return value


def whole_number(value: Json, maximum: int, name: str = "the payload") -> int:
    """Return the value if it is a whole number from 0 to `maximum`."""
    found = number(value, maximum, name)
    if found != int(found):
        raise InvalidPayload(f"{name} must be a whole number, not {value}")
    return int(found)


def member(value: Json, name: str) -> Json:
    """Return the only member of an object if it has this name, or a value that is not an object unchanged."""
    if not isinstance(value, dict):
        return value
    if set(value) != {name}:
        found = ", ".join(ascii(key)[:60] for key in list(value)[:5]) or "nothing"
        raise InvalidPayload(f'the payload must be {{"{name}": …}}; it has {found}')
    return value[name]
