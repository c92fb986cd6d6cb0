"""What runs around tasks: functions at the start and the end of each runner, and around each attempt.

    from core.tasks import around, on_start, on_stop, task

    @on_start
    def open_pool():
        global pool
        pool = connect()

    @on_stop
    def close_pool():
        pool.close()

    @around
    def session(context):
        with Session():
            yield

Each may be `async`. Such a start or stop runs on the event loop of the runner's `async def` tasks. Whatever is around
one of these tasks runs there too. An `async` generator is around these tasks only.
"""

import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from types import FunctionType, ModuleType
from typing import TypeAlias, TypeVar

from core.errors import TaskDefinitionError
from core.tasks.context import TaskContext
from core.tasks.event_loop import Complete

_ATTRIBUTE = "__cauce_lifespan__"
_START, _STOP, _AROUND = "on_start", "on_stop", "around"

Function = TypeVar("Function", bound=Callable[..., object])

Wrapper: TypeAlias = Callable[[TaskContext], AbstractContextManager[None]]
"""Makes what an attempt runs within."""

AsyncWrapper: TypeAlias = Callable[[TaskContext], AbstractAsyncContextManager[None]]
"""Makes what an attempt of an `async def` task runs within."""


def on_start(function: Function) -> Function:
    """Run a function once in each runner, before its first task: to open a pool, to load a model.

    While it fails, the runner does not run, and its worker is not ready; no task is blamed.

    Raises:
        TaskDefinitionError: it is no function without parameters.
    """
    return _mark(function, _START, 0)


def on_stop(function: Function) -> Function:
    """Run a function once in each runner that leaves in good order, after its last task.

    It has five seconds when its worker stops. A runner that is killed, or that dies, does not run it.

    Raises:
        TaskDefinitionError: it is no function without parameters.
    """
    return _mark(function, _STOP, 0)


def around(function: Function) -> Function:
    """Run each attempt of the kinds in a module within a generator function, as `contextlib.contextmanager` does.

    It takes the `TaskContext` and yields once: what comes before runs before the attempt, and what comes after it runs
    after. An exception of the task is raised at the `yield`, and goes on to be raised whatever becomes of it there. An
    exception of its own fails the attempt. Of several, the one that is defined first is the outermost. It is for the
    kinds of each module that defines or imports it.

    Raises:
        TaskDefinitionError: it is no generator function with one parameter.
    """
    return _mark(function, _AROUND, 1)


def start(modules: Iterable[ModuleType], complete: Complete) -> None:
    """Run the functions of modules that are marked with `on_start`, in the order of their definition.

    Args:
        modules: the modules.
        complete: runs those that are `async`.

    Raises:
        BaseException: whatever one of them raises.
    """
    for function in _marked(modules, _START):
        _call(function, complete)


def has_stop(modules: Iterable[ModuleType]) -> bool:
    """Return whether modules have functions that are marked with `on_stop`."""
    return bool(_marked(modules, _STOP))


def stop(modules: Iterable[ModuleType], complete: Complete) -> None:
    """Run the functions of modules that are marked with `on_stop`, the last one first. Their errors are printed.

    Args:
        modules: the modules.
        complete: runs those that are `async`.
    """
    for function in reversed(_marked(modules, _STOP)):
        try:
            _call(function, complete)
        except BaseException:  # noqa: BLE001 - the others run too, and the runner leaves all the same
            traceback.print_exc(file=sys.stderr)


def wrappers_of(function: Callable[..., object]) -> tuple[Wrapper | AsyncWrapper, ...]:
    """Return what the attempts of a task function run within, the outermost first."""
    namespace = getattr(function, "__globals__", {})
    found = [each for each in list(namespace.values()) if _mark_of(each) == _AROUND]
    if not inspect.iscoroutinefunction(function):
        found = [each for each in found if not inspect.isasyncgenfunction(each)]
    return tuple(
        asynccontextmanager(each) if inspect.isasyncgenfunction(each) else contextmanager(each)
        for each in dict.fromkeys(found)
    )


def _call(function: Callable[[], object], complete: Complete) -> None:
    if inspect.iscoroutinefunction(function):
        complete(function)
    else:
        function()


def _marked(modules: Iterable[ModuleType], mark: str) -> Sequence[Callable[[], object]]:
    found = [value for module in modules for value in list(vars(module).values()) if _mark_of(value) == mark]
    return list(dict.fromkeys(found))


def _mark_of(value: object) -> object:
    return vars(value).get(_ATTRIBUTE) if isinstance(value, FunctionType) else None


def _mark(function: Function, mark: str, parameters: int) -> Function:
    if not isinstance(function, FunctionType):
        raise TaskDefinitionError(f"@{mark} goes on a function (def), not on a {type(function).__name__}")
    place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: @{mark}"
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if yields != (mark == _AROUND):
        raise TaskDefinitionError(f"{place}: {function.__name__} must {'' if mark == _AROUND else 'not '}yield")
    required = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
    ]
    if len(required) != parameters or any(each.kind is each.KEYWORD_ONLY for each in required):
        takes = "the context and nothing else" if parameters else "nothing"
        raise TaskDefinitionError(f"{place}: {function.__name__} must take {takes}")
    setattr(function, _ATTRIBUTE, mark)
    return function


def within(wrappers: Sequence[Wrapper | AsyncWrapper], context: TaskContext, call: Callable[[], object]) -> object:
    """Call a function within wrappers. Returns its result.

    Raises:
        BaseException: whatever the function or a wrapper raised.
    """
    if not wrappers:
        return call()
    first, *rest = wrappers
    manager = first(context)
    assert isinstance(manager, AbstractContextManager)  # `wrappers_of` leaves out what is async
    with manager, _kept() as kept:
        return within(rest, context, call)
    raise kept[0]  # the wrapper has swallowed it


async def within_async(
    wrappers: Sequence[Wrapper | AsyncWrapper], context: TaskContext, call: Callable[[], Awaitable[object]]
) -> object:
    """Call an async function within wrappers. Returns its result.

    Raises:
        BaseException: whatever the function or a wrapper raised.
    """
    if not wrappers:
        return await call()
    first, *rest = wrappers
    manager = first(context)
    if isinstance(manager, AbstractAsyncContextManager):
        async with manager:
            with _kept() as kept:
                return await within_async(rest, context, call)
    else:
        with manager, _kept() as kept:
            return await within_async(rest, context, call)
    raise kept[0]  # the wrapper has swallowed it


@contextmanager
def _kept() -> Iterator[list[BaseException]]:
    """Keep the exception that is raised in the block, and raise it."""
    kept: list[BaseException] = []
    try:
        yield kept
    except BaseException as error:
        kept.append(error)
        raise
