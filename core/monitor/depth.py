"""The broker's depth, asked again and again in a thread: a broker that hangs must not hold up a view."""

import threading
from collections.abc import Callable

from core.broker.base import DepthGauge
from core.errors import BrokerError
from core.model import Depth

INTERVAL = 1.0


class DepthWatch:
    """Owns the thread.

    Args:
        open_gauge: makes the gauge, in the thread.
    """

    def __init__(self, open_gauge: Callable[[], DepthGauge]) -> None:
        self._open = open_gauge
        self._leaving = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="depth", daemon=True)
        self.depth: Depth | None = None
        self.trouble = ""

    def start(self, timeout: float) -> None:
        """Begin, and wait up to `timeout` seconds for the first answer."""
        self._thread.start()
        self._first.wait(timeout)

    def stop(self) -> None:
        """End; a broker that doesn't answer isn't waited for."""
        self._leaving.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        with self._open() as gauge:
            while not self._leaving.is_set():
                try:
                    self.depth = gauge.read()
                    self.trouble = ""
                except BrokerError as error:
                    self.depth = None
                    self.trouble = str(error)
                self._first.set()
                self._leaving.wait(INTERVAL)
