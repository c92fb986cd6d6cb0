"""Kinds of task that use the journal's files, as a report, a backup or a checksum would.

By POSIX, a process that closes a file loses all locks that it has on it, whoever opened it. So in a process with a
connection to the journal, each of these tasks would take the locks of that connection away.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable

from core.jsontext import Json
from core.tasks import TaskContext, task
from tests.faults.honest import record_run, result_of

MOST = 64 << 10
"""Bytes to read of each file: it is the closing that matters, and the journal becomes large."""


def count_tasks(journal: str) -> None:
    """Open the journal with Python's own SQLite, read it, and close it."""
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM tasks WHERE seq < 10").fetchone()


def hash_files(journal: str) -> None:
    """Read the files of the journal, and close them."""
    for suffix in ("", "-shm", "-wal"):
        with contextlib.suppress(FileNotFoundError), open(journal + suffix, "rb") as file:
            hashlib.sha256(file.read(MOST)).hexdigest()


USES: dict[str, Callable[[str], None]] = {"counts": count_tasks, "hashes": hash_files}
"""What each kind does with the path of the journal."""


def _run(payload: Json, context: TaskContext) -> str:
    record_run(payload["trace"], context.id)
    USES[context.kind](payload["journal"])
    return result_of(payload["number"])


@task
def counts(payload: Json, context: TaskContext) -> str:
    """Read the journal with Python's own SQLite."""
    return _run(payload, context)


@task
def hashes(payload: Json, context: TaskContext) -> str:
    """Hash the files of the journal."""
    return _run(payload, context)
