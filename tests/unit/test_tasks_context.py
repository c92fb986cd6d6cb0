"""How a task function waits and when it is stopped, on a clock that the test moves."""

import math
import threading

import pytest

from core.errors import TaskCancelled, TaskError, TaskInterrupted, TaskTimeout
from core.model import TaskProgress
from core.runner.interruption import RunInterruption
from core.tasks import TaskContext
from core.tasks.reports import MAX_TEXT


class Said:
    """Takes what a task says of itself."""

    def __init__(self) -> None:
        self.progress: list[TaskProgress] = []
        self.notes: list[str] = []

    def set_progress(self, progress: TaskProgress) -> None:
        """Take how far it is."""
        self.progress.append(progress)

    def add_note(self, text: str) -> None:
        """Take a note."""
        self.notes.append(text)


class Hours:
    """A clock, and an interruption on it: waiting moves the clock and takes no time."""

    def __init__(self, leave_at: float | None = None, wakes_early: bool = False) -> None:
        self.now = 100.0
        self.leave_at = leave_at
        self.share = 0.5 if wakes_early else 1.0
        self.waits: list[float] = []

    def clock(self) -> float:
        """Return the time."""
        return self.now

    @property
    def error(self) -> TaskInterrupted | None:
        """The reason to stop: the worker must leave."""
        return None if self.leave_at is None or self.now < self.leave_at else TaskInterrupted()

    def wait(self, timeout: float) -> None:
        """Move the clock."""
        self.waits.append(timeout)
        step = timeout * self.share if timeout > 1e-6 else timeout
        self.now += step if self.leave_at is None else min(step, self.leave_at - self.now)


def context_on(hours: Hours, deadline: float | None = None) -> TaskContext:
    return TaskContext(id="t", kind="k", attempt=1, deadline=deadline, interruption=hours, clock=hours.clock)


def test_a_wait_ends_when_its_time_is_over() -> None:
    hours = Hours()
    context_on(hours, deadline=110.0).wait(5.0)
    assert (hours.now, hours.waits) == (105.0, [5.0])


def test_a_wait_that_wakes_early_goes_on() -> None:
    hours = Hours(wakes_early=True)
    context_on(hours).wait(5.0)
    assert hours.now == pytest.approx(105.0)
    assert len(hours.waits) > 3


def test_a_wait_is_over_at_the_deadline() -> None:
    hours = Hours()
    with pytest.raises(TaskTimeout, match="its time-out"):
        context_on(hours, deadline=103.0).wait(5.0)
    assert hours.now == 103.0


def test_a_wait_is_over_when_the_worker_must_stop() -> None:
    hours = Hours(leave_at=102.0)
    with pytest.raises(TaskInterrupted):
        context_on(hours, deadline=103.0).wait(5.0)
    assert hours.now == 102.0


def test_an_interruption_precedes_the_deadline_since_the_task_is_not_to_blame() -> None:
    with pytest.raises(TaskInterrupted):
        context_on(Hours(leave_at=0.0), deadline=50.0).check()


@pytest.mark.parametrize("seconds", [0, 0.0, -1.0, float("-inf")])
def test_a_wait_of_no_time_is_a_check(seconds: float) -> None:
    hours = Hours()
    context_on(hours, deadline=101.0).wait(seconds)
    assert hours.waits == []
    with pytest.raises(TaskTimeout):
        context_on(hours, deadline=100.0).wait(seconds)


def test_check_is_silent_while_there_is_time() -> None:
    context_on(Hours(), deadline=100.5).check()
    context_on(Hours()).check()


def test_a_wait_for_ever_ends_at_the_deadline() -> None:
    hours = Hours()
    with pytest.raises(TaskTimeout):
        context_on(hours, deadline=1e6).wait(float("inf"))
    assert max(hours.waits) <= threading.TIMEOUT_MAX
    assert hours.now == 1e6


def test_a_wait_for_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not NaN"):
        context_on(Hours()).wait(float("nan"))


@pytest.mark.parametrize("error", [TaskInterrupted("leave"), TaskCancelled("enough")])
def test_an_interruption_wakes_a_waiting_thread(error: Exception) -> None:
    leave = RunInterruption()
    context = TaskContext(id="t", kind="k", attempt=1, interruption=leave)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            context.wait(60.0)
        except TaskError as raised:
            ended.append(raised)

    thread = threading.Thread(target=work)
    thread.start()
    leave.set(error)
    leave.set(TaskInterrupted("too late: the first reason stays"))
    thread.join(10.0)
    assert not thread.is_alive()
    assert ended == [error]


def test_an_interruption_wakes_all_threads_of_a_task_that_wait() -> None:
    leave = RunInterruption()
    begun = threading.Barrier(9)

    def work() -> None:
        begun.wait()
        leave.wait(600.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait()
    leave.set(TaskCancelled())
    for thread in threads:
        thread.join(10.0)
    assert not any(thread.is_alive() for thread in threads)


def test_a_context_cannot_be_changed() -> None:
    context = context_on(Hours())
    with pytest.raises(AttributeError):
        context.attempt = 2  # type: ignore[misc]  # which the test tries


def test_what_a_task_says_is_bounded_and_can_be_stored() -> None:
    said = Said()
    context = TaskContext(id="t", kind="k", attempt=1, interruption=Hours(), reporter=said)
    context.progress(3, 10, "resizing")
    context.progress(4)
    context.progress(5, text="a\ud800\0" + "x" * 10_000)
    context.log("y" * 10_000)
    assert said.progress[:2] == [TaskProgress(3, 10, "resizing"), TaskProgress(4)]
    text = said.progress[2].text
    assert text.startswith("a\\ud800\\x00xxx")
    assert (len(text), len(said.notes[0])) == (MAX_TEXT, MAX_TEXT)


@pytest.mark.parametrize("number", [math.nan, math.inf, "three", None, 10**400])
def test_a_progress_that_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="the progress needs a"):
        context_on(Hours()).progress(number)


def test_a_task_outside_a_runner_may_say_something_too() -> None:
    context_on(Hours()).progress(1, 2)
    context_on(Hours()).log("to nobody")
