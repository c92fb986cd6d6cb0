"""How processes wake each other."""

import threading
import time
from collections.abc import Iterator

import pytest

from core.broker.embedded.wakeup import WakeupReceiver, WakeupSender

LONG = 20.0


@pytest.fixture
def receiver() -> Iterator[WakeupReceiver]:
    with WakeupReceiver() as opened:
        yield opened


def waited(receiver: WakeupReceiver, timeout: float) -> float:
    began = time.monotonic()
    receiver.wait(timeout)
    return time.monotonic() - began


def test_a_wakeup_before_the_wait_is_not_lost(receiver: WakeupReceiver) -> None:
    receiver.wake()
    assert waited(receiver, LONG) < LONG / 2


def test_a_wakeup_from_another_thread_ends_the_wait(receiver: WakeupReceiver) -> None:
    thread = threading.Thread(target=receiver.wake)
    thread.start()
    assert waited(receiver, LONG) < LONG / 2
    thread.join()


def test_many_wakeups_end_one_wait(receiver: WakeupReceiver) -> None:
    with WakeupSender() as sender:
        sender.send([receiver.port] * 50)
    assert waited(receiver, LONG) < LONG / 2
    assert waited(receiver, 0.05) >= 0.04


def test_the_wait_ends_after_its_timeout(receiver: WakeupReceiver) -> None:
    assert waited(receiver, 0.05) >= 0.04
    assert waited(receiver, 0.0) < LONG
    assert waited(receiver, -1.0) < LONG


def test_a_wakeup_without_a_receiver_is_no_error(receiver: WakeupReceiver) -> None:
    with WakeupSender() as sender:
        sender.send([1, receiver.port])
    assert waited(receiver, LONG) < LONG / 2
    receiver.close()
    receiver.wake()
