"""The waiters for the ends of tasks, by task and by deadline. Pure: the time is an argument."""

import heapq
import itertools
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import msgspec

SLACK = 1000
"""The heap may hold the deadlines of this many removed waiters, and of as many more as there are waiters."""

Ticket = TypeVar("Ticket")


class Waiter(msgspec.Struct, Generic[Ticket], eq=False):
    """A request to be answered when the task has ended, or at the deadline (a time of the monotonic clock)."""

    ticket: Ticket
    task_id: str
    deadline: float


class Waiters(Generic[Ticket]):
    """The waiters of one server.

    Args:
        is_disconnected: returns whether the client of a ticket has disconnected. A client that connects, asks and
            disconnects again and again must not leave a waiter until the deadline each time.
    """

    def __init__(self, is_disconnected: Callable[[Ticket], bool] = lambda _: False) -> None:
        self._is_disconnected = is_disconnected
        # The waiters of a task by identity: very many may wait for the same task, and each must be found at once.
        self._by_task: dict[str, dict[int, Waiter[Ticket]]] = {}
        self._by_deadline: list[tuple[float, int, Waiter[Ticket]]] = []
        self._numbers = itertools.count()
        self._count = 0
        self._drop_disconnected_at = SLACK

    def __bool__(self) -> bool:
        return bool(self._by_task)

    @property
    def ids(self) -> Collection[str]:
        """The ids of the awaited tasks."""
        return self._by_task.keys()

    def add(self, waiter: Waiter[Ticket]) -> None:
        """Add a waiter."""
        self._by_task.setdefault(waiter.task_id, {})[id(waiter)] = waiter
        heapq.heappush(self._by_deadline, (waiter.deadline, next(self._numbers), waiter))
        self._count += 1
        if self._count > self._drop_disconnected_at:
            self._drop_disconnected()
            self._drop_disconnected_at = 2 * self._count + SLACK
        if len(self._by_deadline) > 2 * self._count + SLACK:
            self._drop_stale_deadlines()

    def _drop_stale_deadlines(self) -> None:
        """Drop the deadlines of removed waiters, which may outnumber the others."""
        present = {number for waiters in self._by_task.values() for number in waiters}
        self._by_deadline = [entry for entry in self._by_deadline if id(entry[2]) in present]
        heapq.heapify(self._by_deadline)

    def _drop_disconnected(self) -> None:
        """Remove the waiters whose client has disconnected."""
        for _, _, waiter in self._by_deadline:
            if self._is_disconnected(waiter.ticket):
                self._remove(waiter)

    def _remove(self, waiter: Waiter[Ticket]) -> bool:
        """Remove a waiter. Returns whether it was present."""
        waiters = self._by_task.get(waiter.task_id, {})
        if waiters.pop(id(waiter), None) is None:
            return False
        self._count -= 1
        if not waiters:
            del self._by_task[waiter.task_id]
        return True

    def pop(self, task_id: str) -> list[Waiter[Ticket]]:
        """Remove and return the waiters for a task."""
        popped = list(self._by_task.pop(task_id, {}).values())
        self._count -= len(popped)
        return popped

    def pop_overdue(self, now: float) -> list[Waiter[Ticket]]:
        """Remove and return the waiters whose deadline has passed."""
        overdue: list[Waiter[Ticket]] = []
        while self._by_deadline and self._by_deadline[0][0] <= now:
            _, _, waiter = heapq.heappop(self._by_deadline)
            if self._remove(waiter):
                overdue.append(waiter)
        return overdue

    def pop_all(self) -> list[Waiter[Ticket]]:
        """Remove and return all waiters."""
        popped = [waiter for waiters in self._by_task.values() for waiter in waiters.values()]
        self._by_task.clear()
        self._by_deadline.clear()
        self._count = 0
        return popped
