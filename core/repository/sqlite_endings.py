"""The endings in SQLite: which tasks each transaction has ended, in the order of the commits.

Times do not tell that order: an outcome gets its time before its transaction has the write lock, and may wait long
for it. A number that is given within the transaction does, because SQLite runs one writing transaction at a time.
"""

from collections.abc import Sequence

import msgspec

from core.database import Database
from core.repository import rows

KEPT = 5000
"""Transactions whose endings are kept, for readers that fall behind."""

PRUNE_INTERVAL = 100
"""Transactions between two removals of old endings."""

SELECT = "SELECT number, key AS place, value AS ended FROM endings, json_each(seqs) WHERE number > ?"
"""Selects the tasks that have ended after a number; `number` and `place` are their order."""


def record(database: Database, seqs: Sequence[int]) -> None:
    """Record the tasks that a transaction has ended, at its end."""
    if seqs:
        _insert(database, msgspec.json.encode(seqs).decode())


def record_moved(database: Database) -> None:
    """Record that a transaction has moved tasks that had ended. Lists of results must be read anew."""
    _insert(database, None)


def _insert(database: Database, seqs: str | None) -> None:
    number = database.number("INSERT INTO endings (seqs) VALUES (?) RETURNING number", (seqs,))
    if number % PRUNE_INTERVAL == 0:
        database.execute("DELETE FROM endings WHERE number <= ?", (number - KEPT,))


def last(database: Database) -> int:
    """Return the number of the last transaction that ended tasks."""
    return database.number("SELECT max(number) FROM endings")


def last_after(database: Database, number: int) -> int | None:
    """Return the last number, or None when the tasks that ended after `number` are no longer known."""
    [(known, newest)] = database.execute("SELECT count(seqs), max(number) FROM endings WHERE number > ?", (number,))
    newest = number if newest is None else rows.integer(newest)
    return newest if rows.integer(known) == newest - number else None
