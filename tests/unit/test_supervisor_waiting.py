"""Waiting for work, with real threads and real interrupts."""

import os
import queue
import signal
import threading
from collections.abc import Callable

import pytest

from core.errors import SupervisorError
from core.supervisor import waiting
from core.supervisor.waiting import wait_for
from tests.services.waiting import wait_until

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report progress often."""
    monkeypatch.setattr(waiting, "PROGRESS_INTERVAL", 0.01)


def never() -> None:
    """A callback that must not be called."""
    raise AssertionError("this callback must not be called")


def interrupts(*times: int) -> Callable[[], None]:
    """Make a progress callback that is interrupted from the keyboard at these calls."""
    calls = 0

    def on_progress() -> None:
        nonlocal calls
        calls += 1
        if calls in times:
            signal.raise_signal(signal.SIGINT)

    return on_progress


def test_the_result_of_the_work_is_returned_and_quick_work_reports_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PROGRESS_INTERVAL", PATIENCE)
    assert wait_for(lambda: 42, never, never) == 42
    assert wait_for(lambda: None, never, never) is None


def test_the_error_of_the_work_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PROGRESS_INTERVAL", PATIENCE)
    trouble = SupervisorError("it can't be done")

    def fail() -> None:
        raise trouble

    with pytest.raises(SupervisorError) as caught:
        wait_for(fail, never, never)
    assert caught.value is trouble


def test_an_error_that_is_returned_is_not_raised() -> None:
    returned = ValueError("a value like others")
    assert wait_for(lambda: returned, never, never) is returned


def test_progress_is_reported_again_and_again_by_the_waiting_thread() -> None:
    enough = threading.Event()
    callers: list[int] = []

    def on_progress() -> None:
        callers.append(threading.get_ident())
        if len(callers) == 3:
            enough.set()

    assert wait_for(lambda: enough.wait(PATIENCE), on_progress, never)
    assert set(callers) == {threading.get_ident()}


def test_the_first_interrupt_is_passed_on_and_the_waiting_goes_on() -> None:
    interrupted = threading.Event()
    assert wait_for(lambda: interrupted.wait(PATIENCE), interrupts(1), interrupted.set)


def test_the_second_interrupt_ends_the_waiting_while_the_work_goes_on() -> None:
    interrupted = 0
    release = threading.Event()
    done: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def interrupt() -> None:
        nonlocal interrupted
        interrupted += 1

    with pytest.raises(KeyboardInterrupt):
        wait_for(lambda: done.put(release.wait(PATIENCE)), interrupts(2, 5), interrupt)
    assert interrupted == 1
    assert done.empty()
    release.set()
    assert done.get(timeout=PATIENCE)


def test_an_interrupt_while_one_is_passed_on_ends_the_waiting() -> None:
    release = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        wait_for(lambda: release.wait(PATIENCE), interrupts(1), lambda: signal.raise_signal(signal.SIGINT))
    release.set()


@pytest.mark.skipif(os.name != "posix", reason="an interrupt comes from the console there")
def test_an_interrupt_from_elsewhere_is_noticed_while_it_waits() -> None:
    waits, interrupted = threading.Event(), threading.Event()

    def work() -> bool:
        assert waits.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return interrupted.wait(PATIENCE)

    assert wait_for(work, waits.set, interrupted.set)


def test_its_thread_does_not_outlive_the_work() -> None:
    wait_for(lambda: None, never, never)
    wait_until(lambda: "work" not in {each.name for each in threading.enumerate()}, "the thread to end", PATIENCE)


def test_an_error_of_the_progress_callback_is_not_hidden() -> None:
    release = threading.Event()
    with pytest.raises(AssertionError, match="must not be called"):
        wait_for(lambda: release.wait(PATIENCE), never, never)
    release.set()
