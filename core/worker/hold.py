"""What a worker holds: each task between its delivery and its acknowledgement.

A task may be delivered a second time while the first delivery is still held (the connection was lost meanwhile).
The later delivery takes the earlier one's place: it is the one that the broker waits for.
"""

import threading
from collections.abc import Sequence

from core.broker.base import Delivery, Reference
from core.model import Assignment


class Held:
    """One task that the worker holds."""

    __slots__ = ("assignment", "delivery", "reference", "suspect", "taken_at")

    def __init__(
        self, assignment: Assignment, reference: Reference, delivery: Delivery, taken_at: float, *, suspect: bool
    ) -> None:
        self.assignment = assignment
        self.reference = reference
        self.delivery = delivery
        self.taken_at = taken_at
        self.suspect = suspect
        """It was delivered before, and may be what killed the worker that had it."""


class Hold:
    """All of them, by the task's number. May be used from several threads."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: Held) -> bool:
        """Hold a task; False when it is held already, and only the delivery is new."""
        with self._lock:
            known = self._held.get(held.assignment.seq)
            if known is None:
                self._held[held.assignment.seq] = held
                return True
            known.delivery = held.delivery
            return False

    def take_out(self, tasks: Sequence[Held]) -> list[Delivery]:
        """Let go of tasks; the deliveries to acknowledge for them."""
        with self._lock:
            for held in tasks:
                self._held.pop(held.assignment.seq, None)
        return [held.delivery for held in tasks]
