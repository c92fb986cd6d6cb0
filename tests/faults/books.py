"""Reads a journal for the judge with SQL of its own: none of the code that is judged takes part."""

from pathlib import Path

import apsw
import msgspec

MOST_LOG = 64 * 1024 * 1024
"""Bytes that a write-ahead log may have at rest."""


class Row(msgspec.Struct, frozen=True):
    """One task as it stands in the journal."""

    id: str
    state: str
    result: str | None
    attempts: int
    error_type: str | None

    @property
    def ended(self) -> bool:
        """Whether it has its outcome."""
        return self.state in {"done", "failed", "cancelled"}


class Books(msgspec.Struct, frozen=True):
    """A whole journal."""

    rows: dict[str, Row]
    count: int
    """How many rows there are."""
    ledger: dict[str, int]
    """The running totals that the system itself keeps."""
    integrity: str
    """`ok`, or what is wrong with the file."""
    log_bytes: int
    """Of the write-ahead log."""


def read(path: Path, *, thorough: bool = True) -> Books:
    """Read a journal.

    Args:
        path: of the file.
        thorough: check the whole file too, which takes long for a large one.
    """
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        with connection:
            found = [
                Row(*row) for row in connection.execute("SELECT id, state, result, attempts, error_type FROM tasks")
            ]
            ledger = dict(connection.execute("SELECT state, tasks FROM ledger"))
        integrity = "not checked"
        if thorough:
            integrity = "; ".join(str(text) for (text,) in connection.execute("PRAGMA integrity_check"))
    finally:
        connection.close()
    return Books({row.id: row for row in found}, len(found), ledger, integrity, size)


def unfinished(path: Path) -> int:
    """How many tasks have not ended."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        found = connection.execute(
            "SELECT sum(tasks) FROM ledger WHERE state NOT IN ('done', 'failed', 'cancelled')"
        ).fetchone()
        return int(found[0]) if found else 0
    finally:
        connection.close()
