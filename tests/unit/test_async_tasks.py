"""The `async def` tasks of a runner: on one loop, cancelled as asyncio cancels, and noticed when they block it."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from core.begun_slots import SIZE, BegunSlots
from core.errors import TaskCancelled, TaskFailed, TaskTimeout
from core.jsontext import Json
from core.runner import loop_watch, stacks, task_threads
from core.runner.frames import Ended, Interrupted, LoopBlocked, Run, StackTaken, ToWorker
from core.runner.interruption import CallInterruption
from core.runner.task_threads import TaskThreads
from core.tasks import TaskContext, builtin_registry, lifespan, load, on_start, on_stop, task
from core.tasks.event_loop import EventLoop, LoopCall
from core.testing import run_here
from tests.services.waiting import wait_until

MODULE = ModuleType("async_kinds")


class Shared:
    """What the kinds and a test share."""

    def __init__(self) -> None:
        self.begun: list[Json] = []
        self.said: list[str] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.left: asyncio.Task[None] | None = None
        """What a task has left on the loop."""

    def clear(self) -> None:
        """Begin anew."""
        self.begun.clear()
        self.said.clear()
        self.threads.clear()
        self.go.clear()

    async def until_go(self) -> None:
        """Wait for the test, beside others."""
        while not self.go.is_set():
            await asyncio.sleep(0.002)


shared = Shared()


@on_start
async def opens() -> None:
    """Note the loop."""
    shared.said.append("start")
    shared.threads.add(threading.get_ident())


@on_stop
async def closes() -> None:
    """Note the loop."""
    shared.said.append("stop")
    shared.threads.add(threading.get_ident())


@task
async def held(payload: Json) -> Json:
    """Wait for the test."""
    shared.begun.append(payload)
    shared.threads.add(threading.get_ident())
    await shared.until_go()
    return payload


@task(timeout=0.05)
async def late(payload: Json) -> None:
    """Wait for ever, and tidy up for longer than it takes to ask a second time."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(2 * task_threads.CHECK_INTERVAL)
        shared.said.append(f"{payload} is tidy")


@task(timeout=0.05)
async def catches(payload: Json) -> Json:
    """Return all the same."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return payload


@task
async def raises(payload: str) -> None:
    """Raise something."""
    await asyncio.sleep(0)
    raise {"exit": SystemExit(3), "keyboard": KeyboardInterrupt(), "own": asyncio.CancelledError("mine")}[payload]


@task
async def stops_the_loop() -> str:
    """Stop the loop."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "goes on"


@task
async def leaves_a_task() -> str:
    """Start something that raises what ends a loop."""

    async def leave() -> None:
        raise SystemExit(4)

    shared.left = asyncio.create_task(leave())
    return "left"


@task
async def blocks(payload: Json) -> Json:
    """Keep the loop to itself."""
    shared.begun.append(payload)
    while not shared.go.is_set():
        time.sleep(0.001)
    return payload


@task
async def waits_as_a_function(_: Json, context: TaskContext) -> None:
    """Wait where it must not."""
    context.wait(1)


@task
async def waits_in_a_thread(_: Json, context: TaskContext) -> Json:
    """Wait where it may."""
    await asyncio.to_thread(context.wait, 0.001)
    return context.id


@task
async def deep(payload: Json) -> Json:
    """Wait in a function that it awaits."""

    async def inner() -> None:
        await shared.until_go()

    shared.begun.append(payload)
    await inner()
    return payload


@task
async def forks() -> Json:
    """Return in a child of this process too."""
    child = os.fork()
    if child == 0:
        return None
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@task
async def forks_and_fails() -> Json:
    """Raise in a child of this process."""
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


for kind in (
    held, late, catches, raises, stops_the_loop, leaves_a_task, blocks, waits_as_a_function, waits_in_a_thread, deep,
    forks, forks_and_fails, opens, closes,
):  # fmt: skip
    setattr(MODULE, kind.__name__, kind)


