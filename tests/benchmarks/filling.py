"""Fills a journal with made-up results, much faster than submitting tasks."""

import time
from pathlib import Path

from core.database import Database
from core.repository.sqlite import FAULTS, open_sqlite

BATCH = 50_000
"""Rows in a transaction."""


def fill(path: Path, rows: int) -> None:
    """Make a journal with so many results."""
    open_sqlite(path, durable=False).close()
    kinds, now = ("echo", "wordcount", "sha256", "simulate"), time.time() - rows / 1000
    database = Database(path, FAULTS, durable=False)
    with database:
        for first in range(1, rows + 1, BATCH):
            with database.transaction():
                database.execute_many(
                    "INSERT INTO tasks (seq, id, kind, payload, state, attempts, worker, result, received_at,"
                    " accepted_at, queued_at, taken_at, started_at, finished_at, stored_at)"
                    " VALUES (?, ?, ?, ?, 'done', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (n, f"task-{n}", kinds[n % 4], f'"payload {n}"', f"w{n % 4}", str(n), *[now + n / 1000] * 7)
                        for n in range(first, min(rows + 1, first + BATCH))
                    ],
                )
        database.execute("UPDATE ledger SET tasks = ? WHERE state = 'done'", (rows,))
