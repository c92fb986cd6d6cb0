"""Reads a journal from outside, to tell what became of the tasks that a benchmark has submitted, and when."""

import threading
import time
from pathlib import Path

from core.closeable import Closeable
from core.database import Database, Value
from core.model import State
from core.repository.sqlite import FAULTS
from tests.benchmarks.case import Lost
from tests.services.waiting import wait_until

PATIENCE = 300.0
"""Seconds after which tasks that have not come through count as lost."""

LOOK = 0.001
"""Seconds between two looks of `reach`."""


class Book(Closeable):
    """The tasks of a journal that were submitted after the last `turn`."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, FAULTS, readonly=True)
        self._last = 0

    def turn(self) -> None:
        """Begin a new page: the tasks that are there now are not counted from here on."""
        self._last = self._database.number("SELECT max(seq) FROM tasks")

    def submitted(self) -> int:
        """How many tasks there are on this page."""
        return self._database.number("SELECT count(*) FROM tasks WHERE seq > ?", (self._last,))

    def done(self) -> int:
        """How many of them are done, with a result."""
        return self._database.number(
            "SELECT count(*) FROM tasks WHERE seq > ? AND state = 'done' AND result IS NOT NULL", (self._last,)
        )

    def first(self, hop: str) -> float:
        """The first of the moments of a hop, such as `sent`."""
        return self._moment(f"SELECT min({hop}_at) FROM tasks WHERE seq > ?")  # noqa: S608 - a word of the caller's own

    def in_state(self, state: State) -> int:
        """How many tasks of the whole journal are in a state, by its running totals."""
        return self._database.number("SELECT tasks FROM ledger WHERE state = ?", (state.value,))

    def wait_in_state(self, state: State, tasks: int) -> None:
        """Wait until the whole journal has at least so many tasks in a state, by its running totals.

        Raises:
            Lost: they don't come.
        """
        try:
            wait_until(lambda: self.in_state(state) >= tasks, f"{tasks} tasks to be {state}", PATIENCE)
        except AssertionError as late:
            raise Lost(str(late)) from late

    def reach(self, state: State, tasks: int) -> tuple[int, float]:
        """Wait as `wait_in_state` does, and look every millisecond: how many it was then, and when.

        The journal's own times are from before each commit, and one commit may hold a thousand tasks.

        Raises:
            Lost: they don't come.
        """
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE
        while (found := self.in_state(state)) < tasks:
            if time.monotonic() > deadline:
                raise Lost(f"waited {PATIENCE:g} seconds in vain for {tasks} tasks to be {state}: there are {found}")
            pause.wait(LOOK)
        return found, time.time()

    def close(self) -> None:
        """Let go of the journal."""
        self._database.close()

    def _moment(self, statement: str) -> float:
        moment: Value = self._database.execute(statement, (self._last,))[0][0]
        if not isinstance(moment, float):
            raise Lost("a task has not come so far")
        return moment
