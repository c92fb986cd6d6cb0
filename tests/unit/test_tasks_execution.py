"""From payload text to result text: the call, and results that can't be stored."""

import datetime
import decimal
import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import jsontext
from core.errors import ResultNotStorable, TaskInterrupted, TaskTimeout
from core.jsontext import MAX_INTEGER, Json
from core.runner.interruption import RunInterruption
from core.tasks import MAX_RESULT, GiveUp, InvalidPayload, TaskContext, TaskDefinition, is_permanent, run, task
from core.tasks.definition import definition_of

CONTEXT = TaskContext(id="t", kind="k", attempt=1, interruption=RunInterruption())


def defined(function: Callable[..., object], **options: Any) -> TaskDefinition:
    definition = definition_of(task("kind", **options)(function))
    assert definition is not None
    return definition


def returning(value: object) -> TaskDefinition:
    return defined(lambda: value)


ECHO = defined(lambda payload: payload)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(JSON)
def test_a_payload_arrives_and_returns_unchanged(value: Json) -> None:
    text = jsontext.write(value)
    seen: list[Json] = []
    result = run(defined(lambda payload: seen.append(payload) or payload), text, CONTEXT)  # type: ignore[func-returns-value]  # append gives None, which is the point
    assert repr(seen[0]) == repr(jsontext.parse(text.encode()))
    assert result == text


def test_a_function_gets_the_arguments_that_it_takes() -> None:
    assert run(defined(lambda: "nothing"), "5", CONTEXT) == '"nothing"'
    assert run(defined(lambda payload: payload + 1), "5", CONTEXT) == "6"
    assert run(defined(lambda payload, context: [payload, context.id]), "5", CONTEXT) == '[5,"t"]'


@pytest.mark.parametrize(
    "text",
    ["", "{", "nul", "NaN", '"\ud800"', '"\\ud800"', "[" * 100_000, "1 2", "\0"],
    ids=["nothing", "open", "half a word", "NaN", "surrogate", "escaped surrogate", "deep", "two values", "NUL"],
)
def test_a_payload_that_is_not_json_fails_for_good_without_a_run(text: str) -> None:
    called: list[object] = []
    definition = defined(lambda payload: called.append(payload))
    with pytest.raises(InvalidPayload, match="stored payload") as caught:
        run(definition, text, CONTEXT)
    assert called == []
    assert is_permanent(definition, caught.value)


def cycle() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def doubled() -> list[object]:
    """2^30 members in 30 lists."""
    value: list[object] = []
    for _ in range(30):
        value = [value, value]
    return value


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a\ud800", "surrogate at character 1"),
        ({"a\udfff": 1}, "surrogate"),
        (2**63, r"2\^53"),
        (-(2**53) - 1, r"2\^53"),
        (10**5000, r"2\^53"),
        (math.nan, "not finite"),
        ([1, {"a": math.inf}], r"not finite, at \[1\]\['a'\]"),
        ("x" * 2_000_000, "too large"),
        (["x" * 10_000] * 200, "too large"),
        ("ñ" * 600_000, "too large"),
        (list(range(600_000)), "too large"),
        (doubled(), "too large"),
        (cycle(), "nested deeper than 32"),
        (nested(40), "nested deeper than 32"),
        (b"raw", "type bytes"),
        ({1, 2}, "type set"),
        (object(), "type object"),
        (
            {"items": [{"when": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)}]},
            r"datetime, at \['items'\]\[0\]\['when'\]",
        ),
        ({1: "a"}, "name of type int"),
        ({"a": {None: 1}}, r"name of type NoneType, at \['a'\]"),
        (decimal.Decimal("1.5"), "type Decimal"),
        (1j, "type complex"),
        (iter([]), "type list_iterator"),
        ({"ñ" * 500: {"\udc00" * 9: b""}}, "surrogate"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) or len(value) > 30 else ascii(value),
)
def test_results_that_cannot_be_stored(value: object, words: str) -> None:
    definition = returning(value)
    with pytest.raises(ResultNotStorable, match=words) as caught:
        run(definition, "null", CONTEXT)
    assert is_permanent(definition, caught.value)
    assert len(str(caught.value).encode()) < 500


def test_a_coroutine_is_closed_so_that_python_does_not_warn_later() -> None:
    result = coroutine()
    with pytest.raises(ResultNotStorable, match="coroutine"):
        run(returning(result), "null", CONTEXT)
    assert inspect.getcoroutinestate(result) == inspect.CORO_CLOSED


@pytest.mark.parametrize(
    "value",
    ["x" * (MAX_RESULT - 2), "ñ" * (MAX_RESULT // 2 - 1), [0] * (MAX_RESULT // 2 - 1), nested(32), (1, 2), True, 2**53],
    ids=["text", "two bytes each", "list", "deep", "tuple", "true", "integer"],
)
def test_results_at_the_limit_are_stored(value: object) -> None:
    text = run(returning(value), "null", CONTEXT)
    assert len(text.encode()) <= MAX_RESULT
    assert jsontext.parse(text.encode()) == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("value", ["x" * (MAX_RESULT - 1), "\n" * (MAX_RESULT // 2)], ids=["text", "escaped"])
def test_results_just_above_the_limit_are_not(value: str) -> None:
    with pytest.raises(ResultNotStorable, match="too large"):
        run(returning(value), "null", CONTEXT)


class Hostile(dict[str, object]):
    """A dictionary that can't be read."""

    def items(self) -> Any:
        """Fail."""
        raise ZeroDivisionError

    def values(self) -> Any:
        """Fail."""
        raise ZeroDivisionError


def test_the_error_for_an_unreadable_result_has_its_cause() -> None:
    with pytest.raises(ResultNotStorable, match="ZeroDivisionError") as caught:
        run(returning(Hostile(a=1)), "null", CONTEXT)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), TaskTimeout("x"), GiveUp("x")])
def test_exceptions_of_a_function_are_passed_on(error: BaseException) -> None:
    def failing() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run(defined(failing), "null", CONTEXT)
    assert caught.value is error


class OtherGiveUp(GiveUp):
    """An exception of a user."""


@pytest.mark.parametrize(
    ("error", "permanent", "expected"),
    [
        (ValueError("x"), (), False),
        (ValueError("x"), (ValueError,), True),
        (UnicodeError("x"), (KeyError, ValueError), True),
        (GiveUp("x"), (), True),
        (OtherGiveUp("x"), (), True),
        (InvalidPayload("x"), (), True),
        (ResultNotStorable("x"), (), True),
        (TaskTimeout("x"), (), False),
        (TaskTimeout("x"), (TaskTimeout,), True),
        (TaskInterrupted("x"), (Exception,), False),
        (SystemExit(1), (Exception,), False),
    ],
)
def test_permanent_failures(error: BaseException, permanent: tuple[type[BaseException], ...], expected: bool) -> None:
    assert is_permanent(defined(lambda: None, permanent=permanent), error) is expected
