"""Detects when tasks are stored: another process sees them in the journal when their commit is on disk.

The journal's own `stored_at` is a little earlier, from before the commit.
The journal is polled about every millisecond and never written; a poll without news costs some microseconds.
"""

import threading
import time
from pathlib import Path

from core.closeable import Closeable
from core.database import Database
from core.repository.sqlite import FAULTS
from tests.benchmarks.case import TasksLost

POLL_INTERVAL = 0.001
"""Seconds between two polls."""

OVERLAP = 0.1
"""Seconds by which a worker may commit an earlier time after another worker's commit."""


class StorageWatcher(Closeable):
    """Watches a journal from its creation on.

    Args:
        path: of the journal.
        workers: number of workers that store results.
    """

    def __init__(self, path: Path, workers: int = 1) -> None:
        self._path = path
        self._overlap = OVERLAP if workers > 1 else 0.0
        self._began = time.time()
        with Database(path, FAULTS, readonly=True) as database:
            self._first = database.number("SELECT max(seq) FROM tasks")
        self._seen: dict[int, float] = {}
        self._news = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def wait(self, tasks: int, seconds: float = 60.0) -> None:
        """Wait until so many tasks have been stored since the creation.

        Raises:
            TasksLost: they were not stored in time.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._seen) >= tasks, seconds):
                raise TasksLost(f"{tasks} tasks were accepted, and {len(self._seen)} of them were stored in time")

    def stored(self) -> dict[str, float]:
        """Return when each task submitted since was seen, by its id."""
        with Database(self._path, FAULTS, readonly=True) as database:
            rows = database.execute("SELECT seq, id FROM tasks WHERE seq > ?", (self._first,))
        return {str(task_id): self._seen[seq] for seq, task_id in rows if isinstance(seq, int) and seq in self._seen}

    def close(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with Database(self._path, FAULTS, readonly=True) as database:
            version, last = -1, self._began - self._overlap
            while not self._stopped.wait(POLL_INTERVAL):
                current = database.version()
                if current == version:
                    continue
                version = current
                rows = database.execute(
                    # The plus sign keeps SQLite from scanning all new rows instead of those stored recently.
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
