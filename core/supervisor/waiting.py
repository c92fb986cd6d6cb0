"""Waits for work in another thread and handles interrupts from the keyboard meanwhile.

It prints nothing and knows no supervisor: the caller passes the functions to call.
"""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PROGRESS_INTERVAL = 0.5
"""Seconds between two calls of `on_progress`."""


def wait_for(work: Callable[[], T], on_progress: Callable[[], None], on_interrupt: Callable[[], None]) -> T:
    """Run `work` in its own thread and wait for it. Returns its result, or raises its error.

    Args:
        work: the function to run. It goes on after a second interrupt.
        on_progress: called repeatedly meanwhile.
        on_interrupt: called at the first interrupt from the keyboard.

    Raises:
        KeyboardInterrupt: there was a second interrupt.
    """
    ended: queue.SimpleQueue[tuple[T] | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(),))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the waiting thread
            ended.put(error)

    threading.Thread(target=run, name="work", daemon=True).start()
    try:
        outcome = _wait(ended, on_progress)
    except KeyboardInterrupt:
        on_interrupt()
        outcome = _wait(ended, on_progress)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome[0]


def _wait(
    ended: "queue.SimpleQueue[tuple[T] | BaseException]", on_progress: Callable[[], None]
) -> tuple[T] | BaseException:
    while True:
        try:
            return ended.get(timeout=PROGRESS_INTERVAL)
        except queue.Empty:
            on_progress()
