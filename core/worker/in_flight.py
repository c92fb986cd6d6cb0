"""What a worker holds: each task between its delivery and its acknowledgement.

An attempt at a task may be delivered again while it is still held: the connection was lost meanwhile, or it was
published twice. The later delivery takes the earlier one's place, since it is one that the broker certainly waits for.
"""

import threading
from collections.abc import Callable, Sequence

from core.broker.base import Delivery, Reference
from core.model import Assignment


class InFlightTask:
    """One attempt at a task that the worker holds."""

    __slots__ = ("assignment", "begun", "delivery", "reference", "suspect", "taken_at", "unwanted")

    def __init__(
        self, assignment: Assignment, reference: Reference, delivery: Delivery, taken_at: float, *, suspect: bool
    ) -> None:
        self.assignment = assignment
        self.reference = reference
        self.delivery = delivery
        self.taken_at = taken_at
        self.suspect = suspect
        """It was delivered before, and may be what killed the worker that had it."""
        self.begun = False
        self.unwanted = False
        """It was cancelled, ended elsewhere, or published anew, while it waited here for its turn."""


class InFlightTasks:
    """All of them, by the task's number and attempt. May be used from several threads."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], InFlightTask] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: InFlightTask) -> Delivery | None:
        """Hold an attempt; None when it is a new one.

        Otherwise only the message is new: the delivery of the former one, which is returned, is to be acknowledged.
        """
        with self._lock:
            known = self._held.setdefault(_key(held), held)
            if known is held:
                return None
            former = known.delivery
            known.delivery, known.reference, known.unwanted = held.delivery, held.reference, False
            return former

    def begin(self, held: InFlightTask, is_held: Callable[[Delivery], bool]) -> bool:
        """Note that a task is begun; False, and let go of it, when the broker waits for it no more.

        It is delivered again then, perhaps to another worker, and would run twice.
        One that is unwanted is let go of too: what may come of it from now on is another.
        """
        with self._lock:
            still_held = is_held(held.delivery)
            if still_held and not held.unwanted:
                held.begun = True
            else:
                self._let_go(held)
            return still_held

    def waiting(self, before: float) -> list[InFlightTask]:
        """Those that were taken before this time and have not begun."""
        with self._lock:
            return [held for held in self._held.values() if not held.begun and held.taken_at < before]

    def set_wanted(self, held: InFlightTask, *, wanted: bool) -> None:
        """Note whether a task is wanted; too late once it is begun: what came again meanwhile must not be let go of."""
        with self._lock:
            if not held.begun:
                held.unwanted = not wanted

    def outdated(self, generation: int) -> list[Delivery]:
        """The deliveries of those that were published before this generation of the queue began."""
        with self._lock:
            return [held.delivery for held in self._held.values() if held.reference.is_outdated(generation)]

    def remove(self, tasks: Sequence[InFlightTask]) -> list[Delivery]:
        """Let go of tasks; the deliveries to acknowledge for them."""
        with self._lock:
            for held in tasks:
                self._let_go(held)
            return [held.delivery for held in tasks]

    def _let_go(self, held: InFlightTask) -> None:
        if self._held.get(_key(held)) is held:
            del self._held[_key(held)]


def _key(held: InFlightTask) -> tuple[int, int]:
    return held.assignment.seq, held.assignment.attempts
