"""The handler threads, with time-outs at any moment."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NoReturn

import pytest

from core.broker.base import Delivery, Reference
from core.errors import TaskTimeout
from core.jsontext import Json
from core.model import Assignment, Beginning, Outcome, State
from core.repository.base import STRIKE_LIMIT
from core.tasks import GiveUp, Registry, TaskContext, builtin_registry, task
from core.worker import handler_threads as handlers_module
from core.worker.handler_threads import Callbacks, HandlerThreads, RunSettings
from core.worker.in_flight import InFlightTask
from tests.services.waiting import wait_until


class Kinds:
    """Kinds of task that a test controls."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.going: list[str] = []
        self.max_going = 0
        self.go = threading.Event()
        self.latch = threading.Lock()
        """A thread that waits for it is in a system call, where no exception reaches it."""
        self._lock = threading.Lock()

    def _enter(self, name: str) -> None:
        with self._lock:
            self.begun.append(name)
            self.going.append(name)
            self.max_going = max(self.max_going, len(self.going))

    def _leave(self, name: str) -> None:
        with self._lock:
            self.going.remove(name)

    def registry(self) -> Registry:
        """Return a registry of these kinds and the built-in ones."""
        module = ModuleType("kinds")
        for function in (self._held, self._blocked, self._stubborn, self._tiny, self._raising):
            made = function()
            setattr(module, made.__name__, made)
        return builtin_registry(modules=[module])

    def _held(self) -> Callable[..., object]:
        @task
        def held(payload: Json, context: TaskContext) -> Json:
            self._enter(payload)
            try:
                while not self.go.is_set():
                    context.wait(0.005)
            finally:
                self._leave(payload)
            return payload

        return held

    def _blocked(self) -> Callable[..., object]:
        @task(timeout=0.05, retries=0)
        def blocked(payload: Json) -> Json:
            self._enter(payload)
            try:
                with self.latch:
                    # An exception that was set meanwhile is raised in this loop, not in `_leave`.
                    for _ in range(100):
                        pass
            finally:
                self._leave(payload)
            return payload

        return blocked

    def _stubborn(self) -> Callable[..., object]:
        @task(timeout=0.05, retries=1)
        def stubborn(payload: Json) -> Json:
            try:
                while True:
                    time.monotonic()
            except TaskTimeout:
                self._enter(payload)
            self.go.wait()
            return payload

        return stubborn

    def _tiny(self) -> Callable[..., object]:
        @task(timeout=0.0002, retries=0)
        def tiny(payload: Json) -> Json:
            end = time.monotonic() + 0.0002
            if payload % 3 == 0:
                raise ValueError(payload)
            while payload % 3 == 1 and time.monotonic() < end:
                pass
            return payload

        return tiny

    def _raising(self) -> Callable[..., object]:
        @task
        def raising(payload: Json) -> NoReturn:
            raise RAISED[payload]

        return raising


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
    """Handler threads, and the outcomes of their tasks."""

    def __init__(self, concurrency: int) -> None:
        self.kinds = Kinds()
        self.outcomes: list[Outcome] = []
        self.strikes: list[int] = []
        self.dropped: list[InFlightTask] = []
        self.given_up: list[InFlightTask] = []
        self.deaths: list[BaseException] = []
        self.elsewhere: set[int] = set()
        """Tasks that are delivered again."""
        self.ended_elsewhere: set[int] = set()
        """Tasks that have ended while they waited here."""
        self.handlers = HandlerThreads(
            concurrency,
            self.kinds.registry(),
            RunSettings(worker="w1", retries=0, retry_delay=1.0, timeout=None, files_root=None),
            Callbacks(
                begin=self.begin,
                add_strike=self.add_strike,
                give_up=self.given_up.append,
                finish=lambda _, outcome: self.outcomes.append(outcome),
                drop=self.dropped.append,
            ),
            self.deaths.append,
        )
        self.handlers.start()

    def begin(self, task: InFlightTask) -> bool:
        """Mark a task as begun, as `InFlightTasks` does."""
        task.begun = task.assignment.seq not in self.elsewhere
        task.started_at = time.time()
        return task.begun

    def add_strike(self, task: InFlightTask, beginning: Beginning) -> None:
        """Add a strike to a suspect or mark it as unwanted, as `Recorder` does."""
        if task.assignment.seq in self.ended_elsewhere:
            task.unwanted = True
        else:
            self.strikes.append(beginning.seq)

    def add(
        self, seq: int, kind: str, payload: str, *, suspect: bool = False, strikes: int = 0, retries: int | None = None
    ) -> InFlightTask:
        """Add a task to run."""
        assignment = Assignment(
            seq=seq,
            id=f"t{seq}",
            kind=kind,
            payload=payload,
            state=State.QUEUED,
            attempts=0,
            strikes=strikes,
            retries=retries,
            due_at=None,
        )
        reference = Reference(f"t{seq}", seq, 0, 1.0)
        task = InFlightTask(assignment, reference, Delivery(b"", int(suspect), None), time.time(), suspect=suspect)
        self.handlers.add(task)
        return task

    def ended(self, count: int, seconds: float = 60.0) -> dict[int, Outcome]:
        """Wait for this many outcomes. Returns them by the number of the task."""
        wait_until(lambda: len(self.outcomes) >= count, f"{count} outcomes (there are {len(self.outcomes)})", seconds)
        assert len(self.outcomes) == count
        return {outcome.seq: outcome for outcome in self.outcomes}

    def close(self) -> None:
        """Stop the threads. No thread has died, and no task has two outcomes."""
        self.kinds.go.set()
        assert self.handlers.stop(10)
        assert self.deaths == []
        assert set(Counter(outcome.seq for outcome in self.outcomes).values()) <= {1}


