"""What the built-in kinds ask of their payloads.

Each question gives the value back, or raises an `InvalidPayload` that says what is wrong with it.
"""

import math

from core.jsontext import Json
from core.tasks.definition import InvalidPayload

_NAMES = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}


def what(value: Json) -> str:
    """What a JSON value is, in a word or two."""
    return _NAMES.get(type(value), "an object")


def text(value: Json, name: str = "the payload") -> str:
    """The value, if it is text."""
    if not isinstance(value, str):
        raise InvalidPayload(f"{name} must be text, not {what(value)}")
    return value


def number(value: Json, most: float, name: str = "the payload") -> float:
    """The value, if it is a number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidPayload(f"{name} must be a number, not {what(value)}")
    if not (math.isfinite(value) and 0 <= value <= most):
        raise InvalidPayload(f"{name} must be from 0 to {most:,}, not {value}")
    return value


def whole_number(value: Json, most: int, name: str = "the payload") -> int:
    """The value, if it is a whole number from 0 to `most`."""
    found = number(value, most, name)
    if found != int(found):
        raise InvalidPayload(f"{name} must be a whole number, not {value}")
    return int(found)


def member(value: Json, name: str) -> Json:
    """The only member of an object, if it has this name; a value that is no object as it is."""
    if not isinstance(value, dict):
        return value
    if set(value) != {name}:
        found = ", ".join(ascii(key)[:60] for key in list(value)[:5]) or "nothing"
        raise InvalidPayload(f'the payload must be {{"{name}": …}}; it holds {found}')
    return value[name]
