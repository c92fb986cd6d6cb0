"""A worker that acknowledges before it has stored the outcome."""

import sys
import threading
from collections.abc import Callable, Sequence

from core.launch import launch
from core.model import Outcome
from core.repository.base import OpenRepository
from core.threads import OnDeath
from core.worker import options, program
from core.worker.__main__ import run
from core.worker.in_flight import InFlightTask
from core.worker.recorder import Recorder

STORE_DELAY = 0.2
"""Seconds between the acknowledgement and the storing."""


class EarlyRecorder(Recorder):
    """Acknowledges at once, and has outcomes stored a moment later."""

    def __init__(
        self,
        open_repository: OpenRepository,
        acknowledge: Callable[[Sequence[InFlightTask]], None],
        on_generation: Callable[[int], None],
        on_death: OnDeath,
    ) -> None:
        super().__init__(open_repository, lambda _: None, on_generation, on_death)
        self._acknowledge_now = acknowledge

    def finish(self, task: InFlightTask, outcome: Outcome) -> None:
        """Acknowledge, and store later."""
        self._acknowledge_now([task])
        threading.Timer(STORE_DELAY, super().finish, (task, outcome)).start()

    def drop(self, task: InFlightTask) -> None:
        """Acknowledge a task that was not begun."""
        self._acknowledge_now([task])


if __name__ == "__main__":
    program.Recorder = EarlyRecorder  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.early_worker", "Acknowledge too early.", options.OPTIONS, run))
