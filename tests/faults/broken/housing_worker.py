"""A worker that does what a task does with the journal's files in its own process, as if the task ran there."""

import sys

from core import jsontext
from core.launch import launch
from core.model import Outcome
from core.worker import options, program
from core.worker.__main__ import run
from core.worker.in_flight import InFlightTask
from core.worker.recorder import Recorder
from tests.faults.journal_users import USES


class HousingRecorder(Recorder):
    """Uses the files beside its own connection to them."""

    def finish(self, task: InFlightTask, outcome: Outcome) -> None:
        """Use the files, and store the outcome."""
        use = USES.get(task.assignment.kind)
        if use is not None:
            use(jsontext.parse(task.assignment.payload.encode())["journal"])
        super().finish(task, outcome)


if __name__ == "__main__":
    program.Recorder = HousingRecorder  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.housing_worker", "Run tasks beside the journal.", options.OPTIONS, run))
