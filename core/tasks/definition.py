"""The `task` decorator, and the definition of a kind that it makes from a function.

`task` checks the function, attaches the definition to it and returns the same function, so that its author can
call and test it as before. Nothing is registered globally: a registry collects the definitions from modules.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import FunctionType, UnionType
from typing import TypeVar, overload

from core import option_parsers
from core.backoff import MAX_FACTOR
from core.errors import TaskDefinitionError, TaskError
from core.identifiers import KIND
from core.model import RetryDelays
from core.tasks.context import TaskContext
from core.tasks.lifespan import AsyncWrapper, Wrapper
from core.tasks.typed_payloads import Decode

MIN_DELAY = 0.01
"""The shortest delay before a retry that a kind may specify, in seconds."""

MAX_DELAY = 7 * 86_400.0
"""The longest delay before a retry, in seconds."""

MIN_MEMORY = 64 << 20
"""The least memory that a kind may have. Python and our modules take about 20 MiB of it."""

_ATTRIBUTE = "__cauce_task__"

Function = TypeVar("Function", bound=Callable[..., object])


class GiveUp(TaskError):
    """An exception with which a task function fails its task at once, because a retry would not help."""


class RetryAfter(TaskError):
    """An exception with which a task function fails its attempt and says when the next one is due.

    It counts as any other failure: when no retries are left, the task has failed.

    Args:
        seconds: the seconds from the end of the attempt to the next one, from 0 to a week.
        message: why, for people.

    Raises:
        ValueError: that is no such number.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        if not (_is_number(seconds, int | float) and 0 <= seconds <= MAX_DELAY):
            raise ValueError(f"RetryAfter takes the seconds until the next attempt, from 0 to a week, not {seconds!r}")
        super().__init__(message or f"the task asked for its next attempt after {seconds:g} seconds")
        self.seconds = float(seconds)


