"""A task's definition, and the decorator that makes one of a function.

`task` only marks: it checks what can be checked, hangs the definition on the function and gives the same function
back, so that its author can call and test it as before. Nothing is entered anywhere; a registry collects the marks.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, UnionType
from typing import TypeVar, overload

from core.errors import TaskDefinitionError, TaskError
from core.identifiers import KIND
from core.tasks.context import TaskContext

_MARK = "__cauce_task__"

Function = TypeVar("Function", bound=Callable[..., object])


class GiveUp(TaskError):
    """A task function raises this, or a subclass of it, when trying again would not help: the task fails at once."""


class InvalidPayload(GiveUp):
    """The payload is not what this kind of task takes."""


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """One kind of task: its function, and how it is to be run."""

    kind: str
    function: Callable[..., object]
    arguments: int
    """What the function takes: 0 nothing, 1 the payload, 2 the payload and a `TaskContext`."""
    retries: int | None
    """How often a failure is tried again; None for the worker's default."""
    timeout: float | None
    """How many seconds an attempt may take; None for the worker's default."""
    permanent: tuple[type[BaseException], ...]
    """Exceptions after which it is not tried again, besides `GiveUp`."""
    description: str
    """The first line of the function's docstring."""
    place: str
    """Where the function is, `file:line`."""


@overload
def task(kind: Function, /) -> Function: ...


@overload
def task(
    kind: str | None = None,
    /,
    *,
    retries: int | None = None,
    timeout: float | None = None,
    permanent: tuple[type[BaseException], ...] = (),
) -> Callable[[Function], Function]: ...


def task(
    kind: str | Function | None = None,
    /,
    *,
    retries: int | None = None,
    timeout: float | None = None,
    permanent: tuple[type[BaseException], ...] = (),
) -> Function | Callable[[Function], Function]:
    """Mark a function as a kind of task.

    The function takes the payload (the decoded JSON value), the payload and a `TaskContext`, or nothing,
    and returns what JSON can hold. A second parameter with a default is left alone unless it is called `context`.

    Args:
        kind: the name of the kind; the function's own name when left out.
        retries: how often a failure is tried again; the worker's default when None.
        timeout: how many seconds an attempt may take; the worker's default when None.
        permanent: exceptions after which it is not tried again. A function can also raise `GiveUp`.

    Raises:
        TaskDefinitionError: it can't be a task; the message says why and where.
    """

    def mark(function: Function) -> Function:
        name = kind if isinstance(kind, str) else None
        definition = _define(function, name, retries, timeout, permanent)
        setattr(function, _MARK, definition)
        return function

    if kind is None or isinstance(kind, str):
        return mark
    return mark(kind)


def definition_of(value: object) -> TaskDefinition | None:
    """The definition that `task` hung on a function; None for whatever else.

    Raises:
        TaskDefinitionError: another decorator was put around the marked function, so that it would be passed by.
    """
    if not isinstance(value, FunctionType):
        return None
    definition = vars(value).get(_MARK)
    if not isinstance(definition, TaskDefinition):
        return None
    if definition.function is not value:
        raise TaskDefinitionError(
            f"{definition.place}: task {definition.kind!r}: another decorator is around @task; put @task above it"
        )
    return definition


def _define(
    function: object,
    name: str | None,
    retries: int | None,
    timeout: float | None,
    permanent: tuple[type[BaseException], ...],
) -> TaskDefinition:
    if not isinstance(function, FunctionType):
        raise TaskDefinitionError(
            f'@task goes on a function (def), as @task, @task() or @task("kind"); not on {_kind_of(function)}'
        )
    place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    kind = function.__name__ if name is None else name
    try:
        _check_function(function, name)
        _check_options(kind, retries, timeout, permanent)
        arguments = _count_arguments(function)
    except TaskDefinitionError as error:
        raise TaskDefinitionError(f"{place}: task {kind!r}: {error}") from None
    return TaskDefinition(
        kind=kind,
        function=function,
        arguments=arguments,
        retries=retries,
        timeout=None if timeout is None else float(timeout),
        permanent=permanent,
        description=(inspect.getdoc(function) or "").partition("\n")[0],
        place=place,
    )


def _kind_of(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _check_function(function: FunctionType, name: str | None) -> None:
    if name is None and function.__name__ == "<lambda>":
        raise TaskDefinitionError('a lambda has no name: give the kind one, as in task("kind")(lambda …)')
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TaskDefinitionError("an async function can't be a task: each task runs in a thread of its own")
    if inspect.isgeneratorfunction(function):
        raise TaskDefinitionError("a function with yield can't be a task: return the whole result")
    owner = function.__qualname__.rpartition(".")[0]
    if owner and not owner.endswith(">"):  # neither in a function's <locals> nor in a <genexpr> or the like
        raise TaskDefinitionError("a method can't be a task: move it out of its class")
    if _MARK in vars(function):
        raise TaskDefinitionError("the function is marked as a task already")


def _check_options(
    kind: str, retries: int | None, timeout: float | None, permanent: tuple[type[BaseException], ...]
) -> None:
    if not KIND.fullmatch(kind):
        raise TaskDefinitionError("the name of a kind is 1 to 64 letters, digits, and . _ -, beginning with a letter")
    if retries is not None and (not _is_number(retries, int) or retries < 0):
        raise TaskDefinitionError(f"retries must be a whole number from 0 on, not {retries!r}")
    if timeout is not None and not (_is_number(timeout, int | float) and 0 < timeout < math.inf):
        raise TaskDefinitionError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    if not isinstance(permanent, tuple) or not all(_is_exception(item) for item in permanent):
        raise TaskDefinitionError("permanent must be a tuple of exception classes, such as (ValueError,)")


def _is_number(value: object, numbers: type | UnionType) -> bool:
    return isinstance(value, numbers) and not isinstance(value, bool)


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _count_arguments(function: FunctionType) -> int:
    parameters = list(inspect.signature(function).parameters.values())
    by_place = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    required = [p for p in by_place if p.default is p.empty]
    if len(required) > 2 or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise TaskDefinitionError("it must take (payload), (payload, context) or nothing")
    if not by_place:
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            raise TaskDefinitionError("*args doesn't tell what it takes: name them (payload) or (payload, context)")
        return 0
    if _is_context(by_place[0]):
        raise TaskDefinitionError("the context comes second, after the payload")
    wants_context = len(by_place) > 1 and (len(required) > 1 or _is_context(by_place[1]))
    return 2 if wants_context else 1


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    named = isinstance(annotation, str) and annotation.rpartition(".")[2] == TaskContext.__name__
    return parameter.name == "context" or annotation is TaskContext or named
