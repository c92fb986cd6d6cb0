"""The poller: looks again and again in a thread of its own, and hands each view over.

A view that the screen has not taken in yet is not followed by another: when the screen is late, looks are left out
and nothing piles up.
"""

import logging
import threading
import time
from collections.abc import Callable

from tui.view import View

CALM = 2
"""How many times rarer it looks while no task moves."""

_log = logging.getLogger("cauce.tui")


class Poller:
    """Owns the thread.

    Args:
        look: makes a view, in the thread, of the monotonic time and the seconds since the epoch.
        hand_over: takes it; may be called from any thread.
        interval: seconds between two looks; twice as many while no task moves.
        close: lets go of what `look` uses, in the thread.
    """

    def __init__(
        self,
        look: Callable[[float, float], View],
        hand_over: Callable[[View], object],
        interval: float,
        close: Callable[[], None],
    ) -> None:
        self._look = look
        self._hand_over = hand_over
        self._interval = interval
        self._close = close
        self._wake = threading.Event()
        self._taken = threading.Event()
        self._leaving = False
        self._seen: View | None = None
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def poke(self) -> None:
        """Look now: something has just been done."""
        self._wake.set()

    def taken(self) -> None:
        """Note that the last view has been taken in."""
        self._taken.set()

    def stop(self, timeout: float = 2.0) -> None:
        """End; a look that hangs is not waited for longer than `timeout` seconds."""
        self._leaving = True
        self._taken.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while True:
                began = time.monotonic()
                # First these, then the question whether to leave: else an end that comes in between would be missed.
                self._wake.clear()
                self._taken.clear()
                if self._leaving:
                    return
                before, self._seen = self._seen, self._step(began)
                self._taken.wait()
                pause = self._interval * patience(before, self._seen)
                self._wake.wait(max(0.0, began + pause - time.monotonic()))
        finally:
            self._close()

    def _step(self, now: float) -> View:
        try:
            view = self._look(now, time.time())
        except Exception as error:  # noqa: BLE001 - a console that shows nothing new is worse than one that says why
            _log.exception("the system could not be looked at")
            view = View(number=-1, supervisor_trouble=f"the system can't be looked at: {type(error).__name__}: {error}")
        if not self._leaving:
            self._hand_over(view)
        return view


def patience(before: View | None, view: View) -> int:
    """How many intervals may pass until the next look: more while no task moves."""
    return CALM if before is not None and view.ledger == before.ledger else 1
