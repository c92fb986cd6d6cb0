"""The poller: a thread that builds views of the system and hands them over.

It builds no view before the screen has requested it: when the screen is late, views are skipped, and none queue up.
"""

import logging
import threading
import time
from collections.abc import Callable

from core.errors import reason_of
from core.model import Part, Trouble
from tui.view import View

IDLE_FACTOR = 2
"""Intervals between two views while no task moves."""

_log = logging.getLogger("cauce.tui")


class Poller:
    """The thread that polls the system.

    Args:
        build: builds a view, in the thread, from the monotonic time and the seconds since the epoch.
        hand_over: takes the view; called from the thread.
        interval: seconds between two views; longer while no task moves.
        close: closes what `build` uses, in the thread.
    """

    def __init__(
        self,
        build: Callable[[float, float], View],
        hand_over: Callable[[View], object],
        interval: float,
        close: Callable[[], None],
    ) -> None:
        self._build = build
        self._hand_over = hand_over
        self._interval = interval
        self._close = close
        self._wake = threading.Event()
        self._next_requested = threading.Event()
        self._stopping = False
        self._last_view: View | None = None
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def look_now(self) -> None:
        """Build a view now, because something has just been done."""
        self._wake.set()

    def request_next(self) -> None:
        """Allow the next view, because the last one has been received."""
        self._next_requested.set()

    def stop(self, timeout: float = 2.0) -> None:
        """End the thread. Waits at most `timeout` seconds for a view that is being built."""
        self._stopping = True
        self._next_requested.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while True:
                began = time.monotonic()
                # Cleared before the flag is read: otherwise a stop in between would be missed.
                self._wake.clear()
                self._next_requested.clear()
                if self._stopping:
                    return
                former, self._last_view = self._last_view, self._build_safely(began)
                self._next_requested.wait()
                pause = self._interval * interval_factor(former, self._last_view)
                self._wake.wait(max(0.0, began + pause - time.monotonic()))
        finally:
            self._close()

    def _build_safely(self, now: float) -> View:
        try:
            view = self._build(now, time.time())
        except Exception as error:  # noqa: BLE001 - a console that shows nothing new is worse than one that shows why
            _log.exception("no view could be built")
            reason = f"the state of the system can't be read: {type(error).__name__}: {reason_of(error)}"
            view = View(number=-1, troubles_seen=(Trouble(Part.CONSOLE, reason),))
        if not self._stopping:
            self._hand_over(view)
        return view


def interval_factor(former: View | None, view: View) -> int:
    """Return the number of intervals until the next view: more while no task moves."""
    return IDLE_FACTOR if former is not None and view.ledger == former.ledger else 1
