"""What `task` accepts and refuses, and how a registry collects definitions."""

import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any, assert_type

import pytest

from core.errors import TaskDefinitionError, UnknownKind
from core.model import RetryDelays
from core.tasks import Registry, RetryAfter, TaskContext, TaskDefinition, builtin_registry, task
from core.tasks.definition import definition_of
from core.tasks.registry import collect


def defined(function: object) -> TaskDefinition:
    definition = definition_of(function)
    assert definition is not None
    return definition


def module_of(**members: object) -> ModuleType:
    module = ModuleType("orders")
    vars(module).update(members)
    return module


def test_a_task_function_is_the_function_itself_with_its_type() -> None:
    @task("double", retries=2, timeout=5, permanent=(ValueError,))
    def double(payload: int) -> int:
        """Double a number.

        Not shown.
        """
        return 2 * payload

    assert assert_type(double(4), int) == 8
    definition = defined(double)
    assert (definition.kind, definition.retries, definition.timeout) == ("double", 2, 5.0)
    assert definition.permanent == (ValueError,)
    assert definition.description == "Double a number."
    assert definition.function is double
    file, _, line = definition.place.rpartition(":")
    assert file == __file__
    assert int(line) == double.__code__.co_firstlineno


def test_the_kind_is_the_functions_name_when_none_is_given() -> None:
    @task
    def plain(payload: str) -> str:
        return payload

    @task()
    def called(payload: str) -> str:
        return payload

    assert assert_type(plain("a"), str) == "a"
    assert [defined(plain).kind, defined(called).kind] == ["plain", "called"]
    assert (defined(plain).retries, defined(plain).timeout, defined(plain).description) == (None, None, "")
    assert defined(task("short")(lambda payload: payload)).kind == "short"


def nothing() -> None: ...
def payload_only(payload: object) -> None: ...
def payload_by_place(payload: object, /) -> None: ...
def optional_payload(payload: object = None) -> None: ...
def with_option(payload: object, size: int = 3) -> None: ...
def with_words(payload: object, *, size: int = 3, **more: object) -> None: ...
def with_context(payload: object, context: TaskContext) -> None: ...
def any_second(payload: object, other: object) -> None: ...
def optional_context(payload: object, context: TaskContext | None = None) -> None: ...
def typed_context(payload: object, ctx: TaskContext = None) -> None: ...  # type: ignore[assignment]  # as users do


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (nothing, 0),
        (payload_only, 1),
        (payload_by_place, 1),
        (optional_payload, 1),
        (with_option, 1),
        (with_words, 1),
        (with_context, 2),
        (any_second, 2),
        (optional_context, 2),
        (typed_context, 2),
    ],
)
def test_the_arguments_of_a_function_are_read_from_its_signature(function: FunctionType, arguments: int) -> None:
    # A copy, so that the definition does not stay on the function of the table.
    copy = FunctionType(function.__code__, function.__globals__, "copy", function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = function.__annotations__
    assert defined(task("kind")(copy)).arguments == arguments


async def async_generator(payload: object) -> AsyncIterator[int]:
    yield 1


def generator(payload: object) -> Iterator[int]:
    yield 1


def three(payload: object, context: object, more: object) -> None: ...
def needs_word(payload: object, *, size: int) -> None: ...
def any_number(*payloads: object) -> None: ...
def context_first(context: TaskContext) -> None: ...
def context_by_type(payload: TaskContext) -> None: ...
def context_by_text(payload: "TaskContext") -> None: ...


class Owner:
    """Has a method."""

    def method(self, payload: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (async_generator, "yield"),
        (generator, "yield"),
        (three, "must take"),
        (needs_word, "must take"),
        (any_number, r"\*args"),
        (context_first, "comes second"),
        (context_by_type, "comes second"),
        (context_by_text, "comes second"),
        (Owner.method, "method"),
    ],
)
def test_functions_that_cannot_be_tasks_are_refused_with_their_place(
    function: Callable[..., object], words: str
) -> None:
    line = function.__code__.co_firstlineno
    with pytest.raises(TaskDefinitionError, match=rf"test_tasks_definition\.py:{line}: task 'kind': .*{words}"):
        task("kind")(function)


@pytest.mark.parametrize("value", [Owner, Owner(), len, functools.partial(nothing), Owner().method, 5, None])
def test_other_values_than_functions_are_refused(value: Any) -> None:
    with pytest.raises(TaskDefinitionError, match="goes on a function"):
        task("kind")(value)


def test_a_lambda_needs_a_kind() -> None:
    with pytest.raises(TaskDefinitionError, match="lambda has no name"):
        task()(lambda payload: payload)


@pytest.mark.parametrize("kind", ["", "1st", "a b", "ñandú", "a/b", "x" * 65, "a\n", "\ud800", ".a"])
def test_bad_names_of_kinds_are_refused(kind: str) -> None:
    with pytest.raises(TaskDefinitionError, match="name of a kind"):
        task(kind)(lambda payload: payload)


@pytest.mark.parametrize("retries", [-1, 1.5, True, "3"])
def test_bad_retries_are_refused(retries: Any) -> None:
    with pytest.raises(TaskDefinitionError, match="retries"):
        task("kind", retries=retries)(lambda payload: payload)


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, -math.inf, True, "3"])
def test_bad_timeouts_are_refused(timeout: Any) -> None:
    with pytest.raises(TaskDefinitionError, match="timeout"):
        task("kind", timeout=timeout)(lambda payload: payload)


@pytest.mark.parametrize("permanent", [ValueError, [ValueError], (ValueError("x"),), (int,), None])
def test_bad_permanent_exceptions_are_refused(permanent: Any) -> None:
    with pytest.raises(TaskDefinitionError, match="permanent"):
        task("kind", permanent=permanent)(lambda payload: payload)


