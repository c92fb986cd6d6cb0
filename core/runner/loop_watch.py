"""Notices that a task blocks the event loop of its runner: no other `async def` task goes on, nor is one cancelled."""

from collections.abc import Callable, Sequence
from typing import Protocol

from core.runner import stacks
from core.runner.frames import LoopBlocked, Run
from core.tasks.event_loop import EventLoop, LoopCall

BLOCKED_AFTER = 2.0
"""Seconds after which a step of one task blocks the loop."""


class CoroutineRun(Protocol):
    """A run of a task."""

    @property
    def request(self) -> Run:
        """The task."""
        ...

    @property
    def call(self) -> LoopCall | None:
        """Its coroutine, or None for a function."""
        ...


class LoopWatch:
    """Watches an event loop. It belongs to the thread that checks the deadlines.

    Args:
        loop: the loop.
        report: tells the worker something. It must not block.
    """

    def __init__(self, loop: EventLoop, report: Callable[[LoopBlocked], None]) -> None:
        self._loop = loop
        self._report = report
        self._told = False
        self._was_silent = False
        """Whether the loop had not answered at the last check, either."""

    def check(self, now: float, runs: Sequence[CoroutineRun]) -> None:
        """Tell the worker when the loop is blocked, and when it no longer is.

        Args:
            now: a time of the monotonic clock.
            runs: the tasks that run. Without coroutines among them the loop is left alone.
        """
        calls = [(run.request, run.call) for run in runs if run.call is not None]
        blocked = self._loop.blocked_for(now) if calls else 0.0
        if blocked < BLOCKED_AFTER:
            if self._told and not blocked:
                self._told = False
                self._report(LoopBlocked("", ""))
        elif not self._told and self._was_silent:
            # Not when all of Python stood still since the last check, which is no coroutine's fault.
            self._told = True
            current = next((request.id for request, call in calls if call.is_current), "")
            self._report(LoopBlocked(current, stacks.stack_of(self._loop.thread)))
        self._was_silent = blocked > 0
