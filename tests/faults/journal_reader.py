"""Reads a journal for the judge with its own SQL: none of the code under test takes part."""

from pathlib import Path

import apsw
import msgspec

MAX_LOG_BYTES = 64 * 1024 * 1024
"""Most bytes of the write-ahead log of a system at rest."""


class Row(msgspec.Struct, frozen=True):
    """A task in the journal."""

    id: str
    state: str
    result: str | None
    attempts: int
    error_type: str | None

    @property
    def ended(self) -> bool:
        """Whether the task has ended."""
        return self.state in {"done", "failed", "cancelled"}


class JournalContents(msgspec.Struct, frozen=True):
    """The contents of a journal."""

    rows: dict[str, Row]
    count: int
    """The number of rows."""
    ledger: dict[str, int]
    """The counts by state that the system keeps."""
    integrity: str
    """`ok`, or the damage of the file."""
    log_bytes: int
    """The size of the write-ahead log."""


def read(path: Path, *, thorough: bool = True) -> JournalContents:
    """Read a journal.

    Args:
        path: of the file.
        thorough: whether to check the integrity of the file, which is slow for a large one.
    """
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        with connection:
            rows = [
                Row(*row) for row in connection.execute("SELECT id, state, result, attempts, error_type FROM tasks")
            ]
            ledger = dict(connection.execute("SELECT state, tasks FROM ledger"))
        integrity = "not checked"
        if thorough:
            integrity = "; ".join(str(text) for (text,) in connection.execute("PRAGMA integrity_check"))
    finally:
        connection.close()
    return JournalContents({row.id: row for row in rows}, len(rows), ledger, integrity, size)


def unfinished(path: Path) -> int:
    """Return the number of tasks that have not ended."""
    return _number(path, "SELECT sum(tasks) FROM ledger WHERE state NOT IN ('done', 'failed', 'cancelled')")


def has_unfinished_honest(path: Path) -> bool:
    """Return whether a task of the honest client, `t-` and its number, has not ended."""
    statement = (
        "SELECT EXISTS (SELECT 1 FROM tasks WHERE id GLOB 't-[0-9]*' AND id NOT GLOB 't-*[^0-9]*'"
        " AND state NOT IN ('done', 'failed', 'cancelled'))"
    )
    return _number(path, statement) == 1


def _number(path: Path, statement: str) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        row = connection.execute(statement).fetchone()
        return int(row[0]) if row else 0
    finally:
        connection.close()
