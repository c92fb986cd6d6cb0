"""Waiting for something long, while telling how it stands; an interrupt hastens it, another one stops waiting.

It prints nothing and knows no supervisor: what to do, to tell and to hasten is handed to it.
"""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.5
"""Seconds between two calls of `tell`."""


def attend(work: Callable[[], T], tell: Callable[[], None], hasten: Callable[[], None]) -> T:
    """Do `work` in a thread of its own and wait for it; what it returns, or the error that it raises.

    Args:
        work: what takes long. It goes on when nobody waits any more.
        tell: called again and again meanwhile.
        hasten: called at the first interrupt from the keyboard.

    Raises:
        KeyboardInterrupt: there was a second interrupt.
    """
    ended: queue.SimpleQueue[tuple[T] | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(),))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            ended.put(error)

    threading.Thread(target=run, name="attended", daemon=True).start()
    try:
        outcome = _wait(ended, tell)
    except KeyboardInterrupt:
        hasten()
        outcome = _wait(ended, tell)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome[0]


def _wait(ended: "queue.SimpleQueue[tuple[T] | BaseException]", tell: Callable[[], None]) -> tuple[T] | BaseException:
    while True:
        try:
            return ended.get(timeout=LOOK_EVERY)
        except queue.Empty:
            tell()
