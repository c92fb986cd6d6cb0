"""A worker that acknowledges the message it received last, not the one whose task has ended."""

import sys
from collections.abc import Sequence

from core.broker.base import Delivery
from core.launch import launch
from core.repository.beginnings import WorkerBeginnings
from core.worker import options, program
from core.worker.__main__ import run
from core.worker.in_flight import InFlightTask, InFlightTasks


class MistakenInFlightTasks(InFlightTasks):
    """Mixes up the deliveries, as a wrongly captured variable would."""

    def __init__(self, beginnings: WorkerBeginnings | None = None) -> None:
        super().__init__(beginnings)
        self._last: Delivery | None = None

    def add(self, task: InFlightTask) -> Delivery | None:
        """Add an attempt, and remember its delivery."""
        self._last = task.delivery
        return super().add(task)

    def remove(self, tasks: Sequence[InFlightTask]) -> list[Delivery]:
        """Remove tasks, and return another delivery."""
        super().remove(tasks)
        return [] if self._last is None else [self._last]


if __name__ == "__main__":
    program.InFlightTasks = MistakenInFlightTasks  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.mistaken_worker", "Acknowledge the wrong message.", options.OPTIONS, run))
