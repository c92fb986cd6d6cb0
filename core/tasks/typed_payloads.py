"""Payloads of typed kinds: those whose function says by an annotation what its payload looks like.

A class with named fields may be a `msgspec.Struct`, a dataclass, a `TypedDict`, a `NamedTuple`, or a model of pydantic
where that is installed; also within lists, dicts, `Annotated` and unions. A payload of such a kind is checked and
converted. Other annotations, such as `str` or `dict`, are for readers only.
"""

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import msgspec

from core import jsontext
from core.errors import TaskDefinitionError, reason_of

MAX_SCHEMA = 64 << 10
"""Characters of the schema of a kind. A longer one is not told."""

Decode: TypeAlias = Callable[[str], object]
"""Reads a payload from its JSON text. Raises `ValueError` with what is wrong, and where."""


def decoder_of(function: Callable[..., object]) -> Decode | None:
    """Return what reads the payloads of a function, or None when it says nothing of them.

    Raises:
        TaskDefinitionError: the annotation can't be resolved, or describes nothing that JSON can hold.
    """
    wanted = _wanted(function)
    if wanted is None or not _contains(wanted, _has_fields):
        return None
    try:
        return _pydantic_decoder(wanted) if _needs_pydantic(wanted) else msgspec.json.Decoder(wanted).decode
    except Exception as error:  # noqa: BLE001 - pydantic has many errors of its own
        reason = reason_of(error).partition("\n")[0]
        raise TaskDefinitionError(f"the annotation of the payload can't be used: {reason}") from None


def schema_of(function: Callable[..., object]) -> str:
    """Return the JSON schema of the payloads of a typed kind as JSON text, or an empty text when it can't be told.

    Args:
        function: a function whose payloads `decoder_of` decodes.
    """
    wanted = _wanted(function)
    try:
        if _needs_pydantic(wanted):
            import pydantic

            schema: object = pydantic.TypeAdapter(cast("type[object]", wanted)).json_schema()
        else:
            schema = msgspec.json.schema(wanted)
        text = jsontext.write(cast("jsontext.Json", schema))
    except Exception:  # noqa: BLE001 - the user's classes may do anything when they are asked, and it is only told
        return ""
    return text if len(text) <= MAX_SCHEMA else ""


def plain(result: object) -> object:
    """Return a result as JSON can hold it, if it is of a class with fields; any other unchanged.

    Raises:
        Exception: a field holds what has no form in JSON.
    """
    if isinstance(result, type) or not _has_fields(type(result)):
        return result
    kind: Any = type(result)
    dump = _pydantic_dump(kind)
    return msgspec.to_builtins(result, str_keys=True) if dump is None else dump(result, mode="json", by_alias=True)


def _wanted(function: Callable[..., object]) -> object | None:
    """Return the resolved annotation of the payload, or None when there is none."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return None
    return _resolve(parameters[0], getattr(function, "__globals__", {}))


def _resolve(parameter: inspect.Parameter, namespace: dict[str, Any]) -> object:
    name = parameter.name
    holder = SimpleNamespace(__annotations__={name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, globalns=namespace, include_extras=True)[name]
    except (ArithmeticError, AttributeError, LookupError, NameError, SyntaxError, TypeError, ValueError) as error:
        raise TaskDefinitionError(f"the annotation of {name} can't be resolved: {error}") from None


def _contains(wanted: object, is_wanted: Callable[[object], bool]) -> bool:
    """Return whether a class, or what it is made of, such as the members of a list or union, is a certain one."""
    wanted = getattr(wanted, "__value__", wanted)  # of a name that was given by a `type` statement
    return is_wanted(typing.get_origin(wanted) or wanted) or any(
        _contains(each, is_wanted) for each in typing.get_args(wanted)
    )


def _has_fields(wanted: object) -> bool:
    if not isinstance(wanted, type):
        return False
    is_named_tuple = issubclass(wanted, tuple) and hasattr(wanted, "_fields")
    is_struct = issubclass(wanted, msgspec.Struct) or _is_of_pydantic(wanted)
    return is_struct or dataclasses.is_dataclass(wanted) or typing.is_typeddict(wanted) or is_named_tuple


@lru_cache(maxsize=1000)
def _pydantic_dump(wanted: Any) -> Callable[..., object] | None:
    """Return what makes JSON values of a class that needs pydantic, or None for another class."""
    if not _needs_pydantic(wanted):
        return None
    import pydantic

    return pydantic.TypeAdapter(wanted).dump_python


def _needs_pydantic(wanted: object) -> bool:
    """Return whether a class of pydantic is wanted, also as the type of a field of a field."""
    if "pydantic" not in sys.modules:  # it is imported if there is such a class
        return False
    seen: set[object] = set()

    def needs(each: object) -> bool:
        if _is_of_pydantic(each):
            return True
        if not _has_fields(each) or each in seen:
            return False
        seen.add(each)
        try:
            hints = typing.get_type_hints(each)
        except Exception:  # noqa: BLE001 - an annotation may be anything, and names what only its module knows
            return False
        return any(_contains(field, needs) for field in hints.values())

    return _contains(wanted, needs)


def _is_of_pydantic(wanted: object) -> bool:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(wanted, type):
        return False
    return issubclass(wanted, pydantic.BaseModel) or hasattr(wanted, "__pydantic_validator__")


def _pydantic_decoder(wanted: object) -> Decode:
    import pydantic

    validate: Decode = pydantic.TypeAdapter(cast("type[object]", wanted)).validate_json

    def decode(text: str) -> object:
        try:
            return validate(text)
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise ValueError("; ".join(f"{each['msg']} - at `{_path(each['loc'])}`" for each in found)) from None

    return decode


def _path(places: tuple[int | str, ...]) -> str:
    """Return a path as msgspec writes it: `$.pages[3].width`."""
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in places)
