"""What may be marked as a part of a runner's life, and what runs around an attempt."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from core.errors import TaskDefinitionError
from core.runner.interruption import RunInterruption
from core.tasks import TaskContext, around, on_start, on_stop
from core.tasks.lifespan import within

CONTEXT = TaskContext(id="t", kind="k", attempt=1, interruption=RunInterruption())


def nothing() -> None:
    """Do nothing."""


def one(_: object) -> None:
    """Take something."""


def yields(_: object) -> Iterator[None]:
    """Yield once."""
    yield


def yields_for_nothing() -> Iterator[None]:
    """Take nothing."""
    yield


async def yields_on_a_loop() -> AsyncIterator[None]:
    """Take nothing."""
    yield


@pytest.mark.parametrize(
    ("mark", "function", "words"),
    [
        (on_start, one, "@on_start: one must take nothing"),
        (on_stop, yields_for_nothing, "@on_stop: yields_for_nothing must not yield"),
        (on_start, yields_on_a_loop, "@on_start: yields_on_a_loop must not yield"),
        (around, yields_on_a_loop, "must take the context and nothing else"),
        (on_start, len, "@on_start goes on a function"),
        (around, nothing, "@around: nothing must yield"),
        (around, yields_for_nothing, "must take the context and nothing else"),
        (around, Exception, "@around goes on a function"),
    ],
)
def test_what_can_not_be_marked_is_refused(mark: Callable[[Any], Any], function: object, words: str) -> None:
    with pytest.raises(TaskDefinitionError, match=words):
        mark(function)


def wrapper(said: list[str], name: str) -> Callable[[TaskContext], AbstractContextManager[None]]:
    """Make a wrapper that swallows every exception."""

    @contextmanager
    def wrap(context: TaskContext) -> Iterator[None]:
        said.append(f"{name} {context.id}")
        try:
            yield
        except ValueError as error:
            said.append(f"{name} saw {error}")

    return wrap


def test_wrappers_nest_and_the_error_of_a_task_stays() -> None:
    said: list[str] = []
    error = ValueError("mine")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        within([wrapper(said, "outer"), wrapper(said, "inner")], CONTEXT, fail)
    assert caught.value is error
    assert said == ["outer t", "inner t", "inner saw mine", "outer saw mine"]
    assert within([wrapper(said, "outer")], CONTEXT, lambda: 5) == 5
    assert within([], CONTEXT, lambda: 6) == 6


def test_an_error_of_a_wrapper_is_the_errors_of_the_attempt() -> None:
    @contextmanager
    def broken(_: TaskContext) -> Iterator[None]:
        yield
        raise OSError("no session")

    with pytest.raises(OSError, match="no session"):
        within([broken], CONTEXT, lambda: 5)
