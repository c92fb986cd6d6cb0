"""The event loop on which the `async def` tasks of a process run, in a thread of its own.

A thread hands over a coroutine and waits for its end. So everything else about such a task (its beginning, time-out and
outcome) is as for a function. The loop starts with the first coroutine; asyncio is imported only then.
"""

import queue
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from core.callbacks import ignore

if TYPE_CHECKING:
    import asyncio

Start: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
"""Makes a coroutine."""

Complete: TypeAlias = Callable[[Start], object]
"""Runs a coroutine. Returns its result, or raises what it raised."""


def run_alone(start: Start) -> object:
    """Run a coroutine on a loop of its own, which ends with it. Returns its result."""
    import asyncio  # only for coroutines

    return asyncio.run(start())


class EventLoop:
    """An event loop and its thread.

    Args:
        on_death: called in the thread, while its error is handled, when the loop can't go on.
    """

    def __init__(self, on_death: Callable[[], object] = ignore) -> None:
        self._on_death = on_death
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: queue.SimpleQueue[asyncio.AbstractEventLoop | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="event-loop", daemon=True)
        self._leaving = False
        self._asked_at: float | None = None
        """The time at which the loop was asked for a sign of life that it has not given yet, or None."""

    @property
    def thread(self) -> int | None:
        """The identifier of the thread, or None before it runs."""
        return self._thread.ident

    def get(self) -> "asyncio.AbstractEventLoop":
        """Return the loop, which runs.

        Raises:
            BaseException: it can't be made.
        """
        with self._lock:
            if self._loop is None:
                if self._thread.ident is None:
                    self._thread.start()
                made = self._started.get()
                if isinstance(made, BaseException):
                    self._started.put(made)  # for the next one who asks
                    raise made
                self._loop = made
            return self._loop

    def run(self, start: Start) -> object:
        """Run a coroutine, and wait for its end. Returns its result, or raises what it raised."""
        return LoopCall(self).run(start)

    def blocked_for(self, now: float) -> float:
        """Return the seconds for which the loop has done nothing but one step of one task; 0.0 when it goes on.

        It looks once a call: a step that began after the last call is not noticed yet.

        Args:
            now: a time of the monotonic clock.
        """
        if self._asked_at is None:
            self._asked_at = now
            self.get().call_soon_threadsafe(self._answer)
            return 0.0
        return now - self._asked_at

    def close(self) -> None:
        """Cancel what still runs, and end the loop. A loop that never ran costs nothing."""
        if self._loop is not None and self._thread.is_alive():
            self._leaving = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _answer(self) -> None:
        self._asked_at = None

    def _serve(self) -> None:
        try:
            self._run_loop()
        except BaseException as error:  # noqa: BLE001 - who waits for the loop must learn it
            self._started.put(error)
            self._on_death()

    def _run_loop(self) -> None:
        import asyncio  # only for coroutines

        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            self._started.put(loop)
            while not self._leaving:
                # A task may stop the loop, or raise what ends it; who waits for the task learns that from its outcome.
                with suppress(SystemExit, KeyboardInterrupt):
                    loop.run_forever()


class LoopCall:
    """One coroutine on a loop, for which a thread waits.

    Args:
        loop: the loop.
    """

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._task: asyncio.Task[object] | None = None
        self._reason: Exception | None = None
        self._is_cancelled = False
        self._failure: BaseException | None = None
        """Why there is no task: a factory of the user's has refused to make one."""
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def coroutine(self) -> object:
        """The coroutine, or None before it has started and after its end."""
        task = self._task  # read once: its end may come at any moment
        return None if task is None else task.get_coro()

    @property
    def is_current(self) -> bool:
        """Whether the loop is at a step of this coroutine."""
        from asyncio import current_task  # only for coroutines

        return self._task is not None and current_task(self._loop.get()) is self._task

    def run(self, start: Start) -> object:
        """Start the coroutine in the context of this thread, and wait for its end. Returns its result.

        Raises:
            BaseException: what it raised; the reason of `cancel` in place of the `CancelledError` that came of it.
        """
        self._loop.get().call_soon_threadsafe(self._begin, start)
        self._ended.get()
        if self._task is None:
            raise self._failure or RuntimeError("the event loop has made no task")
        try:
            return self._task.result()
        except BaseException as error:
            if self._reason is None or not self._task.cancelled():
                raise
            raise self._reason.with_traceback(error.__traceback__) from None
        finally:
            self._task = None  # its error's traceback refers to this frame, which refers to it

    def cancel(self, reason: Exception) -> None:
        """Cancel the coroutine once, however often this is called, also one that has not started."""
        self._reason = self._reason or reason
        self._loop.get().call_soon_threadsafe(self._cancel)

    def _begin(self, start: Start) -> None:
        coroutine = start()
        try:
            self._task = self._loop.get().create_task(coroutine)
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            coroutine.close()
            self._failure = error
            self._ended.put(None)
            return
        self._task.add_done_callback(self._end)
        if self._reason is not None:
            self._cancel()

    def _cancel(self) -> None:
        task = self._task
        if task is not None and not self._is_cancelled:
            self._is_cancelled = True
            task.cancel()

    def _end(self, _: object) -> None:
        self._ended.put(None)