class Bench:
    """The threads of a runner with these kinds."""

    def __init__(self, count: int) -> None:
        self.reports: list[ToWorker] = []
        self.loop = EventLoop()
        self.threads = TaskThreads(
            count, builtin_registry(modules=[MODULE]), None, None, self.loop, self.reports.append
        )
        self.threads.start(BegunSlots(bytearray(SIZE)))

    def add(self, slot: int, kind: str, payload: str = "null") -> None:
        """Add a task to run."""
        self.threads.add(Run(slot, f"t{slot}", kind, payload, 1))

    def end(self, slot: int) -> Ended:
        """Wait for the outcome of a task, and return it."""
        wait_until(lambda: slot in self.ended(), f"the outcome of {slot}")
        return self.ended()[slot]

    def ended(self) -> dict[int, Ended]:
        """Return all outcomes, by slot."""
        return {report.slot: report for report in list(self.reports) if isinstance(report, Ended)}

    def close(self) -> None:
        """Stop the threads."""
        shared.go.set()
        self.threads.stop()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Four threads."""
    shared.clear()
    made = Bench(4)
    yield made
    made.close()


def failure_of(ended: Ended) -> tuple[str, str]:
    """Return type and message of a failure."""
    assert ended.failure is not None
    return ended.failure.type, ended.failure.message


def test_async_tasks_run_at_once_on_one_loop_with_start_and_stop(bench: Bench) -> None:
    lifespan.start([MODULE], bench.loop.run)
    for slot in range(4):
        bench.add(slot, "held", str(slot))
    wait_until(lambda: len(shared.begun) == 4, "four tasks at once")
    shared.go.set()
    assert [bench.end(slot).result for slot in range(4)] == ["0", "1", "2", "3"]
    lifespan.stop([MODULE], bench.loop.run)
    assert shared.said == ["start", "stop"]
    assert shared.threads == {bench.loop.thread}


def test_a_late_task_is_cancelled_once_and_fails_with_its_place(bench: Bench) -> None:
    bench.add(1, "late", '"t1"')
    ended = bench.end(1)
    assert failure_of(ended) == ("TaskTimeout", "the task ran longer than its time-out allows")
    assert ended.failure is not None
    assert "in late" in ended.failure.traceback
    assert not [line for line in ended.failure.traceback.splitlines() if "/core/" in line]
    assert shared.said == ["t1 is tidy"]
    bench.add(2, "catches", "2")
    assert bench.end(2).result == "2"


def test_a_cancelled_and_an_interrupted_task_stop_where_they_wait(bench: Bench) -> None:
    bench.add(1, "held", "1")
    bench.add(2, "held", "2")
    wait_until(lambda: len(shared.begun) == 2, "two tasks")
    bench.threads.cancel(1)
    assert failure_of(bench.end(1)) == ("TaskCancelled", task_threads.CANCELLED)
    bench.threads.interrupt()
    wait_until(lambda: Interrupted(2) in bench.reports, "the interruption")


def test_a_task_that_was_cancelled_before_it_begins_does_not_begin(bench: Bench) -> None:
    bench.add(0, "blocks", "0")  # so that the next one can't begin
    wait_until(lambda: shared.begun == [0], "the loop to be blocked")
    bench.add(1, "held", "1")
    wait_until(lambda: any(slot.run is not None and slot.run.request.slot == 1 for slot in slots(bench)), "the task")
    bench.threads.cancel(1)
    shared.go.set()
    assert failure_of(bench.end(1)) == ("TaskCancelled", task_threads.CANCELLED)
    assert shared.begun == [0]


def slots(bench: Bench) -> list[task_threads.ThreadSlot]:
    """Return the places of the threads."""
    found: list[task_threads.ThreadSlot] = vars(bench.threads)["_slots"]
    return found


def test_whatever_a_task_does_to_the_loop_costs_only_itself(bench: Bench) -> None:
    for slot, payload in enumerate(("exit", "keyboard", "own")):
        bench.add(slot, "raises", f'"{payload}"')
    assert failure_of(bench.end(0)) == ("SystemExit", "3")
    assert failure_of(bench.end(1))[0] == "KeyboardInterrupt"
    assert failure_of(bench.end(2)) == ("CancelledError", "mine")
    bench.add(4, "stops_the_loop")
    assert bench.end(4).result == '"goes on"'
    bench.add(5, "leaves_a_task")
    assert bench.end(5).result == '"left"'
    bench.add(6, "held", "6")
    shared.go.set()
    assert bench.end(6).result == "6"
    assert shared.left is not None
    assert isinstance(shared.left.exception(), SystemExit)  # or asyncio logs that nobody has asked


def test_the_context_waits_only_where_it_blocks_no_loop(bench: Bench) -> None:
    bench.add(1, "waits_as_a_function")
    kind, message = failure_of(bench.end(1))
    assert (kind, "await asyncio.sleep" in message) == ("RuntimeError", True)
    bench.add(2, "waits_in_a_thread")
    assert bench.end(2).result == '"t2"'


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_ends_where_the_task_returns_in_it(bench: Bench) -> None:
    bench.add(1, "forks")
    assert bench.end(1).result == "0"
    bench.add(2, "forks_and_fails")
    assert bench.end(2).result == "1"


def test_a_blocked_loop_is_noticed_and_named_and_no_longer_when_it_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "BLOCKED_AFTER", 0.3)
    monkeypatch.setattr(task_threads, "REST_INTERVAL", 0.02)
    bench.add(1, "blocks", "1")
    told: list[LoopBlocked] = []

    def is_told(count: int) -> bool:
        told[:] = [each for each in list(bench.reports) if isinstance(each, LoopBlocked)]
        return len(told) >= count

    wait_until(lambda: is_told(1), "the alarm")
    assert told[0].id == "t1"
    assert "in blocks\n" in told[0].stack
    assert "/core/" not in told[0].stack
    bench.add(2, "held", "2")
    shared.go.set()
    bench.end(2)
    bench.add(3, "held", "3")
    wait_until(lambda: is_told(2), "the end of the alarm")
    assert told[1] == LoopBlocked("", "")


def test_the_stack_of_a_coroutine_shows_what_it_waits_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "AFTER", 0.01)
    monkeypatch.setattr(task_threads, "REST_INTERVAL", 0.02)
    bench.add(1, "deep", "1")

    def taken() -> list[str]:
        return [each.stack.text for each in list(bench.reports) if isinstance(each, StackTaken)]

    wait_until(lambda: bool(taken()), "the stack")
    names = [line.rpartition(", in ")[2] for line in taken()[0].splitlines() if line.startswith("  File")]
    assert names[:3] == ["deep", "deep.<locals>.inner", "Shared.until_go"]


WRAPPED = """
import asyncio
from contextvars import ContextVar
from core.tasks import around, task

