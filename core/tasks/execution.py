"""Runs a task function on a payload: JSON text in, JSON text out.

A function runs in the calling thread, and one that is `async` on an event loop. Exceptions are passed on unchanged.
The worker handles them; `is_permanent` shows which are not worth a retry.
"""

import inspect
from types import NoneType

import msgspec

from core import jsontext
from core.errors import ResultNotStorable, TaskCancelled, TaskInterrupted, TaskTimeout, reason_of
from core.jsontext import Json, JsonError
from core.tasks.context import TaskContext
from core.tasks.definition import GiveUp, InvalidPayload, RetryAfter, TaskDefinition
from core.tasks.event_loop import Complete, run_alone
from core.tasks.lifespan import within, within_async
from core.tasks.typed_payloads import plain

MAX_RESULT = 1 << 20
"""The most bytes that a result may have as JSON text in UTF-8."""

_MAX_NODES = MAX_RESULT // 2
"""A list or object with more members needs more than `MAX_RESULT` bytes: each takes at least a digit and a comma."""

_PLAIN = (str, int, float, dict, list, tuple, NoneType)
"""The types of most results."""

_decode = msgspec.json.Decoder().decode


def run(definition: TaskDefinition, payload_json: str, context: TaskContext, complete: Complete = run_alone) -> str:
    """Call the function of a kind. Returns its result as JSON text.

    Args:
        definition: the kind.
        payload_json: the payload as JSON text.
        context: what the function learns of its task.
        complete: runs the coroutine of an `async` function.

    Raises:
        InvalidPayload: the stored payload is not JSON, or not what the kind takes.
        ResultNotStorable: the result is too large, or JSON can't represent it.
        BaseException: any exception that the function, or what it runs within, raised.
    """
    payload = _payload(definition, payload_json)
    if definition.is_async:
        return _encode(complete(lambda: run_async(definition, payload, context)))
    if definition.wrappers:
        return _encode(within(definition.wrappers, context, lambda: _call(definition, payload, context)))
    return _encode(_call(definition, payload, context))


async def run_async(definition: TaskDefinition, payload: object, context: TaskContext) -> object:
    """Await the function of a kind, within what runs around it. Returns its result."""

    async def call() -> object:
        result = _call(definition, payload, context)
        assert inspect.isawaitable(result)
        return await result

    return await within_async(definition.wrappers, context, call)


def _payload(definition: TaskDefinition, text: str) -> object:
    try:
        return _decode(text) if definition.decode is None else definition.decode(text)
    except (ValueError, RecursionError) as error:  # all errors of msgspec and of Unicode are such
        if definition.decode is None:
            raise InvalidPayload(f"the stored payload can't be read as JSON: {error}") from error
        raise InvalidPayload(f"the payload is not what the kind {definition.kind} takes: {error}") from None


def _call(definition: TaskDefinition, payload: object, context: TaskContext) -> object:
    if definition.arguments == 1:
        return definition.function(payload)
    if definition.arguments == 2:
        return definition.function(payload, context)
    return definition.function()


def is_permanent(definition: TaskDefinition, error: BaseException) -> bool:
    """Return whether a retry would not help: the function gave up, or its result can't be stored.

    A `TaskInterrupted` is never permanent, since it is not a failure of the task.
    """
    kind = type(error)
    if issubclass(kind, TaskInterrupted):
        return False
    if issubclass(kind, (GiveUp, ResultNotStorable, *definition.permanent)):
        return True
    return bool(definition.retry_on) and not issubclass(kind, (TaskTimeout, RetryAfter, *definition.retry_on))


def _encode(result: object) -> str:
    try:
        if not isinstance(result, _PLAIN):
            result = _plain(result)
        _refuse_large(result)
        text = jsontext.write(result)
    except JsonError as error:
        if inspect.iscoroutine(result):
            result.close()  # or Python warns later, without a place, that it was never awaited
        raise ResultNotStorable(f"the result can't be stored as JSON: {error}{_where(result)}") from None
    except (ResultNotStorable, TaskTimeout, TaskCancelled):  # the last two come from another thread at any moment
        raise
    except Exception as error:  # subclasses of dict, list, int …, and other threads, can raise anything here
        raise ResultNotStorable(f"the result can't be read: {type(error).__name__} while writing it") from error
    if len(text) > MAX_RESULT // 4 and len(text.encode()) > MAX_RESULT:
        raise _too_large()
    return text


def _plain(result: object) -> object:
    try:
        return plain(result)
    except (TaskTimeout, TaskCancelled):
        raise
    except Exception as error:  # the user's classes can raise anything here
        raise ResultNotStorable(
            f"the result can't be stored as JSON: {type(result).__name__}: {reason_of(error)}"
        ) from error


def _too_large() -> ResultNotStorable:
    return ResultNotStorable(f"the result is too large: more than {MAX_RESULT:,} bytes as JSON text")


def _refuse_large(result: object) -> None:
    """Refuse a result that is far too large before memory and time are spent on encoding it."""
    if isinstance(result, str):
        if len(result) > MAX_RESULT:
            raise _too_large()
    elif isinstance(result, dict | list | tuple):
        _count(result, 0, jsontext.MAX_DEPTH)


def _count(value: object, count: int, depth: int) -> int:
    """Return `count` plus the number of values in `value`. Members of a list that occurs twice count twice."""
    count += 1 + (len(value) // 2 if isinstance(value, str) else 0)
    if count > _MAX_NODES:
        raise _too_large()
    if isinstance(value, dict | list | tuple):
        if depth == 0:
            raise JsonError(f"nested deeper than {jsontext.MAX_DEPTH}")
        for member in value.values() if isinstance(value, dict) else value:
            count = _count(member, count, depth - 1)
    return count


def _where(result: Json) -> str:
    """Return the place of the first value that can't be stored, or an empty string when it is `result` itself."""
    place = ""
    value = result
    for depth in range(jsontext.MAX_DEPTH - 1, -1, -1):
        step = _first_unstorable(value, depth)
        if step is None or len(place) > 200:
            break
        name, value = step
        place += f"[{ascii(name)[:60]}]"
    return f", at {place}" if place else ""


def _first_unstorable(value: Json, depth: int) -> tuple[object, Json] | None:
    members: list[tuple[object, Json]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list | tuple):
        members = list(enumerate(value))
    for name, member in members:
        try:
            jsontext.check(member, depth)
        except JsonError:
            return name, member
    return None