class InvalidPayload(GiveUp):
    """The kind of the task does not accept its payload."""


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A kind of task: its function, and how to run it.

    Attributes:
        kind: the name of the kind.
        function: the function that runs a task.
        arguments: how many arguments the function takes: 0, 1 (the payload) or 2 (the payload and a `TaskContext`).
        retries: how often to retry after a failure; None for the worker's default.
        timeout: the seconds that an attempt may take; None for the worker's default.
        permanent: the exceptions after which a task is not retried, besides `GiveUp`.
        description: the first line of the function's docstring.
        place: the place of the function, as `file:line`.
        isolate: whether each task has a process to itself while it runs.
        memory: the bytes of memory that this process may have; None for no limit.
        delays: how long a failed task waits for its next attempt.
        retry_on: the only exceptions after which a task is retried, besides a time-out; empty for all.
        wrappers: what each attempt runs within, the outermost first. A registry finds them.
        is_async: whether the function is `async`.
        schema: the JSON schema of the payloads of a typed kind; empty for others.
        decode: reads the payloads of a typed kind; None for one that takes any. A registry makes it.
    """

    kind: str
    function: Callable[..., object]
    arguments: int
    retries: int | None
    timeout: float | None
    permanent: tuple[type[BaseException], ...]
    description: str
    place: str
    isolate: bool = False
    memory: int | None = None
    delays: RetryDelays = field(default_factory=RetryDelays)
    retry_on: tuple[type[BaseException], ...] = ()
    wrappers: tuple[Wrapper | AsyncWrapper, ...] = ()
    is_async: bool = False
    schema: str = ""
    decode: Decode | None = None


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
    retry_on: tuple[type[BaseException], ...] = (),
    retry_delay: float | None = None,
    backoff: float = 2.0,
    max_delay: float | None = None,
    isolate: bool = False,
    memory: str | int | None = None,
) -> Callable[[Function], Function]: ...


def task(
    kind: str | Function | None = None,
    /,
    *,
    retries: int | None = None,
    timeout: float | None = None,
    permanent: tuple[type[BaseException], ...] = (),
    retry_on: tuple[type[BaseException], ...] = (),
    retry_delay: float | None = None,
    backoff: float = 2.0,
    max_delay: float | None = None,
    isolate: bool = False,
    memory: str | int | None = None,
) -> Function | Callable[[Function], Function]:
    """Define a kind of task by its function. Returns the same function.

    The function takes the payload (the decoded JSON value), or the payload and a `TaskContext`, or nothing. One that is
    `async` runs on the event loop of its runner.
    A payload that is annotated with a class of fields is checked and converted (`typed_payloads`).
    It returns a value that JSON can represent. A second parameter with a default value gets the context only
    if its name is `context` or its annotation is `TaskContext`.

    Args:
        kind: the name of the kind; the name of the function when omitted.
        retries: how often to retry after a failure; the worker's default when omitted.
        timeout: the seconds that an attempt may take, `math.inf` for no limit; the worker's default, which is an hour
            unless set with `--timeout`, when omitted.
        permanent: exceptions after which a task is not retried. A function can also raise `GiveUp`.
        retry_on: the only exceptions after which a task is retried, besides a time-out; all when omitted.
        retry_delay: the seconds before the first retry, plus or minus a quarter; the worker's default when omitted.
            A function can also raise `RetryAfter`.
        backoff: the factor by which that delay grows with each failure, from 1 to 1,000.
        max_delay: the seconds that the delay has at most; an hour when omitted, or `retry_delay` if that is longer.
        isolate: whether each task has a process to itself while it runs, which is ended soon after its time-out.
        memory: the memory that this process may have, such as "1G"; it implies `isolate`. Beyond it the task fails.

    Raises:
        TaskDefinitionError: the function can't be a task; the message gives the reason and the place.
    """

    def attach(function: Function) -> Function:
        name = kind if isinstance(kind, str) else None
        definition = _define(function, name, retries, timeout, permanent)
        definition = replace(
            definition,
            retry_on=_checked_exceptions(definition, "retry_on", retry_on),
            delays=_read_delays(definition, retry_delay, backoff, max_delay),
        )
        if isolate or memory is not None:
            definition = replace(definition, isolate=True, memory=_read_memory(definition, memory))
        setattr(function, _ATTRIBUTE, definition)
        return function

    if kind is None or isinstance(kind, str):
        return attach
    return attach(kind)


def definition_of(value: object) -> TaskDefinition | None:
    """Return the definition that `task` attached to a function, or None for any other value.

    Raises:
        TaskDefinitionError: another decorator wraps the function, and would be bypassed.
    """
    if not isinstance(value, FunctionType):
        return None
    definition = vars(value).get(_ATTRIBUTE)
    if not isinstance(definition, TaskDefinition):
        return None
    if definition.function is not value:
        raise TaskDefinitionError(
            f"{definition.place}: task {definition.kind!r}: another decorator wraps @task; put @task above it"
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
            f'@task goes on a function (def), as @task, @task() or @task("kind"); not on {_type_of(function)}'
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
        is_async=inspect.iscoroutinefunction(function),
    )


def _checked_exceptions(
    definition: TaskDefinition, name: str, classes: tuple[type[BaseException], ...]
) -> tuple[type[BaseException], ...]:
    if not isinstance(classes, tuple) or not all(_is_exception(item) for item in classes):
        raise _refusal(definition, f"{name} must be a tuple of exception classes, such as (ConnectionError,)")
    return classes


def _read_delays(definition: TaskDefinition, first: float | None, factor: float, longest: float | None) -> RetryDelays:
    for name, value, least, most in (
        ("retry_delay", first, MIN_DELAY, MAX_DELAY),
        ("backoff", factor, 1.0, MAX_FACTOR),
        ("max_delay", longest, MIN_DELAY if first is None else first, MAX_DELAY),
    ):
        if value is not None and not (_is_number(value, int | float) and least <= value <= most):
            raise _refusal(definition, f"{name} must be a number from {least:g} to {most:,.0f}, not {value!r}")
    return RetryDelays(
        None if first is None else float(first), float(factor), None if longest is None else float(longest)
    )


def _refusal(definition: TaskDefinition, reason: str) -> TaskDefinitionError:
    return TaskDefinitionError(f"{definition.place}: task {definition.kind!r}: {reason}")


def _read_memory(definition: TaskDefinition, memory: str | int | None) -> int | None:
    if memory is None:
        return None
    try:
        size = option_parsers.size(str(memory))
    except ValueError as error:
        raise _refusal(definition, f"memory {error}") from None
    if size < MIN_MEMORY:
        least = f"memory must be at least {MIN_MEMORY >> 20}M, since the process and its modules count"
        raise _refusal(definition, least)
    return size


def _type_of(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _check_function(function: FunctionType, name: str | None) -> None:
    if name is None and function.__name__ == "<lambda>":
        raise TaskDefinitionError('a lambda has no name: name the kind, as in task("kind")(lambda …)')
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskDefinitionError("a function with yield can't be a task: return the whole result")
    owner = function.__qualname__.rpartition(".")[0]
    if owner and not owner.endswith(">"):  # not within <locals>, <genexpr> or the like
        raise TaskDefinitionError("a method can't be a task: move it out of its class")
    if _ATTRIBUTE in vars(function):
        raise TaskDefinitionError("the function is marked as a task already")


def _check_options(
    kind: str, retries: int | None, timeout: float | None, permanent: tuple[type[BaseException], ...]
) -> None:
    if not KIND.fullmatch(kind):
        raise TaskDefinitionError("the name of a kind has 1 to 64 letters, digits, and . _ -, and begins with a letter")
    if retries is not None and (not _is_number(retries, int) or retries < 0):
        raise TaskDefinitionError(f"retries must be a whole number from 0 on, not {retries!r}")
    if timeout is not None and not (_is_number(timeout, int | float) and timeout > 0):  # which NaN is not
        raise TaskDefinitionError(f"timeout must be a number of seconds above 0, or math.inf, not {timeout!r}")
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
            raise TaskDefinitionError(
                "*args does not show what it takes: name the parameters, (payload) or (payload, context)"
            )
        return 0
    if _is_context(by_place[0]):
        raise TaskDefinitionError("the context comes second, after the payload")
    wants_context = len(by_place) > 1 and (len(required) > 1 or _is_context(by_place[1]))
    return 2 if wants_context else 1


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    named = isinstance(annotation, str) and annotation.rpartition(".")[2] == TaskContext.__name__
    return parameter.name == "context" or annotation is TaskContext or named
