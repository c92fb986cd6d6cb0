"""Sees tasks being stored, from outside: when another process finds them in the journal, their commit is on the disk.

The journal's own `stored_at` is a little earlier: the worker takes it before it commits.
It looks about every millisecond and writes nothing; a look while nothing has happened costs some microseconds.
"""

import threading
import time
from pathlib import Path

from core.closeable import Closeable
from core.database import Database
from core.repository.sqlite import FAULTS
from tests.benchmarks.case import Lost

LOOK = 0.001
"""Seconds between two looks."""

OVERLAP = 0.1
"""Seconds by which one worker's commit may overtake another's that has taken its time before."""


class Watch(Closeable):
    """Watches from its making on.

    Args:
        path: of the journal.
        workers: how many store results there.
    """

    def __init__(self, path: Path, workers: int = 1) -> None:
        self._path = path
        self._overlap = OVERLAP if workers > 1 else 0.0
        self._began = time.time()
        with Database(path, FAULTS, readonly=True) as database:
            self._first = database.number("SELECT max(seq) FROM tasks")
        self._seen: dict[int, float] = {}
        self._news = threading.Condition()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def wait(self, tasks: int, seconds: float = 60.0) -> None:
        """Wait until so many tasks have been stored since its making.

        Raises:
            Lost: they were not.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._seen) >= tasks, seconds):
                raise Lost(f"{tasks} tasks were accepted, and {len(self._seen)} of them were stored in time")

    def stored(self) -> dict[str, float]:
        """When each task that was submitted since was seen, by its id."""
        with Database(self._path, FAULTS, readonly=True) as database:
            rows = database.execute("SELECT seq, id FROM tasks WHERE seq > ?", (self._first,))
        return {str(task_id): self._seen[seq] for seq, task_id in rows if isinstance(seq, int) and seq in self._seen}

    def close(self) -> None:
        """Watch no longer."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        with Database(self._path, FAULTS, readonly=True) as database:
            version, last = -1, self._began - self._overlap
            while not self._end.wait(LOOK):
                current = database.version()
                if current == version:
                    continue
                version = current
                rows = database.execute(
                    # The sign keeps SQLite from walking through all new rows instead of those stored of late.
                    "SELECT stored_at, seq FROM tasks WHERE stored_at > ? AND +seq > ?",
                    (last - self._overlap, self._first),
                )
                now = time.time()
                with self._news:
                    for _, seq in rows:
                        if isinstance(seq, int):
                            self._seen.setdefault(seq, now)
                    self._news.notify_all()
                last = max([last, *(moment for moment, _ in rows if isinstance(moment, float))])
