"""Signal handlers: to stop a program, to rebalance a server's clients, and to dump the stacks of threads."""

import faulthandler
import signal
import sys
from collections.abc import Callable
from types import FrameType

STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
"""Ctrl-C, the default signal of `kill`, and Ctrl-Break on Windows."""


def on_stop(first: Callable[[signal.Signals], None], again: Callable[[signal.Signals], None]) -> None:
    """Call `first` at the first stop signal and `again` at each later one, in the main thread."""
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        call = again if stopping else first
        stopping = True
        call(signal.Signals(number))

    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, handle)


def exit_code(stop_signal: signal.Signals) -> int:
    """Return the exit code of a program that a signal ended at once: 128 plus the signal's number, as in shells."""
    return 128 + int(stop_signal)


REBALANCE = getattr(signal, "SIGUSR2", None)
"""The signal to rebalance: a server makes its clients reconnect. None where the platform lacks it."""


def on_rebalance(call: Callable[[], None]) -> None:
    """Call `call` at the signal `REBALANCE`, in the main thread, where the platform has it."""
    if REBALANCE is not None:
        signal.signal(REBALANCE, lambda _number, _frame: call())


def dump_stacks_on_signal() -> None:
    """Dump the stack of every thread to standard error at SIGUSR1, where the platform has it."""
    if sys.platform != "win32":
        faulthandler.register(signal.SIGUSR1)
