"""Signals that ask a program to leave, once politely, twice at once; and one that asks where its threads are."""

import faulthandler
import signal
import sys
from collections.abc import Callable
from types import FrameType

STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
"""Ctrl-C, a polite kill, and Ctrl-Break on Windows."""


def on_stop(first: Callable[[signal.Signals], None], again: Callable[[signal.Signals], None]) -> None:
    """Call `first` at the first of these signals and `again` at every further one, in the main thread."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        call = again if asked else first
        asked = True
        call(signal.Signals(number))

    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, handle)


def exit_code(stop_signal: signal.Signals) -> int:
    """What a program ends with when a signal made it leave at once: 128 and the signal's number, as shells have it."""
    return 128 + int(stop_signal)


REBALANCE = getattr(signal, "SIGUSR2", None)
"""Asks a server to have its clients connect anew, so that new servers get their share; None where there is no such."""


def on_rebalance(call: Callable[[], None]) -> None:
    """Call `call` at `REBALANCE`, in the main thread, where the platform has that signal."""
    if REBALANCE is not None:
        signal.signal(REBALANCE, lambda _number, _frame: call())


def tell_stacks() -> None:
    """Write the stack of every thread to standard error at SIGUSR1, where the platform has that signal."""
    if sys.platform != "win32":
        faulthandler.register(signal.SIGUSR1)
