"""A store of results in SQLite, for peers without one: a durable row per result."""

import threading
from pathlib import Path

from core.closeable import Closeable
from core.database import Database
from core.repository.sqlite import FAULTS

COUNT = "SELECT count(*) FROM results"
"""SQL that counts the results."""


class Results(Closeable):
    """A table of results, shared by the threads of a process.

    Args:
        path: of the database; other processes may write to it too.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = Database(path, FAULTS)
        self._database.execute("CREATE TABLE IF NOT EXISTS results (id TEXT PRIMARY KEY, result BLOB) WITHOUT ROWID")

    def store(self, key: str, result: bytes) -> None:
        """Store a result with its own commit; it is on disk when this returns."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (key, result))

    def load(self, key: str) -> bytes | None:
        """Return the result of a key. Returns None when there is none."""
        with self._lock:
            rows = self._database.execute("SELECT result FROM results WHERE id = ?", (key,))
        value = rows[0][0] if rows else None
        return value if isinstance(value, bytes) else None

    def rows(self) -> int:
        """Return the number of results."""
        with self._lock:
            return self._database.number(COUNT)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
