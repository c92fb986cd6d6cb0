"""How processes wake each other."""

import threading
import time
from collections.abc import Iterator

import pytest

from core.broker.embedded.wakeup import WakeupReceiver, WakeupSender

LONG = 20.0


@pytest.fixture
def bell() -> Iterator[WakeupReceiver]:
    with WakeupReceiver() as made:
        yield made


def slept(bell: WakeupReceiver, timeout: float) -> float:
    began = time.monotonic()
    bell.wait(timeout)
    return time.monotonic() - began


def test_a_ring_before_the_wait_is_not_lost(bell: WakeupReceiver) -> None:
    bell.ring()
    assert slept(bell, LONG) < LONG / 2


def test_a_ring_of_another_thread_ends_the_wait(bell: WakeupReceiver) -> None:
    thread = threading.Thread(target=bell.ring)
    thread.start()
    assert slept(bell, LONG) < LONG / 2
    thread.join()


def test_many_rings_are_one(bell: WakeupReceiver) -> None:
    with WakeupSender() as ringer:
        ringer.ring([bell.port] * 50)
    assert slept(bell, LONG) < LONG / 2
    assert slept(bell, 0.05) >= 0.04


def test_the_wait_ends_by_itself(bell: WakeupReceiver) -> None:
    assert slept(bell, 0.05) >= 0.04
    assert slept(bell, 0.0) < LONG
    assert slept(bell, -1.0) < LONG


def test_a_bell_that_nobody_hears_is_no_error(bell: WakeupReceiver) -> None:
    with WakeupSender() as ringer:
        ringer.ring([1, bell.port])
    assert slept(bell, LONG) < LONG / 2
    bell.close()
    bell.ring()
