"""What a worker holds: each task between its delivery and its acknowledgement.

An attempt at a task may be delivered again while it is still held: the connection was lost meanwhile, or it was
published twice. The later delivery takes the earlier one's place, since it is one that the broker certainly waits for.
"""

import threading
from collections.abc import Callable, Sequence

from core.broker.base import Delivery, Reference
from core.model import Assignment


class Held:
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
        """It was cancelled, or ended elsewhere, while it waited here for its turn."""


class Hold:
    """All of them, by the task's number and attempt. May be used from several threads."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], Held] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: Held) -> Delivery | None:
        """Hold an attempt; None when it is a new one.

        Otherwise only the delivery is new: the former one, which is returned, is to be acknowledged.
        """
        with self._lock:
            known = self._held.setdefault(_key(held), held)
            if known is held:
                return None
            former = known.delivery
            known.delivery = held.delivery
            return former

    def begin(self, held: Held, is_held: Callable[[Delivery], bool]) -> bool:
        """Note that a task is begun; False, and let go of it, when the broker waits for it no more.

        It is delivered again then, perhaps to another worker, and would run twice.
        """
        with self._lock:
            if is_held(held.delivery):
                held.begun = True
                return True
            self._held.pop(_key(held), None)
            return False

    def waiting(self, before: float) -> list[Held]:
        """Those that were taken before this time and have not begun."""
        with self._lock:
            return [held for held in self._held.values() if not held.begun and held.taken_at < before]

    def take_out(self, tasks: Sequence[Held]) -> list[Delivery]:
        """Let go of tasks; the deliveries to acknowledge for them."""
        with self._lock:
            for held in tasks:
                self._held.pop(_key(held), None)
            return [held.delivery for held in tasks]


def _key(held: Held) -> tuple[int, int]:
    return held.assignment.seq, held.assignment.attempts
