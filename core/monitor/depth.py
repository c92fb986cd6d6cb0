"""The broker's depth, read regularly in a thread: a broker that hangs must not block a view."""

import threading
from collections.abc import Callable

from core.broker.base import DepthGauge
from core.errors import BrokerError
from core.model import Depth, Part, Trouble

INTERVAL = 1.0
"""Seconds between two readings."""


class DepthWatch:
    """The thread that reads the broker's depth.

    Args:
        open_gauge: opens the gauge, in the thread.
    """

    def __init__(self, open_gauge: Callable[[], DepthGauge]) -> None:
        self._open = open_gauge
        self._stopping = threading.Event()
        self._first_read = threading.Event()
        self._thread = threading.Thread(target=self._run, name="depth", daemon=True)
        self.depth: Depth | None = None
        self.troubles: tuple[Trouble, ...] = ()

    def start(self, timeout: float) -> None:
        """Start the thread, and wait up to `timeout` seconds for the first reading."""
        self._thread.start()
        self._first_read.wait(timeout)

    def stop(self) -> None:
        """Stop the thread, without waiting long for a broker that does not answer."""
        self._stopping.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        with self._open() as gauge:
            while not self._stopping.is_set():
                try:
                    self.depth = gauge.read()
                    self.troubles = ()
                except BrokerError as error:
                    self.depth = None
                    self.troubles = (Trouble(Part.BROKER, str(error)),)
                self._first_read.set()
                self._stopping.wait(INTERVAL)
