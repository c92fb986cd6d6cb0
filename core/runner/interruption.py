"""The signal that one run of a task must stop before its time."""

import threading

from core.tasks.event_loop import EventLoop, LoopCall


class RunInterruption:
    """The signal for one run. Any thread may set it; it costs little until the task waits for it."""

    __slots__ = ("_made", "error")

    def __init__(self) -> None:
        # It has one event at most. `setdefault` makes sure of that, also when threads of the task wait at once.
        self._made: dict[None, threading.Event] = {}
        self.error: Exception | None = None
        """The reason why the task must stop, or None."""

    def set(self, error: Exception) -> None:
        """Ask the task to stop. The first reason stays."""
        # In this order: a task that begins to wait sees the error or has its event set.
        self.error = self.error or error
        event = self._made.get(None)
        if event is not None:
            event.set()

    def wait(self, timeout: float) -> None:
        """Wait for the signal, up to `timeout` seconds."""
        event = self._made.get(None) or self._made.setdefault(None, threading.Event())
        if self.error is None:
            event.wait(timeout)


class CallInterruption(RunInterruption):
    """The signal for one run of an `async def` task: its coroutine is cancelled.

    Args:
        loop: where the coroutine runs.
        call: the coroutine.
    """

    __slots__ = ("_call", "_loop")

    def __init__(self, loop: EventLoop, call: LoopCall) -> None:
        super().__init__()
        self._loop = loop
        self._call = call

    def set(self, error: Exception) -> None:
        """Cancel the coroutine, once. The first reason stays."""
        super().set(error)
        self._call.cancel(self.error or error)

    def wait(self, timeout: float) -> None:
        """Wait for the signal, up to `timeout` seconds.

        Raises:
            RuntimeError: the wait would block the loop.
        """
        if threading.get_ident() == self._loop.thread:
            raise RuntimeError("context.wait would stop all async tasks: use `await asyncio.sleep(seconds)`")
        super().wait(timeout)
