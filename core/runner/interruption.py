"""The signal that one run of a task must stop before its time."""

import threading


class RunInterruption:
    """The signal for one run. Any thread may set it; it costs little until the task waits for it."""

    __slots__ = ("_event", "error")

    def __init__(self) -> None:
        self._event: threading.Event | None = None
        self.error: Exception | None = None
        """The reason why the task must stop, or None."""

    def set(self, error: Exception) -> None:
        """Ask the task to stop. The first reason stays."""
        # In this order: a task that begins to wait sees the error or has its event set.
        self.error = self.error or error
        if self._event is not None:
            self._event.set()

    def wait(self, timeout: float) -> None:
        """Wait for the signal, up to `timeout` seconds."""
        self._event = self._event or threading.Event()
        if self.error is None:
            self._event.wait(timeout)
