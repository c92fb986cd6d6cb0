"""What the tasks of a runner say of themselves, told to the worker a few times a second: the newest wins."""

import queue
import time
from collections import deque
from collections.abc import Callable

from core.model import Note, TaskProgress, TaskReport
from core.runner.frames import Report, Run, ToWorker
from core.tasks.reports import MAX_NOTES

INTERVAL = 0.25
"""Seconds between two times that the worker is told something."""


class RunReports:
    """The reports of a runner, and what the thread does that tells them.

    Args:
        send: tells the worker something. It must not block.
    """

    def __init__(self, send: Callable[[ToWorker], None]) -> None:
        self._send = send
        # No lock or event of Python may be used by tasks: an exception raised in a thread that has just acquired a lock
        # would leave it locked.
        self._changed: queue.SimpleQueue[RunReport] = queue.SimpleQueue()

    def note_change(self, report: "RunReport") -> None:
        """Tell the worker soon what a report says now."""
        self._changed.put(report)

    def tell(self, report: "RunReport") -> None:
        """Tell the worker what a report says now, unless it is told already."""
        if report.is_new:
            self._send(report.take())

    def run(self) -> None:
        """Tell the worker what is new, for ever."""
        while True:
            reports = {self._changed.get()}
            while not self._changed.empty():
                reports.add(self._changed.get())
            for report in reports:
                if not report.is_over:
                    self.tell(report)
            time.sleep(INTERVAL)


class RunReport:
    """What one run of a task says of itself. It is made when the task says something for the first time."""

    __slots__ = ("_notes", "_progress", "_reports", "_run", "is_new", "is_over")

    def __init__(self, run: Run, reports: RunReports) -> None:
        self._run = run
        self._reports = reports
        self._progress: TaskProgress | None = None
        self._notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self.is_new = False
        """Whether it says something that the worker was not told."""
        self.is_over = False
        """Whether the run has ended. What its threads say now counts no more."""

    def set_progress(self, progress: TaskProgress) -> None:
        """Take how far the task is."""
        self._progress = progress
        self._note_change()

    def add_note(self, text: str) -> None:
        """Take a note."""
        self._notes.append(Note(time.time(), text))
        self._note_change()

    def take(self) -> Report:
        """Return what it says, which is then no longer new."""
        # In this order: what is said from now on makes it new again.
        self.is_new = False
        run = self._run
        return Report(run.slot, run.id, run.attempt, TaskReport(self._progress, self._copy_notes()))

    def end(self) -> None:
        """Tell the worker what it was not told yet, before it learns that the run has ended."""
        self._reports.tell(self)
        self.is_over = True

    def _copy_notes(self) -> tuple[Note, ...]:
        while True:
            try:
                return tuple(self._notes)
            except RuntimeError:  # a thread of the task has added one meanwhile
                continue

    def _note_change(self) -> None:
        if not self.is_new:
            self.is_new = True
            self._reports.note_change(self)
