"""The checks of the journal: whether it can be created or used, is undamaged, and agrees with its own totals."""

import os
from pathlib import Path

from core.database import Database
from core.errors import JournalUnavailable, JournalUnusable
from core.formatting import megabytes
from core.repository.base import MAX_CONTRADICTORY, Audit
from core.repository.sqlite import FAULTS, open_sqlite, schema
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.places import journal_path, nearest_existing, scratch_directory

MAX_CHECKED_SIZE = 64_000_000
"""Bytes up to which the whole file is checked for damage, which takes less than a second."""

MAX_AUDITED_SIZE = 512_000_000
"""Bytes up to which the tasks are counted, which takes a few seconds."""

LOCK_TIMEOUT = 1.0
"""Seconds to wait for another process's transaction."""

MAX_NAMED = 5
"""Contradictory tasks that are named."""

_WRITE_AHEAD = b"\x02\x02"
"""The bytes in a database's header that show that the file is written through a write-ahead log."""

_ANOTHER_FILE = "choose another file with --database"


def check_journal(subject: Subject) -> Findings:
    """Check whether the journal can be created, or read and written, and whether its counts are right."""
    path = journal_path(subject)
    if path.parent != subject.home.directory:
        try:
            with scratch_directory(nearest_existing(path.parent)):
                pass
        except OSError as error:
            text = f"{path.parent} can't be written: {error.strerror or error}"
            yield problem("journal", text, _ANOTHER_FILE)
            return
    if not os.path.lexists(path):
        yield ok("journal", f"{path} does not exist yet, and will be created")
    elif not path.is_file():
        yield problem("journal", f"{path} is not a file", f"rename it, or {_ANOTHER_FILE}")
    elif not os.access(path, os.W_OK):
        yield problem("journal", f"this user may not write {path}", remedies.take_over(subject.platform, path))
    else:
        yield from _check_file(path)


def _check_file(path: Path) -> list[Finding]:
    replace = f"put a good copy in its place, or rename it together with {path.name}-wal and {path.name}-shm"
    try:
        size = path.stat().st_size
        with Database(path, FAULTS, readonly=not _leaves_no_trace(path), lock_timeout=LOCK_TIMEOUT) as database:
            damage = _damage(database) if size <= MAX_CHECKED_SIZE else ""
            if damage:
                return [problem("journal", f"{path} is damaged: {damage}", replace)]
            version, known = database.number("PRAGMA user_version"), len(schema())
            if version > known:
                text = f"{path} was written by a newer Cauce: its schema is {version}, and this one knows up to {known}"
                return [problem("journal", text, f"use the newer Cauce, or {_ANOTHER_FILE}")]
            unchecked = "" if size <= MAX_CHECKED_SIZE else ", too large to be checked for damage"
            readable = ok("journal", f"{path} can be read ({megabytes(size)}{unchecked})")
            # Audited while this connection is open: it removes the files that the second one makes beside the journal.
            return [readable, _audit(path, size, is_current=version == known)]
    except JournalUnavailable as error:
        return [warning("journal", str(error), "run doctor again in a moment")]
    except JournalUnusable as error:
        return [problem("journal", str(error), replace)]


def _audit(path: Path, size: int, *, is_current: bool) -> Finding:
    if size > MAX_AUDITED_SIZE:
        return ok("audit", f"left out: counting a journal of more than {megabytes(MAX_AUDITED_SIZE)} takes long")
    if not is_current:
        return ok("audit", "left out: the journal has an older schema, which the next start brings up to date")
    with open_sqlite(path, readonly=True, lock_timeout=LOCK_TIMEOUT) as repository:
        return judge_audit(path, repository.audit())


def judge_audit(path: Path, audit: Audit) -> Finding:
    """Judge the audit of a journal."""
    if audit.is_consistent:
        return ok("audit", f"the ledger agrees with a count of all tasks ({sum(audit.counted.values()):,})")
    discrepancies = [
        f"{state}: {audit.ledger.get(state, 0):,} by the ledger, {audit.counted.get(state, 0):,} counted"
        for state in audit.differences
    ]
    if audit.contradictory:
        more = len(audit.contradictory) - MAX_NAMED
        count = f"at least {more}" if len(audit.contradictory) == MAX_CONTRADICTORY else str(more)
        named = ", ".join(audit.contradictory[:MAX_NAMED]) + (f" and {count} more" if more > 0 else "")
        discrepancies.append(f"the rows of these tasks contradict themselves: {named}")
    text = f"{path} has discrepancies: {'; '.join(discrepancies)}"
    return problem("audit", text, "keep a copy of the journal, and report this text")


def _leaves_no_trace(path: Path) -> bool:
    """Return whether a connection that may write removes the files that it makes beside the journal.

    A connection that may only read leaves an empty write-ahead log where there was none. Where there is one, a process
    uses the journal or was killed: then the journal is read as it is.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    return header[18:20] == _WRITE_AHEAD and not os.path.lexists(f"{path}-wal")


def _damage(database: Database) -> str:
    """Return what SQLite finds wrong with the structure of the file, or an empty string."""
    [(result, *_), *_] = database.execute("PRAGMA quick_check(1)")
    return "" if result == "ok" else str(result)
