"""The check of the journal: whether it can be made, or else be written and read, and is sound."""

import os
from importlib import resources
from pathlib import Path

from core.database import Database
from core.errors import JournalUnavailable, JournalUnusable
from core.formatting import megabytes
from core.repository.sqlite import FAULTS
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.places import journal_path, nearest, scratch_directory

LOOKED_THROUGH = 64_000_000
"""Bytes up to which a whole journal is looked through: it takes less than a second."""

PATIENCE = 1.0
"""Seconds to wait for another process's transaction."""

_WRITE_AHEAD = b"\x02\x02"
"""In a database's header: it is written by way of a write-ahead log."""

_ANOTHER_FILE = "choose another file with --database"


def check_journal(subject: Subject) -> Findings:
    """Whether the journal can be made, or read and written."""
    path = journal_path(subject)
    if path.parent != subject.home.directory:
        try:
            with scratch_directory(nearest(path.parent)):
                pass
        except OSError as error:
            text = f"{path.parent} can't be written: {error.strerror or error}"
            yield problem("journal", text, _ANOTHER_FILE)
            return
    if not os.path.lexists(path):
        yield ok("journal", f"{path} is not there yet, and will be made")
    elif not path.is_file():
        yield problem("journal", f"{path} is not a file", f"rename it, or {_ANOTHER_FILE}")
    elif not os.access(path, os.W_OK):
        yield problem("journal", f"this user may not write {path}", remedies.take_over(subject.platform, path))
    else:
        yield _read_journal(path)


def _read_journal(path: Path) -> Finding:
    aside = f"put a good copy in its place, or rename it together with {path.name}-wal and {path.name}-shm"
    try:
        size = path.stat().st_size
        with Database(path, FAULTS, readonly=not _leaves_no_trace(path), lock_timeout=PATIENCE) as database:
            version = database.number("PRAGMA user_version")
            damage = _damage(database) if size <= LOOKED_THROUGH else ""
    except JournalUnavailable as error:
        return warning("journal", str(error), "run doctor again in a moment")
    except JournalUnusable as error:
        return problem("journal", str(error), aside)
    known = _schema_version()
    if damage:
        return problem("journal", f"{path} is damaged: {damage}", aside)
    if version > known:
        text = f"{path} was written by a newer Cauce: its schema is {version}, and this one knows up to {known}"
        return problem("journal", text, f"use the newer Cauce, or {_ANOTHER_FILE}")
    looked_through = "" if size <= LOOKED_THROUGH else ", too large to be looked through here"
    return ok("journal", f"{path} can be read ({megabytes(size)}{looked_through})")


def _leaves_no_trace(path: Path) -> bool:
    """Whether a connection that may write takes away again what it makes beside the file.

    One that may only read leaves an empty write-ahead log behind where there was none. Where there is one, somebody
    uses the file, or a process was killed: then it is looked at as it lies there.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    return header[18:20] == _WRITE_AHEAD and not os.path.lexists(f"{path}-wal")


def _damage(database: Database) -> str:
    """What SQLite finds wrong with the file's structure; nothing when it is sound."""
    [(told, *_), *_] = database.execute("PRAGMA quick_check(1)")
    return "" if told == "ok" else str(told)


def _schema_version() -> int:
    scripts = (resources.files("core.repository") / "schema").iterdir()
    return sum(1 for script in scripts if script.name.endswith(".sql"))
