"""Results in SQLite, for the peers that bring nothing of the kind: a row each, durable before anybody goes on."""

import threading
from pathlib import Path

from core.closeable import Closeable
from core.database import Database
from core.repository.sqlite import FAULTS

COUNT = "SELECT count(*) FROM results"
"""Counts them."""


class Results(Closeable):
    """A table of results, used by the threads of one process in turn.

    Args:
        path: of the database, which other processes may write to as well.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = Database(path, FAULTS)
        self._database.execute("CREATE TABLE IF NOT EXISTS results (id TEXT PRIMARY KEY, result BLOB) WITHOUT ROWID")

    def store(self, key: str, result: bytes) -> None:
        """Store one with a commit of its own; on return it has reached the disk."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (key, result))

    def load(self, key: str) -> bytes | None:
        """The result of this key, if there is one."""
        with self._lock:
            rows = self._database.execute("SELECT result FROM results WHERE id = ?", (key,))
        found = rows[0][0] if rows else None
        return found if isinstance(found, bytes) else None

    def rows(self) -> int:
        """How many there are."""
        with self._lock:
            return self._database.number(COUNT)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