MakeBench = Callable[[int], Bench]


@pytest.fixture
def make_bench() -> Iterator[MakeBench]:
    """Make benches, and close them after the test."""
    made: list[Bench] = []

    def make(concurrency: int) -> Bench:
        made.append(Bench(concurrency))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check deadlines more often, and abandon threads sooner."""
    monkeypatch.setattr(handlers_module, "CHECK_INTERVAL", 0.0005)
    monkeypatch.setattr(handlers_module, "STOP_TIMEOUT", 0.2)


def test_a_result_and_its_times(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    added = bench.add(1, "wordcount", '"uno dos"')
    outcome = bench.ended(1)[1]
    assert (outcome.state, outcome.result, outcome.failure, outcome.worker) == (State.DONE, "2", None, "w1")
    assert (outcome.attempt, outcome.queued_at, outcome.taken_at) == (0, 1.0, added.taken_at)
    assert outcome.taken_at <= outcome.started_at <= outcome.finished_at
    assert added.begun


def test_whatever_a_task_raises_is_an_outcome(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    for seq, name in enumerate(RAISED):
        bench.add(seq, "raising", f'"{name}"', retries=1)
    bench.add(100, "nonsense", "1", retries=5)
    bench.add(101, "echo", '"after all that"')
    outcomes = bench.ended(len(RAISED) + 2)
    types = {name: outcomes[seq].failure for seq, name in enumerate(RAISED)}
    for name, failure in types.items():
        assert failure is not None
        assert failure.type == RAISED[name].__name__
    permanent = {seq for seq, outcome in outcomes.items() if outcome.state is State.FAILED}
    assert permanent == {list(RAISED).index("give up"), 100}
    assert outcomes[101].state is State.DONE
    waits = [outcome.due_at - outcome.finished_at for outcome in outcomes.values() if outcome.due_at]
    assert len(waits) == len(RAISED) - 1
    assert all(0.7 < wait < 1.3 for wait in waits)


@pytest.mark.usefixtures("hasty")
def test_a_time_out_at_any_moment_costs_neither_thread_nor_outcome(make_bench: MakeBench) -> None:
    bench = make_bench(4)
    count = 6000
    for seq in range(count):
        bench.add(seq, "tiny", str(seq))
    outcomes = bench.ended(count, 40)
    assert bench.handlers.abandoned == 0
    timed_out = 0
    for seq, outcome in outcomes.items():
        if outcome.failure is not None and outcome.failure.type == "TaskTimeout":
            timed_out += 1
        elif seq % 3 == 0:
            assert outcome.failure is not None
            assert outcome.failure.type == "ValueError"
        else:
            assert outcome.result == str(seq)
    assert timed_out > 10
    assert bench.handlers.running == []


@pytest.mark.usefixtures("hasty")
def test_the_thread_of_a_task_that_cannot_be_stopped_is_abandoned(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    with bench.kinds.latch:
        bench.add(1, "blocked", '"a"')
        wait_until(lambda: bench.kinds.begun == ["a"], "the task to begin")
        for seq in range(2, 200):
            bench.add(seq, "echo", str(seq))
        outcomes = bench.ended(199)
        failure = outcomes[1].failure
        assert outcomes[1].state is State.FAILED
        assert failure is not None
        assert failure.type == "TaskTimeout"
        assert "did not stop" in failure.message
        assert all(outcomes[seq].result == str(seq) for seq in range(2, 200))
        assert bench.handlers.abandoned == 1
        assert bench.handlers.running == []
    # It returns after all; its result is ignored, and both places are free.
    wait_until(lambda: bench.kinds.going == [], "the task to return")
    bench.add(200, "held", '"b"')
    bench.add(201, "held", '"c"')
    wait_until(lambda: bench.kinds.max_going == 2, "both places to be used")
    bench.kinds.go.set()
    assert bench.ended(201)[200].result == '"b"'


@pytest.mark.usefixtures("hasty")
def test_the_thread_of_a_task_that_catches_its_time_out_is_abandoned(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "stubborn", '"a"')
    outcome = bench.ended(1)[1]
    assert outcome.state is State.RETRYING
    assert bench.kinds.begun == ["a"]
    bench.add(2, "echo", "2")
    assert bench.ended(2)[2].result == "2"


def test_a_task_that_stops_when_asked_fails_with_its_place(make_bench: MakeBench) -> None:
    bench = make_bench(1)

    @task(timeout=0.01)
    def spins() -> None:
        while True:
            pass

    module = ModuleType("more")
    module.spins = spins  # type: ignore[attr-defined]  # as a module of a user's has it
    spinning = HandlerThreads(
        1,
        builtin_registry(modules=[module]),
        RunSettings(worker="w2", retries=0, retry_delay=1.0, timeout=None, files_root=None),
        Callbacks(
            begin=lambda _: True,
            add_strike=bench.add_strike,
            give_up=bench.given_up.append,
            finish=lambda _, o: bench.outcomes.append(o),
            drop=bench.dropped.append,
        ),
        bench.deaths.append,
    )
    spinning.start()
    added = bench.add(1, "echo", "1")
    assert bench.ended(1)
    spinning.add(InFlightTask(_as_kind(added.assignment, "spins"), added.reference, added.delivery, 1.0, suspect=False))
    wait_until(lambda: len(bench.outcomes) == 2, "the time-out")
    failure = bench.outcomes.pop().failure
    assert failure is not None
    assert failure.message == "the task ran longer than its time-out allows"
    assert "spins" in failure.traceback
    assert spinning.stop(5)


def _as_kind(assignment: Assignment, kind: str) -> Assignment:
    return Assignment(
        seq=assignment.seq,
        id=assignment.id,
        kind=kind,
        payload=assignment.payload,
        state=assignment.state,
        attempts=0,
        strikes=0,
        retries=None,
        due_at=None,
    )


def test_what_runs_can_be_seen(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    began = time.time()
    bench.add(1, "held", '"a"')
    bench.add(2, "held", '"b"')
    bench.add(3, "held", '"c"')
    wait_until(lambda: len(bench.kinds.going) == 2, "two tasks to run")
    running = bench.handlers.running
    assert {(each.id, each.kind) for each in running} == {("t1", "held"), ("t2", "held")}
    assert all(began <= each.since <= time.time() for each in running)
    bench.kinds.go.set()
    bench.ended(3)


# Tasks that were delivered before.


def test_suspects_begin_one_at_a_time_each_after_its_strike_is_stored(make_bench: MakeBench) -> None:
    bench = make_bench(4)
    for seq in range(1, 6):
        bench.add(seq, "held", f'"{seq}"', suspect=True)
    wait_until(lambda: bench.kinds.begun == ["1"], "the first to begin")
    bench.add(6, "echo", "6")
    assert bench.ended(1)[6].result == "6", "other tasks do not wait"
    assert bench.strikes == [1]
    bench.kinds.go.set()
    bench.ended(6)
    assert bench.strikes == [1, 2, 3, 4, 5]
    assert bench.kinds.max_going == 1


def test_a_suspect_that_has_ended_elsewhere_does_not_begin_and_blocks_no_other(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.ended_elsewhere.add(1)
    ended = bench.add(1, "held", '"a"', suspect=True)
    bench.add(2, "echo", "2", suspect=True)
    assert bench.ended(1)[2].result == "2"
    assert bench.dropped == [ended]
    assert bench.kinds.begun == []
    assert bench.strikes == [2]


def test_a_suspect_with_too_many_strikes_is_given_up_without_beginning(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    killer = bench.add(1, "held", '"killer"', suspect=True, strikes=STRIKE_LIMIT, retries=9)
    bench.add(2, "echo", "2", suspect=True, strikes=STRIKE_LIMIT - 1)
    assert bench.ended(1)[2].result == "2"
    assert bench.given_up == [killer]
    assert bench.kinds.begun == []
    assert bench.strikes == [2]


@pytest.mark.usefixtures("hasty")
def test_a_suspect_whose_thread_is_abandoned_blocks_no_other(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    with bench.kinds.latch:
        bench.add(1, "blocked", '"a"', suspect=True)
        bench.add(2, "echo", "2", suspect=True)
        bench.add(3, "held", '"b"', suspect=True)
        outcomes = bench.ended(2)
        assert outcomes[2].result == "2"
        wait_until(lambda: bench.kinds.going == ["a", "b"], "the third to run")
    # The first one returns, and must not let another begin while the third runs.
    wait_until(lambda: bench.kinds.going == ["b"], "the first to return")
    bench.add(4, "held", '"c"', suspect=True)
    bench.add(5, "echo", "5")
    assert bench.ended(3)[5].result == "5"
    assert bench.kinds.begun == ["a", "b"]
    bench.kinds.go.set()
    bench.ended(5)


def test_an_unwanted_task_does_not_begin(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "held", '"a"')
    wait_until(lambda: bench.kinds.begun == ["a"], "the first to begin")
    waiting = [bench.add(2, "held", '"b"'), bench.add(3, "held", '"c"', suspect=True)]
    bench.add(4, "echo", "4", suspect=True)
    for added in waiting:
        added.unwanted = True
    bench.kinds.go.set()
    bench.ended(2)
    assert bench.dropped == waiting
    assert bench.kinds.begun == ["a"]
    assert bench.strikes == [4]


# Stopping.


def test_running_tasks_may_end_and_no_other_begins(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    for seq in range(1, 6):
        bench.add(seq, "held", f'"{seq}"', suspect=seq > 3)
    wait_until(lambda: len(bench.kinds.going) == 2, "two to run")
    assert not bench.handlers.stop(0.05)
    bench.kinds.go.set()
    assert bench.handlers.stop(10)
    assert len(bench.ended(2)) == 2
    assert len(bench.kinds.begun) == 2


def test_an_interrupted_task_has_no_outcome(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"a"')
    bench.add(2, "sleep", "3000")
    wait_until(lambda: len(bench.handlers.running) == 2, "both to run")
    bench.handlers.interrupt()
    assert bench.handlers.stop(5)
    assert bench.outcomes == []


def test_a_task_that_is_delivered_again_does_not_begin_here(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.elsewhere.add(1)
    bench.add(1, "echo", "1")
    bench.add(2, "echo", "2")
    assert bench.ended(1)
    assert [outcome.seq for outcome in bench.outcomes] == [2]
    assert bench.dropped == []
