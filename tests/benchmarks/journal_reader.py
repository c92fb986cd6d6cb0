"""Reads a journal in another process: the tasks that a benchmark has submitted, and when they were stored."""

import threading
import time
from pathlib import Path

from core.closeable import Closeable
from core.database import Database, Value
from core.model import State
from core.repository.sqlite import FAULTS
from tests.benchmarks.case import TasksLost
from tests.services.waiting import wait_until

PATIENCE = 300.0
"""Seconds after which tasks that have not ended count as lost."""

POLL_INTERVAL = 0.001
"""Seconds between two reads of `wait_for_count`."""


class JournalReader(Closeable):
    """A reader of the tasks submitted since the last `start_counting`."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, FAULTS, readonly=True)
        self._last = 0

    def start_counting(self) -> None:
        """Count only the tasks submitted from now on."""
        self._last = self._database.number("SELECT max(seq) FROM tasks")

    def submitted(self) -> int:
        """Return the number of tasks submitted since."""
        return self._database.number("SELECT count(*) FROM tasks WHERE seq > ?", (self._last,))

    def done(self) -> int:
        """Return the number of those that are done, with a result."""
        return self._database.number(
            "SELECT count(*) FROM tasks WHERE seq > ? AND state = 'done' AND result IS NOT NULL", (self._last,)
        )

    def first(self, step: str) -> float:
        """Return the earliest time of a step, such as `sent`."""
        return self._moment(f"SELECT min({step}_at) FROM tasks WHERE seq > ?")  # noqa: S608 - the caller's constant

    def count_in_state(self, state: State) -> int:
        """Return the number of tasks of the whole journal in a state, from the ledger."""
        return self._database.number("SELECT tasks FROM ledger WHERE state = ?", (state.value,))

    def wait_for_state(self, state: State, tasks: int) -> None:
        """Wait until the ledger has at least so many tasks in a state.

        Raises:
            TasksLost: they don't get there in time.
        """
        try:
            wait_until(lambda: self.count_in_state(state) >= tasks, f"{tasks} tasks to be {state}", PATIENCE)
        except AssertionError as late:
            raise TasksLost(str(late)) from late

    def wait_for_count(self, state: State, tasks: int) -> tuple[int, float]:
        """Wait as `wait_for_state` does, reading every millisecond. Returns the number of tasks then, and the time.

        The journal's own times are from before each commit, and one commit may have a thousand tasks.

        Raises:
            TasksLost: they don't get there in time.
        """
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE
        while (count := self.count_in_state(state)) < tasks:
            if time.monotonic() > deadline:
                raise TasksLost(f"{tasks} tasks were not {state} within {PATIENCE:g} seconds, only {count}")
            pause.wait(POLL_INTERVAL)
        return count, time.time()

    def close(self) -> None:
        """Close the journal."""
        self._database.close()

    def _moment(self, statement: str) -> float:
        moment: Value = self._database.execute(statement, (self._last,))[0][0]
        if not isinstance(moment, float):
            raise TasksLost("no task has got so far")
        return moment
