"""Who waits for which task to end, and until when. Pure: the time is an argument."""

import heapq
import itertools
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import msgspec

SLACK = 1000
"""How many deadlines of answered ones are kept, beside as many as still wait, before they are cleared away."""

Ticket = TypeVar("Ticket")


class Waiter(msgspec.Struct, Generic[Ticket], eq=False):
    """Tell when this task has ended, at the latest at `deadline` of the monotonic clock."""

    ticket: Ticket
    task_id: str
    deadline: float


class Waiters(Generic[Ticket]):
    """All that wait, by task and by deadline.

    Args:
        gone: tells whether nobody is there any more for this ticket: who asks and hangs up again and again must not
            be remembered each time until the deadline.
    """

    def __init__(self, gone: Callable[[Ticket], bool] = lambda _: False) -> None:
        self._gone = gone
        # Of one task by their identity: very many may wait for the same, and each is to be found at once.
        self._by_task: dict[str, dict[int, Waiter[Ticket]]] = {}
        self._by_deadline: list[tuple[float, int, Waiter[Ticket]]] = []
        self._numbers = itertools.count()
        self._open = 0
        self._look_for_gone_at = SLACK

    def __bool__(self) -> bool:
        return bool(self._by_task)

    @property
    def ids(self) -> Collection[str]:
        """The tasks that are waited for."""
        return self._by_task.keys()

    def add(self, watch: Waiter[Ticket]) -> None:
        """One more waits."""
        self._by_task.setdefault(watch.task_id, {})[id(watch)] = watch
        heapq.heappush(self._by_deadline, (watch.deadline, next(self._numbers), watch))
        self._open += 1
        if self._open > self._look_for_gone_at:
            self._forget_gone()
            self._look_for_gone_at = 2 * self._open + SLACK
        if len(self._by_deadline) > 2 * self._open + SLACK:
            self._forget_answered()

    def _forget_answered(self) -> None:
        """Drop the deadlines of those that were answered before: there may be many more of them than of others."""
        open_ = {number for waiting in self._by_task.values() for number in waiting}
        self._by_deadline = [entry for entry in self._by_deadline if id(entry[2]) in open_]
        heapq.heapify(self._by_deadline)

    def _forget_gone(self) -> None:
        """Drop those that nobody waits for any more."""
        for _, _, watch in self._by_deadline:
            if self._gone(watch.ticket):
                self._remove(watch)

    def _remove(self, watch: Waiter[Ticket]) -> bool:
        """Let it wait no more; whether it did."""
        waiting = self._by_task.get(watch.task_id, {})
        if waiting.pop(id(watch), None) is None:
            return False
        self._open -= 1
        if not waiting:
            del self._by_task[watch.task_id]
        return True

    def take(self, task_id: str) -> list[Waiter[Ticket]]:
        """All that wait for this task; they wait no more."""
        taken = list(self._by_task.pop(task_id, {}).values())
        self._open -= len(taken)
        return taken

    def take_overdue(self, now: float) -> list[Waiter[Ticket]]:
        """Those whose deadline has passed; they wait no more."""
        overdue: list[Waiter[Ticket]] = []
        while self._by_deadline and self._by_deadline[0][0] <= now:
            _, _, watch = heapq.heappop(self._by_deadline)
            if self._remove(watch):
                overdue.append(watch)
        return overdue

    def take_all(self) -> list[Waiter[Ticket]]:
        """Everybody; nobody waits any more."""
        everybody = [watch for waiting in self._by_task.values() for watch in waiting.values()]
        self._by_task.clear()
        self._by_deadline.clear()
        self._open = 0
        return everybody
