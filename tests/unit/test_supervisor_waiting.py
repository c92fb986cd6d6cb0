"""Waiting for something long, with real threads and real interrupts."""

import os
import queue
import signal
import threading
from collections.abc import Callable

import pytest

from core.errors import SupervisorError
from core.supervisor import waiting
from core.supervisor.waiting import attend
from tests.services.waiting import wait_until

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells often."""
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.01)


def never() -> None:
    """What nobody calls."""
    raise AssertionError("nothing is to be told or hastened")


def interrupts(*times: int) -> Callable[[], None]:
    """Something to tell, which is interrupted from the keyboard at these times."""
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1
        if told in times:
            signal.raise_signal(signal.SIGINT)

    return tell


def test_what_the_work_returns_is_returned_and_nothing_is_told_of_what_is_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY", PATIENCE)
    assert attend(lambda: 42, never, never) == 42
    assert attend(lambda: None, never, never) is None


def test_what_the_work_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY", PATIENCE)
    trouble = SupervisorError("it can't be done")

    def fail() -> None:
        raise trouble

    with pytest.raises(SupervisorError) as caught:
        attend(fail, never, never)
    assert caught.value is trouble


def test_an_error_that_is_returned_is_no_error_that_was_raised() -> None:
    returned = ValueError("a value like others")
    assert attend(lambda: returned, never, never) is returned


def test_it_is_told_again_and_again_while_the_work_lasts() -> None:
    enough = threading.Event()
    told: list[int] = []

    def tell() -> None:
        told.append(threading.get_ident())
        if len(told) == 3:
            enough.set()

    assert attend(lambda: enough.wait(PATIENCE), tell, never)
    # By the thread that waits, not by the one that works.
    assert set(told) == {threading.get_ident()}


def test_the_first_interrupt_hastens_and_the_waiting_goes_on() -> None:
    hastened = threading.Event()
    assert attend(lambda: hastened.wait(PATIENCE), interrupts(1), hastened.set)


def test_the_second_interrupt_ends_the_waiting_while_the_work_goes_on() -> None:
    hastened = 0
    release = threading.Event()
    done: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def hasten() -> None:
        nonlocal hastened
        hastened += 1

    with pytest.raises(KeyboardInterrupt):
        attend(lambda: done.put(release.wait(PATIENCE)), interrupts(2, 5), hasten)
    assert hastened == 1
    assert done.empty()
    release.set()
    assert done.get(timeout=PATIENCE)


def test_an_interrupt_while_it_hastens_ends_the_waiting() -> None:
    release = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        attend(lambda: release.wait(PATIENCE), interrupts(1), lambda: signal.raise_signal(signal.SIGINT))
    release.set()


@pytest.mark.skipif(os.name != "posix", reason="an interrupt comes from the console there")
def test_an_interrupt_from_elsewhere_is_noticed_while_it_waits() -> None:
    waits, hastened = threading.Event(), threading.Event()

    def work() -> bool:
        assert waits.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return hastened.wait(PATIENCE)

    assert attend(work, waits.set, hastened.set)


def test_its_thread_does_not_outlive_the_work() -> None:
    attend(lambda: None, never, never)
    wait_until(lambda: "attended" not in {each.name for each in threading.enumerate()}, "the thread to end", PATIENCE)


def test_what_goes_wrong_while_telling_is_not_hidden() -> None:
    release = threading.Event()
    with pytest.raises(AssertionError, match="nothing is to be told"):
        attend(lambda: release.wait(PATIENCE), never, never)
    release.set()