said, request = [], ContextVar("request", default="nobody")

@around
def plain(context):
    request.set(context.id)
    yield
    said.append("plain is over")

@around
async def waiting(context):
    said.append(f"waiting around {request.get()}")
    await asyncio.sleep(0)
    try:
        yield
    except ValueError as error:
        said.append(f"saw {error}")

@task
async def fails():
    raise ValueError(request.get())

@task
async def returns():
    return await asyncio.to_thread(request.get)

@task
def function():
    return request.get()
"""


def test_wrappers_run_on_the_loop_and_give_the_task_their_variables(tmp_path: Path) -> None:
    file = tmp_path / "wrapped_kinds.py"
    file.write_text(WRAPPED)
    module = load(str(file))
    with run_here(module, retries=0) as system:
        with pytest.raises(TaskFailed, match="one"):
            system.submit("fails", id="one").result()
        assert module.said == ["waiting around one", "saw one"]
        assert system.submit("returns", id="two").result() == "two"
        assert module.said[2:] == ["waiting around two", "plain is over"]
        assert system.submit("function", id="three").result() == "three"
        assert module.said[4:] == ["plain is over"]


def test_a_loop_that_can_not_be_made_is_an_error_of_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> NoReturn:
        raise OSError("no loop")

    monkeypatch.setattr(asyncio, "Runner", refuse)
    deaths: list[None] = []
    loop = EventLoop(lambda: deaths.append(None))
    for _ in range(2):
        with pytest.raises(OSError, match="no loop"):
            loop.run(shared.until_go)
    assert deaths == [None]
    loop.close()


def test_a_loop_whose_factory_makes_no_task_fails_the_call_and_not_the_next() -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("no task")

    async def once() -> str:
        return "done"

    loop = EventLoop()
    loop.get().call_soon_threadsafe(loop.get().set_task_factory, refuse)
    with pytest.raises(OSError, match="no task"):
        loop.run(once)
    loop.get().call_soon_threadsafe(loop.get().set_task_factory, None)
    assert loop.run(once) == "done"
    loop.close()


class Ending(LoopCall):
    """A coroutine that ends right after each look at it, for all that another thread knows."""

    def __getattribute__(self, name: str) -> object:
        found: object = super().__getattribute__(name)
        if name == "_task":
            vars(self)["_task"] = None
        return found


def test_a_look_at_a_coroutine_that_ends_meanwhile_is_no_error() -> None:
    loop = EventLoop()
    call = Ending(loop)
    begun, go = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        go.wait(60)

    task = asyncio.run_coroutine_threadsafe(wait(), loop.get())
    assert begun.wait(60)
    [running] = asyncio.all_tasks(loop.get())
    vars(call)["_task"] = running
    assert [call.coroutine for _ in range(2)] == [running.get_coro(), None]
    assert not call.is_current
    go.set()
    task.result(60)
    loop.close()


def test_a_coroutine_is_cancelled_once_however_many_ask() -> None:
    loop, cancelled = EventLoop(), list[str]()
    call, begun = LoopCall(loop), threading.Event()
    interruption = CallInterruption(loop, call)

    async def tidy_up() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # which a second cancel would end
            cancelled.append("tidy")
            raise

    def ask() -> None:
        assert begun.wait(60)
        for error in (TaskTimeout("late"), TaskCancelled("cancelled"), TaskTimeout("late")):
            interruption.set(error)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(TaskTimeout, match="late"):
        call.run(tidy_up)
    asking.join(60)
    assert cancelled == ["tidy"]
    loop.close()


def test_a_loop_that_never_ran_has_nothing_to_close() -> None:
    loop = EventLoop()
    loop.close()
    assert loop.thread is None
