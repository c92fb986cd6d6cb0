"""The tasks in flight: each between its delivery to the worker and the acknowledgement.

The broker may deliver an attempt again while the worker still has it: the connection was lost meanwhile, or the
attempt was published twice. The later delivery replaces the earlier one, since the broker certainly waits for it.
"""

import threading
from collections.abc import Callable, Collection, Sequence

from core.broker.base import Delivery, Reference
from core.model import Assignment, TaskReport, TaskStack
from core.repository.beginnings import NO_SLOT, WorkerBeginnings


class InFlightTask:
    """One attempt at a task that was delivered to the worker."""

    __slots__ = (
        "assignment",
        "begun",
        "cancelling",
        "delivery",
        "number",
        "reference",
        "report",
        "runner",
        "slot",
        "stack",
        "suspect",
        "taken_at",
        "unwanted",
    )

    def __init__(
        self, assignment: Assignment, reference: Reference, delivery: Delivery, taken_at: float, *, suspect: bool
    ) -> None:
        self.assignment = assignment
        self.reference = reference
        self.delivery = delivery
        self.taken_at = taken_at
        self.suspect = suspect
        """Whether it was delivered before, and may have killed the worker that ran it."""
        self.number = assignment.attempts + assignment.lost + 1
        """The number of the attempt among all of the task. A strike corrects it: it records what was lost before."""
        self.begun = False
        """Whether a runner has it, or its outcome waits to be stored."""
        self.slot = NO_SLOT
        """Its place among the beginnings of the worker, while it has begun."""
        self.cancelling = assignment.cancelling
        """Whether it was cancelled while it ran, here or elsewhere."""
        self.runner = 0
        """The number of the runner that has it, within the worker."""
        self.report: TaskReport | None = None
        """What the attempt has said of itself, if anything."""
        self.stack: TaskStack | None = None
        """Where its code is, if it has run for a while."""
        self.unwanted = False
        """Whether it was cancelled, has ended elsewhere or was published again while it waited here."""


class InFlightTasks:
    """All tasks in flight, by number and attempt. Thread-safe.

    Args:
        beginnings: gives each task that begins its slot; None to give none.
    """

    def __init__(self, beginnings: WorkerBeginnings | None = None) -> None:
        self._beginnings = beginnings
        self._tasks: dict[tuple[int, int], InFlightTask] = {}
        self._generation = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: InFlightTask) -> Delivery | None:
        """Add an attempt. Returns None for a new one.

        An attempt that is in flight already goes on with the new delivery. Returns the former one, which must be
        acknowledged.
        """
        with self._lock:
            known = self._tasks.setdefault(_key(task), task)
            if known is task:
                return None
            former = known.delivery
            known.delivery, known.reference, known.unwanted = task.delivery, task.reference, False
            return former

    def begin(self, task: InFlightTask, is_held: Callable[[Delivery], bool]) -> bool:
        """Mark a task as begun, and give it a slot.

        Returns False, and removes the task, when the broker does not wait for it any more.
        Such a task is delivered again, perhaps to another worker, and would run twice.
        An unwanted task is removed too: if it is delivered again from now on, it counts as a new one.
        So is one of a former queue.
        """
        with self._lock:
            still_held = is_held(task.delivery)
            task.unwanted = task.unwanted or task.reference.is_outdated(self._generation)
            if still_held and not task.unwanted:
                task.begun = True
                self._take_slot(task)
            else:
                self._discard(task)
            return still_held

    def give_back(self, task: InFlightTask) -> None:
        """Mark a task as not begun: the runner that had it did not begin it, or has died."""
        with self._lock:
            task.begun = False
            self._free_slot(task)

    def waiting(self, before: float) -> list[InFlightTask]:
        """Return the tasks that were delivered before this time and have not begun."""
        with self._lock:
            return [task for task in self._tasks.values() if not task.begun and task.taken_at < before]

    def cancel(self, seqs: Collection[int]) -> list[InFlightTask]:
        """Mark tasks as cancelled while they ran. Returns those that were not marked before and have begun."""
        with self._lock:
            found = [each for each in self._tasks.values() if each.assignment.seq in seqs and not each.cancelling]
            for task in found:
                task.cancelling = True
            return [task for task in found if task.begun]

    def set_wanted(self, task: InFlightTask, *, wanted: bool) -> None:
        """Note whether a task is still wanted. Does nothing once it has begun: its delivery must then stay."""
        with self._lock:
            if not task.begun:
                task.unwanted = not wanted

    def leave_former_queues(self, generation: int) -> None:
        """Begin no task from now on that was published before this generation of the queue."""
        with self._lock:
            self._generation = max(self._generation, generation)

    def outdated(self, generation: int) -> list[Delivery]:
        """Return the deliveries of the tasks that were published before this generation of the queue."""
        with self._lock:
            return [task.delivery for task in self._tasks.values() if task.reference.is_outdated(generation)]

    def remove(self, tasks: Sequence[InFlightTask]) -> list[Delivery]:
        """Remove tasks. Returns the deliveries to acknowledge."""
        with self._lock:
            for task in tasks:
                self._discard(task)
            return [task.delivery for task in tasks]

    def _discard(self, task: InFlightTask) -> None:
        if self._tasks.get(_key(task)) is task:
            del self._tasks[_key(task)]
        self._free_slot(task)

    def _take_slot(self, task: InFlightTask) -> None:
        if self._beginnings is not None:
            # The strike of a suspect is stored, so that other processes need not learn of its beginning here.
            seq = 0 if task.suspect else task.assignment.seq
            task.slot = self._beginnings.add(seq, task.assignment.attempts, task.reference.at, task.taken_at)

    def _free_slot(self, task: InFlightTask) -> None:
        if task.slot != NO_SLOT and self._beginnings is not None:
            self._beginnings.remove(task.slot)
            task.slot = NO_SLOT


def _key(task: InFlightTask) -> tuple[int, int]:
    return task.assignment.seq, task.assignment.attempts