def test_a_kind_specifies_when_it_is_retried() -> None:
    @task(retry_delay=5, backoff=3, max_delay=60, retry_on=(ConnectionError,))
    def fetch(payload: str) -> str:
        return payload

    assert defined(fetch).delays == RetryDelays(5.0, 3.0, 60.0)
    assert defined(fetch).retry_on == (ConnectionError,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retry_delay": 0}, "retry_delay must be a number from 0.01 to 604,800, not 0"),
        ({"retry_delay": "5"}, "retry_delay must be a number"),
        ({"retry_delay": math.nan}, "retry_delay must be a number"),
        ({"retry_delay": True}, "retry_delay must be a number"),
        ({"backoff": 0.5}, "backoff must be a number from 1 to 1,000"),
        ({"backoff": math.inf}, "backoff must be a number"),
        ({"retry_delay": 60, "max_delay": 30}, "max_delay must be a number from 60 to 604,800, not 30"),
        ({"max_delay": 1e9}, "max_delay must be a number"),
        ({"retry_on": ConnectionError}, "retry_on must be a tuple of exception classes"),
        ({"retry_on": ("ConnectionError",)}, "retry_on must be a tuple of exception classes"),
    ],
)
def test_bad_retry_policies_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TaskDefinitionError, match=words):

        @task("f", **options)
        def f(payload: int) -> int:
            return payload


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "60", None, True, 1e6])
def test_a_retry_is_not_asked_for_at_an_impossible_time(seconds: Any) -> None:
    with pytest.raises(ValueError, match="from 0 to a week"):
        RetryAfter(seconds)


def test_a_kind_with_a_limit_of_memory_is_isolated() -> None:
    @task(memory="1.5G")
    def large(payload: int) -> int:
        return payload

    @task(isolate=True)
    def alone(payload: int) -> int:
        return payload

    assert (defined(large).isolate, defined(large).memory) == (True, 3 << 29)
    assert (defined(alone).isolate, defined(alone).memory) == (True, None)


@pytest.mark.parametrize("memory", ["much", "1M", "", 0, -5, True])
def test_bad_limits_of_memory_are_refused(memory: Any) -> None:
    with pytest.raises(TaskDefinitionError, match=r"test_tasks_definition.py:\d+: task 'f': memory"):

        @task("f", memory=memory)
        def f(payload: int) -> int:
            return payload


def test_a_function_is_decorated_once() -> None:
    with pytest.raises(TaskDefinitionError, match="marked as a task already"):
        task("second")(task("first")(lambda payload: payload))


def test_a_decorator_around_task_is_refused() -> None:
    @task("inner")
    def inner(payload: object) -> object:
        return payload

    @functools.wraps(inner)
    def outer(payload: object) -> object:
        return inner(payload)

    with pytest.raises(TaskDefinitionError, match="put @task above"):
        collect(module_of(outer=outer))


def test_a_decorator_under_task_is_allowed() -> None:
    def inner(payload: object, context: TaskContext) -> object:
        return context

    @task("outer")
    @functools.wraps(inner)
    def outer(*arguments: Any) -> object:
        return inner(*arguments)

    assert defined(outer).arguments == 2


def test_a_registry_collects_only_the_task_functions_of_a_module() -> None:
    first = task("first")(lambda payload: payload)
    module = module_of(first=first, again=first, plain=nothing, number=5, owner=Owner, partial=functools.partial(first))
    assert [definition.kind for definition in Registry(collect(module)).definitions] == ["first"]


def test_a_module_without_tasks_is_an_error_that_names_it() -> None:
    with pytest.raises(TaskDefinitionError, match="orders: no task is defined here"):
        builtin_registry(modules=[module_of(nothing=nothing)])


def test_the_same_function_in_two_modules_is_one_kind() -> None:
    shared = task("shared")(lambda payload: payload)
    registry = builtin_registry(modules=[module_of(shared=shared), module_of(renamed=shared)])
    assert registry.get("shared").function is shared


def test_a_kind_that_is_defined_twice_names_both_places() -> None:
    first = task("twice")(lambda payload: payload)
    second = task("twice")(lambda payload: payload)
    with pytest.raises(TaskDefinitionError) as caught:
        builtin_registry(modules=[module_of(first=first, second=second)])
    assert defined(first).place in str(caught.value)
    assert defined(second).place in str(caught.value)
    assert defined(first).place != defined(second).place


def test_a_built_in_kind_is_not_replaced_silently() -> None:
    with pytest.raises(TaskDefinitionError, match="'echo' is defined twice"):
        builtin_registry(modules=[module_of(mine=task("echo")(lambda payload: payload))])


def test_the_built_in_kinds() -> None:
    plain = builtin_registry()
    assert plain.kinds == ("echo", "primes", "sha256", "simulate", "sleep", "wordcount")
    assert builtin_registry(lab_kinds=True).kinds == tuple(sorted([*plain.kinds, "crash", "fail"]))
    assert all(definition.description for definition in builtin_registry(lab_kinds=True).definitions)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("wordcoutn", "did you mean wordcount"), ("zzz", "knows echo, primes"), ("", "knows"), ("\ud800", "knows")],
)
def test_the_error_for_an_unknown_kind_suggests_similar_names(kind: str, words: str) -> None:
    with pytest.raises(UnknownKind, match=words) as caught:
        builtin_registry().get(kind)
    assert str(caught.value).encode()


def test_a_registry_of_many_kinds_does_not_list_them_all() -> None:
    many = Registry(defined(task(f"kind{n}")(lambda: None)) for n in range(100))
    with pytest.raises(UnknownKind, match="…") as caught:
        many.get("~~~")
    assert len(str(caught.value)) < 300
