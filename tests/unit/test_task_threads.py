"""The threads of a runner, with time-outs at any moment."""

import itertools
import math
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NoReturn

import pytest

from core.begun_slots import CAPACITY, SIZE, BegunSlots
from core.errors import TaskTimeout
from core.jsontext import Json
from core.model import TaskProgress
from core.runner import stacks, task_threads
from core.runner.frames import Ended, Interrupted, Report, Run, StackTaken, ToWorker
from core.runner.task_threads import TaskThreads
from core.tasks import GiveUp, Registry, TaskContext, builtin_registry, task
from core.tasks.event_loop import EventLoop
from tests.services.waiting import wait_until


class Kinds:
    """Kinds of task that a test controls."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.contexts: list[TaskContext] = []
        self.go = threading.Event()
        self.latch = threading.Lock()
        """A thread that waits for it is in a system call, where no exception reaches it."""

    def registry(self) -> Registry:
        """Return a registry of these kinds and the built-in ones."""
        module = ModuleType("kinds")
        for function in (
            self._held,
            self._unlimited,
            self._blocked,
            self._blocked_deeply,
            self._stubborn,
            self._tells,
        ):
            made = function()
            setattr(module, made.__name__, made)
        for made in (tiny, raising, spins, spins_for_ever, brief, forks, forks_and_fails):
            setattr(module, made.__name__, made)
        return builtin_registry(modules=[module])

    def _held(self) -> Callable[..., object]:
        @task
        def held(payload: Json, context: TaskContext) -> Json:
            self.begun.append(payload)
            while not self.go.is_set():
                context.wait(0.005)
            return payload

        return held

    def _unlimited(self) -> Callable[..., object]:
        @task(timeout=math.inf)
        def unlimited(payload: Json, context: TaskContext) -> Json:
            self.begun.append(payload)
            while not self.go.is_set():
                context.wait(0.005)
            return payload

        return unlimited

    def _tells(self) -> Callable[..., object]:
        @task
        def tells(payload: Json, context: TaskContext) -> Json:
            for number in range(2000):
                context.progress(number, 2000, "resizing")
                context.log(f"note {number} of {payload}")
            self.contexts.append(context)
            while not self.go.is_set():
                context.wait(0.005)
            context.progress(2000, 2000)
            return payload

        return tells

    def _blocked(self) -> Callable[..., object]:
        @task(timeout=0.05)
        def blocked(payload: Json) -> Json:
            self.begun.append(payload)
            with self.latch:
                # An exception that was set meanwhile is raised in this loop.
                for _ in range(100):
                    pass
            return payload

        return blocked

    def _blocked_deeply(self) -> Callable[..., object]:
        def block(latch: threading.Lock) -> None:
            with latch:
                pass

        @task
        def blocked_deeply() -> None:
            block(self.latch)

        return blocked_deeply

    def _stubborn(self) -> Callable[..., object]:
        @task(timeout=0.05)
        def stubborn(payload: Json) -> Json:
            while not self.go.is_set():
                try:
                    for _ in itertools.count():
                        time.monotonic()
                        if self.go.is_set():
                            break
                except TaskTimeout:
                    self.begun.append(payload)
            return payload

        return stubborn


@task(timeout=0.0002)
def tiny(payload: Json) -> Json:
    """Take about as long as the time-out allows."""
    end = time.monotonic() + 0.0002
    if payload % 3 == 0:
        raise ValueError(payload)
    while payload % 3 == 1 and time.monotonic() < end:
        pass
    return payload


@task
def raising(payload: Json) -> NoReturn:
    """Raise something."""
    raise RAISED[payload]


@task(timeout=0.01)
def spins() -> None:
    """Never end by itself."""
    while True:
        pass


@task
def spins_for_ever() -> None:
    """Never end by itself, and never look at the context."""
    while True:
        pass


@task
def brief(payload: Json) -> Json:
    """Take some hundred steps."""
    for _ in range(2000):
        pass
    return payload


@task
def forks(payload: Json) -> Json:
    """Return in a child of this process too."""
    child = os.fork()
    if child == 0:
        return payload
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@task
def forks_and_fails() -> Json:
    """Raise in a child of this process."""
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Rude(Exception):
    """An exception whose methods raise."""

    def __bool__(self) -> bool:
        raise SystemExit(9)

    def __str__(self) -> str:
        raise KeyboardInterrupt


RAISED: dict[str, type[BaseException]] = {
    "value": ValueError,
    "exit": SystemExit,
    "keyboard": KeyboardInterrupt,
    "generator": GeneratorExit,
    "base": BaseException,
    "rude": Rude,
    "give up": GiveUp,
    "stop": StopIteration,
    "memory": MemoryError,
    "timeout": TaskTimeout,
}


class Bench:
    """Task threads, and what they report."""

    def __init__(self, count: int, timeout: float | None = None) -> None:
        self.kinds = Kinds()
        self.reports: list[ToWorker] = []
        self.beginnings = BegunSlots(bytearray(SIZE))
        self.loop = EventLoop()
        self.threads = TaskThreads(count, self.kinds.registry(), timeout, None, self.loop, self.reports.append)
        self.threads.start(self.beginnings)

    def add(self, slot: int, kind: str, payload: str) -> None:
        """Add a task to run."""
        self.threads.add(Run(slot, f"t{slot}", kind, payload, 1))

    def ended(self, count: int) -> dict[int, Ended]:
        """Wait for this many outcomes. Returns them by the slot of the task."""
        wait_until(lambda: len(self.reports) >= count, f"{count} outcomes")
        ended = [report for report in self.reports if isinstance(report, Ended)]
        assert len(ended) == len(self.reports) == count
        return {report.slot: report for report in ended}

    def close(self) -> None:
        """Stop the threads. No task has been reported twice."""
        self.kinds.go.set()
        self.threads.stop()
        self.loop.close()
        slots = [report.slot for report in self.reports if isinstance(report, Ended | Interrupted)]
        assert set(Counter(slots).values()) <= {1}


class Wakes(queue.SimpleQueue[None]):
    """Counts how often the thread that checks the deadlines is woken."""

    def __init__(self) -> None:
        self.count = 0

    def put(self, item: None, block: bool = True, timeout: float | None = None) -> None:
        """Wake the thread."""
        self.count += 1
        super().put(item)


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> Iterator[MakeBench]:
    """Make benches, and close them after the test."""
    made: list[Bench] = []

    def make(count: int, timeout: float | None = None) -> Bench:
        made.append(Bench(count, timeout))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def type_of(ended: Ended) -> str:
    """Return the type of the failure of a task."""
    assert ended.failure is not None
    return ended.failure.type


def test_a_result_and_the_times_of_its_task(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    before = time.time(), time.monotonic()
    bench.add(1, "wordcount", '"uno dos"')
    ended = bench.ended(1)[1]
    assert (ended.result, ended.failure, ended.permanent) == ("2", None, False)
    at, monotonic = bench.beginnings.times(1)
    assert before[0] <= at <= ended.finished_at <= time.time()
    assert before[1] <= monotonic <= time.monotonic()
    assert bench.beginnings.times(2) == (0.0, 0.0)


def test_whatever_a_task_raises_is_reported(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    for slot, name in enumerate(RAISED):
        bench.add(slot, "raising", f'"{name}"')
    bench.add(100, "nonsense", "1")
    bench.add(101, "echo", '"after all that"')
    ended = bench.ended(len(RAISED) + 2)
    assert [type_of(ended[slot]) for slot in range(len(RAISED))] == [kind.__name__ for kind in RAISED.values()]
    assert type_of(ended[100]) == "UnknownKind"
    assert {slot for slot, each in ended.items() if each.permanent} == {list(RAISED).index("give up"), 100}
    assert ended[101].result == '"after all that"'


def test_a_time_out_at_any_moment_costs_neither_thread_nor_outcome(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_threads, "CHECK_INTERVAL", 0.0005)
    bench = make_bench(4)
    count = CAPACITY
    for slot in range(count):
        bench.add(slot, "tiny", str(slot))
    timed_out = 0
    for slot, ended in bench.ended(count).items():
        if ended.failure is not None and ended.failure.type == "TaskTimeout":
            timed_out += 1
        elif slot % 3 == 0:
            assert type_of(ended) == "ValueError"
        else:
            assert ended.result == str(slot)
    assert timed_out > 10


def test_a_task_that_stops_when_asked_fails_with_its_place(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "spins", "1")
    failure = bench.ended(1)[1].failure
    assert failure is not None
    assert failure.message == "the task ran longer than its time-out allows"
    assert "in spins" in failure.traceback


def test_the_default_time_out_is_for_kinds_that_specify_none(make_bench: MakeBench) -> None:
    bench = make_bench(2, 0.05)
    bench.add(1, "unlimited", '"as long as it takes"')
    bench.add(2, "spins_for_ever", "null")
    assert type_of(bench.ended(1)[2]) == "TaskTimeout"
    bench.kinds.go.set()
    assert bench.ended(2)[1].result == '"as long as it takes"'


def test_a_long_time_out_wakes_no_thread_and_is_noticed(make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_threads, "REST_INTERVAL", 0.02)
    bench = make_bench(2, timeout=0.1)
    wakes = Wakes()
    monkeypatch.setattr(bench.threads, "_timed_tasks", wakes)
    bench.add(1, "spins_for_ever", "1")
    bench.add(2, "echo", "2")
    ended = bench.ended(2)
    assert (type_of(ended[1]), ended[2].result, wakes.count) == ("TaskTimeout", "2", 0)


def test_the_others_go_on_beside_a_task_that_does_not_stop(make_bench: MakeBench) -> None:
    bench = make_bench(3)
    with bench.kinds.latch:
        bench.add(1, "blocked", '"a"')
        bench.add(2, "stubborn", '"b"')
        for slot in range(3, 100):
            bench.add(slot, "echo", str(slot))
        ended = bench.ended(97)
        assert all(ended[slot].result == str(slot) for slot in range(3, 100))
        wait_until(lambda: "b" in bench.kinds.begun, "the time-out to be caught")
    bench.kinds.go.set()
    assert type_of(bench.ended(99)[1]) == "TaskTimeout"
    assert bench.ended(99)[2].result == '"b"'


def test_what_has_not_begun_is_given_back_and_does_not_run(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    for slot in range(6):
        bench.add(slot, "held", f'"{slot}"')
    wait_until(lambda: len(bench.kinds.begun) == 2, "two to begin")
    assert bench.threads.give_back() == [2, 3, 4, 5]
    assert [slot for slot in range(6) if bench.beginnings.times(slot)[1]] == [0, 1]
    bench.kinds.go.set()
    assert set(bench.ended(2)) == {0, 1}


def test_an_interrupted_task_has_no_outcome(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"a"')
    bench.add(2, "sleep", "3000")
    wait_until(lambda: all(bench.beginnings.times(slot)[1] for slot in (1, 2)), "both to begin")
    bench.threads.interrupt()
    wait_until(lambda: len(bench.reports) == 2, "both to stop")
    assert set(bench.reports) == {Interrupted(1), Interrupted(2)}


def test_a_cancelled_task_stops_and_the_others_go_on(make_bench: MakeBench) -> None:
    bench = make_bench(4)
    bench.add(1, "held", '"waits by its context"')
    bench.add(2, "spins_for_ever", "null")
    bench.add(3, "held", '"goes on"')
    wait_until(lambda: all(bench.beginnings.times(slot)[1] for slot in (1, 2, 3)), "all to begin")
    bench.threads.cancel(1)
    bench.threads.cancel(2)
    ended = bench.ended(2)
    for slot in (1, 2):
        failure = ended[slot].failure
        assert failure is not None
        assert (failure.type, failure.message) == ("TaskCancelled", "the task was cancelled while it ran")
    bench.kinds.go.set()
    assert bench.ended(3)[3].result == '"goes on"'


def test_a_task_that_is_cancelled_right_before_it_begins_stops_and_its_slot_serves_again(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.threads.cancel(1)  # it had ended
    bench.add(1, "held", '"a"')
    bench.add(2, "sleep", "3000")
    wait_until(lambda: bench.kinds.begun == ["a"], "the first to begin")
    bench.threads.cancel(2)
    bench.kinds.go.set()
    ended = bench.ended(2)
    assert ended[1].result == '"a"'
    assert type_of(ended[2]) == "TaskCancelled"


def test_tasks_are_cancelled_at_any_moment_and_none_has_two_outcomes(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_threads, "CHECK_INTERVAL", 0.0005)
    monkeypatch.setattr(task_threads, "CANCEL_GRACE", 0.0)
    bench = make_bench(4)
    for slot in range(2000):
        bench.add(slot, "brief", str(slot))
        if slot % 2:
            bench.threads.cancel(slot)
    for slot, ended in bench.ended(2000).items():
        assert ended.result == str(slot) or (slot % 2 and type_of(ended) == "TaskCancelled")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_child_that_a_task_forks_ends_when_the_function_returns_in_it(
    make_bench: MakeBench, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(1)
    bench.add(1, "forks", '"twice?"')
    bench.add(2, "forks_and_fails", "null")
    ended = bench.ended(2)
    assert (ended[1].result, ended[2].result) == ("0", "1")
    assert "ValueError: in the child" in capfd.readouterr().err


# What tasks say of themselves.


def told(bench: Bench, slot: int) -> list[Report]:
    """Return what the worker was told of a task."""
    return [report for report in bench.reports if isinstance(report, Report) and report.slot == slot]


def test_the_worker_is_told_the_newest_of_what_a_task_says(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "tells", '"a"')
    newest = TaskProgress(1999, 2000, "resizing")
    wait_until(lambda: any(report.report.progress == newest for report in told(bench, 1)), "the newest to be told")
    last = told(bench, 1)[-1]
    assert (last.id, last.attempt) == ("t1", 1)
    assert [note.text for note in last.report.notes] == [f"note {number} of a" for number in range(1980, 2000)]
    assert len(told(bench, 1)) < 100  # of 4000 that were said
    bench.kinds.go.set()
    wait_until(lambda: isinstance(bench.reports[-1], Ended), "the end")
    # What was said right before the end comes before it.
    assert told(bench, 1)[-1].report.progress == TaskProgress(2000, 2000)
    assert isinstance(bench.reports[-2], Report)


def test_what_an_attempt_says_after_its_end_is_told_to_nobody(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.kinds.go.set()
    bench.add(1, "tells", '"a"')
    wait_until(lambda: any(isinstance(report, Ended) for report in bench.reports), "the end")
    before = told(bench, 1)
    bench.kinds.contexts[0].progress(1, 2)
    bench.kinds.contexts[0].log("too late")
    bench.kinds.go.clear()
    bench.add(2, "tells", '"b"')
    wait_until(lambda: bool(told(bench, 2)), "what was said later to be told")
    assert told(bench, 1) == before


def test_a_task_that_says_nothing_costs_no_message(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "echo", "1")
    bench.ended(1)
    assert told(bench, 1) == []


def test_the_worker_is_told_where_a_task_is_that_runs_for_long(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_threads, "REST_INTERVAL", 0.01)
    monkeypatch.setattr(stacks, "AFTER", 0.0)
    monkeypatch.setattr(stacks, "INTERVAL", 0.01)
    bench = make_bench(2)
    with bench.kinds.latch:
        bench.add(7, "blocked_deeply", '"a"')

        def taken() -> list[StackTaken]:
            return [report for report in bench.reports if isinstance(report, StackTaken)]

        wait_until(lambda: len(taken()) >= 2, "the stack to be told again")
    last = taken()[-1]
    assert (last.slot, last.id, last.attempt) == (7, "t7", 1)
    assert last.stack.at > taken()[0].stack.at
    lines = last.stack.text.splitlines()
    assert [line.rpartition(".")[2] for line in lines[::2]] == ["blocked_deeply", "block"]
    assert lines[3] == "    with latch:"


def test_the_innermost_of_a_deep_stack_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def deep(count: int) -> str:
        return deep(count - 1) if count else stacks.stack_of(threading.get_ident())

    text = deep(100)
    assert len(text) <= stacks.MAX_TEXT
    assert text.splitlines()[-2].endswith("in stack_of")
    assert stacks.stack_of(-1) == ""
