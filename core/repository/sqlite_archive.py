"""The archive in SQLite."""

import json
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from core.database import Database, Row, Value
from core.model import Attempt, State, Task
from core.repository import rows, sqlite_endings, sqlite_ledger
from core.repository.archive import (
    MAX_RESULTS,
    PREVIEW_LENGTH,
    Archive,
    BulkAction,
    LiveList,
    OperationRecord,
    TaskRow,
    Timing,
)
from core.repository.search import (
    NEWEST_FIRST,
    Comparison,
    NumericField,
    Search,
    SortColumn,
    SortOrder,
    Term,
    TextField,
)
from core.repository.sqlite import FAULTS, schema
from core.repository.sqlite_attempts import SqliteAttempts

_TOOK = "(finished_at - started_at)"
_OUTCOME = "coalesce(result, error_type || ': ' || error_message, '')"
_ROW_COLUMNS = (
    f"seq, id, kind, state, worker, substr(payload, 1, {PREVIEW_LENGTH}),"
    f" substr({_OUTCOME}, 1, {PREVIEW_LENGTH}), accepted_at, started_at, finished_at, stored_at"
)
"""Followed by the wait, the number of attempts, and whether the task was cancelled while it ran."""
_TEXT_COLUMNS = {
    TextField.ID: ("id",),
    TextField.KIND: ("kind",),
    TextField.STATE: ("state",),
    TextField.WORKER: ("worker",),
    TextField.PAYLOAD: ("payload",),
    TextField.RESULT: ("result",),
    TextField.ERROR: ("error_type", "error_message"),
    TextField.ANY: ("id", "kind", "worker", "payload", "result", "error_type", "error_message"),
}
_NUMERIC_COLUMNS = {
    NumericField.TOOK: _TOOK,
    NumericField.ENDED: "stored_at",
}
_SORT_COLUMNS = {
    SortColumn.ENDED: "stored_at",
    SortColumn.NUMBER: "seq",
    SortColumn.ID: "id",
    SortColumn.KIND: "kind",
    SortColumn.STATE: "state",
    SortColumn.WORKER: "worker",
    SortColumn.PAYLOAD: f"substr(payload, 1, {PREVIEW_LENGTH})",
    SortColumn.OUTCOME: f"substr({_OUTCOME}, 1, {PREVIEW_LENGTH})",
    SortColumn.TOOK: _TOOK,
}
_OPERATORS = frozenset({"<", "<=", "=", ">", ">="})
_UNSUCCESSFUL = frozenset({State.FAILED, State.CANCELLED})
_BLOCK = 64 * 1024
_NO_POSITION = -1
"""The position of a list when the journal, of an older version, knows none."""

_OLD_JOURNAL = (
    "an older version wrote this journal: start the system with this version once to see all that it can show"
)


def open_archive(path: Path, *, readonly: bool = False, lock_timeout: float = 2.0) -> Archive:
    """Open the journal at `path` for operators.

    Args:
        path: the database file.
        readonly: whether to refuse writing; a missing journal is then not created.
        lock_timeout: seconds to wait for another process's write lock.

    Raises:
        JournalUnavailable: it can't be opened now.
        JournalUnusable: it can't be opened until it is repaired.
    """
    database = Database(path, FAULTS, readonly=readonly, lock_timeout=lock_timeout)
    try:
        if not readonly:
            database.migrate(schema())
        return SqliteArchive(database)
    except BaseException:
        database.close()
        raise


class SqliteArchive(Archive):
    """The archive on one SQLite connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = SqliteAttempts(database)
        self._version = len(schema())
        self._tables: set[str] = set()
        """Tables that are known to exist."""
        # Sorting a million results in memory would take more of it than the whole console takes.
        database.execute("PRAGMA temp_store = file")

    def find(self, search: Search, order: SortOrder = NEWEST_FIRST, limit: int = MAX_RESULTS) -> "array[int]":
        """Return the numbers of the ended tasks that match, in order."""
        tries = self._attempts.tries
        where, values = _where(search, tries)
        column = {**_SORT_COLUMNS, SortColumn.ATTEMPTS: tries, SortColumn.WAITED: _waited(tries)}[order.column]
        direction = "DESC" if order.descending else "ASC"
        return self._numbers(
            f"SELECT seq FROM tasks WHERE {where}"
            f" ORDER BY {column} {direction}, stored_at {direction}, seq {direction} LIMIT ?",
            (*values, limit),
        )

    def find_live(self, search: Search, limit: int = MAX_RESULTS) -> LiveList:
        """Return the matching tasks that ended last."""
        with self._database.snapshot():
            position = sqlite_endings.last(self._database) if self._has_table("endings") else _NO_POSITION
            return LiveList(self.find(search, NEWEST_FIRST, limit)[::-1], position)

    def ended_after(self, search: Search, position: int) -> LiveList | None:
        """Return the matching tasks that have ended since a list was read."""
        if position == _NO_POSITION:
            return None
        where, values = _where(search, self._attempts.tries)
        with self._database.snapshot():
            last = sqlite_endings.last_after(self._database, position)
            if last is None:
                return None
            # The endings come first: SQLite might read all tasks otherwise.
            ended = self._numbers(
                f"SELECT seq FROM ({sqlite_endings.SELECT}) CROSS JOIN tasks ON seq = ended WHERE {where}"
                " ORDER BY number, place",
                (position, *values),
            )
            return LiveList(ended, last)

    def _numbers(self, statement: str, values: Sequence[Value]) -> "array[int]":
        """Return the numbers that a statement selects.

        SQLite joins them to one text, which does not block the other threads as fetching a million rows would.
        """
        [(joined,)] = self._database.execute(f"SELECT group_concat(seq) FROM ({statement})", values)
        numbers = array("q")
        for block in _blocks(joined if isinstance(joined, str) else ""):
            numbers.extend(map(int, block.split(",")))
        return numbers

    def rows(self, seqs: Collection[int]) -> Mapping[int, TaskRow]:
        """Return a row for each of these tasks, by number."""
        return {row.seq: row for row in self._rows("seq", list(seqs))}

    def rows_by_id(self, ids: Collection[str]) -> Mapping[str, TaskRow]:
        """Return a row for each of these tasks, by id."""
        return {row.id: row for row in self._rows("id", list(ids))}

    def _rows(self, column: str, values: Sequence[int] | Sequence[str]) -> list[TaskRow]:
        tries = self._attempts.tries
        found = self._database.execute(
            f"SELECT {_ROW_COLUMNS}, {_waited(tries)}, {tries}, {self._attempts.cancelling} FROM tasks"
            f" WHERE {column} IN (SELECT value FROM json_each(?))",
            (json.dumps(values),),
        )
        return [_row(row) for row in found]

    def task(self, seq: int) -> Task | None:
        """Return a whole task, or None when there is none with this number."""
        found = self._database.execute(f"SELECT {self._attempts.task_columns} FROM tasks WHERE seq = ?", (seq,))
        return rows.task(found[0]) if found else None

    def former_attempts(self, seq: int) -> Sequence[Attempt]:
        """Return the former attempts of a task."""
        return self._attempts.read([seq]).get(seq, ())

    def timings(self, since: float, limit: int) -> Sequence[Timing]:
        """Return the timings of the last tasks that ended at `since` or later."""
        found = self._database.execute(
            f"SELECT worker, {_waited(self._attempts.tries)}, {_TOOK} FROM tasks"
            " WHERE stored_at >= ? AND worker IS NOT NULL AND started_at IS NOT NULL AND finished_at IS NOT NULL"
            " ORDER BY stored_at DESC LIMIT ?",
            (since, limit),
        )
        return [Timing(rows.text(row[0]), rows.number_or_none(row[1]), rows.number(row[2])) for row in found]

    def kinds(self, limit: int = 1000) -> Sequence[str]:
        """Return the kinds of the last tasks."""
        found = self._database.execute(
            "SELECT DISTINCT kind FROM (SELECT kind FROM tasks ORDER BY seq DESC LIMIT ?) ORDER BY kind", (limit,)
        )
        return [rows.text(row[0]) for row in found]

    def begin_operation(self, action: BulkAction, user: str, now: float) -> int:
        """Record that an operator begins a bulk action."""
        [(number,)] = self._database.execute(
            "INSERT INTO operations (kind, at, who) VALUES (?, ?, ?) RETURNING number", (action.value, now, user)
        )
        return rows.integer(number)

    def apply(self, operation: int, action: BulkAction, seqs: Sequence[int], now: float) -> int:
        """Apply the action to those of these tasks that have failed."""
        after, stored = (
            (State.ACCEPTED, "NULL, due_at = 0") if action is BulkAction.RETRY else (State.CANCELLED, "stored_at")
        )
        with self._database.transaction():
            if action is BulkAction.RETRY:
                self._attempts.move_retried(operation, seqs, now)
            moved = self._database.execute_many(
                f"UPDATE tasks SET state = ?, stored_at = {stored}, owner = NULL, strikes = 0,"
                " operation = ? WHERE state = 'failed' AND seq IN (SELECT value FROM json_each(?))",
                [(after.value, operation, json.dumps(list(seqs)))],
            )
            sqlite_ledger.update(self._database, {State.FAILED: -moved, after: moved})
            self._database.execute("UPDATE operations SET tasks = tasks + ? WHERE number = ?", (moved, operation))
            if moved:
                sqlite_endings.record_moved(self._database)
        return moved

    def tasks_moved_by(self, operation: int) -> "array[int]":
        """Return the numbers of the tasks that this operation was the last to move."""
        return self._numbers("SELECT seq FROM tasks WHERE operation = ? ORDER BY seq", (operation,))

    def undo(self, operation: int, seqs: Sequence[int], running: Collection[str], now: float) -> int:
        """Mark these tasks as failed again, except those that have moved on since."""
        with self._database.transaction():
            # A task that was retried and is cancelled was cancelled by a client since.
            found = self._database.execute(
                "SELECT seq, state FROM tasks WHERE seq IN (SELECT value FROM json_each(?)) AND operation = ?"
                " AND state IN ('accepted', 'queued', 'cancelled') AND id NOT IN (SELECT value FROM json_each(?))"
                " AND (state = 'cancelled') = (SELECT kind = 'discard' FROM operations WHERE number = operation)",
                (json.dumps(list(seqs)), operation, json.dumps(list(running))),
            )
            self._attempts.lose([rows.integer(row[0]) for row in found])
            self._database.execute(
                "UPDATE tasks SET state = 'failed', stored_at = coalesce(stored_at, ?), owner = NULL, operation = NULL"
                " WHERE seq IN (SELECT value FROM json_each(?))",
                (now, json.dumps([row[0] for row in found])),
            )
            self._attempts.move_back([rows.integer(row[0]) for row in found])
            changes = {State.FAILED: len(found)}
            for _, state in found:
                before = rows.state(state)
                changes[before] = changes.get(before, 0) - 1
            sqlite_ledger.update(self._database, changes)
            if found:
                sqlite_endings.record_moved(self._database)
        return len(found)

    def mark_undone(self, operation: int, now: float) -> None:
        """Record that an operation was undone."""
        self._database.execute("UPDATE operations SET undone_at = ? WHERE number = ?", (now, operation))

    def operations(self, limit: int) -> Sequence[OperationRecord]:
        """Return the last operations, newest first."""
        if not self._has_table("operations"):
            return []
        found = self._database.execute(
            "SELECT number, kind, at, who, tasks, undone_at FROM operations ORDER BY number DESC LIMIT ?", (limit,)
        )
        return [_operation(row) for row in found]

    def limitation(self) -> str:
        """Return a sentence on what the journal of an older version lacks, or an empty string."""
        return "" if self._database.schema_version() >= self._version else _OLD_JOURNAL

    def _has_table(self, name: str) -> bool:
        # Checked again until the table exists: a server or worker that starts brings the journal up to date.
        if name not in self._tables and self._database.number(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,)
        ):
            self._tables.add(name)
        return name in self._tables

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed."""
        return self._database.version()

    def interrupt(self) -> None:
        """Make the call that runs in the archive's thread end."""
        self._database.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


def _blocks(joined: str) -> Iterator[str]:
    """Yield a long list of numbers in blocks, so that memory never holds all of them as texts."""
    start = 0
    while start < len(joined):
        end = joined.find(",", start + _BLOCK)
        end = len(joined) if end < 0 else end
        yield joined[start:end]
        start = end + 1


def _where(search: Search, tries: str) -> tuple[str, list[Value]]:
    """Return the condition of a search, made of constants, and the values to bind.

    Args:
        search: the search.
        tries: the expression for the number of attempts.
    """
    conditions = ["stored_at IS NOT NULL"]
    values: list[Value] = []
    if search.states:
        conditions.append(f"state IN ({', '.join('?' * len(search.states))})")
        values += [state.value for state in search.states]
        if _UNSUCCESSFUL.issuperset(search.states):
            # The condition of the partial index `tasks_unsuccessful`, which SQLite uses only when it stands here.
            conditions.append("state IN ('failed', 'cancelled')")
    for term in search.terms:
        condition, bound = _term(term)
        conditions.append(condition)
        values += bound
    for comparison in search.comparisons:
        conditions.append(_comparison(comparison, tries))
        values.append(comparison.number)
    return " AND ".join(conditions), values


def _term(term: Term) -> tuple[str, list[Value]]:
    columns = _TEXT_COLUMNS[term.field]
    pattern = _escaped(term.text)
    pattern = pattern.replace("*", "%") if term.is_exact else f"%{pattern}%"
    matches = " OR ".join(f"coalesce({column}, '') LIKE ? ESCAPE '\\'" for column in columns)
    return f"{'NOT ' if term.negated else ''}({matches})", [pattern] * len(columns)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _comparison(comparison: Comparison, tries: str) -> str:
    assert comparison.operator in _OPERATORS
    column = {**_NUMERIC_COLUMNS, NumericField.ATTEMPTS: tries, NumericField.WAITED: _waited(tries)}[comparison.field]
    condition = f"coalesce({column} {comparison.operator} ?, 0)"
    return f"NOT {condition}" if comparison.negated else condition


def _waited(tries: str) -> str:
    """Return the expression for the seconds that the last or present attempt waited; NULL when they are not known.

    The first attempt waits from the moment when the task was accepted or due, a retry from when it was due. When an
    attempt after an operator's retry or after a death became due is not stored: it waits since it was queued.

    Args:
        tries: the expression for the number of attempts that have ended.
    """
    is_first = f"{tries} + (finished_at IS NULL) <= 1"
    ready = f"CASE WHEN due_at > 0 OR {is_first} THEN max(due_at, accepted_at) ELSE queued_at END"
    # The times are of different attempts when another attempt has not begun yet, or its retry was undone.
    return f"(CASE WHEN started_at >= {ready} THEN started_at - {ready} END)"


def _row(row: Row) -> TaskRow:
    return TaskRow(
        seq=rows.integer(row[0]),
        id=rows.text(row[1]),
        kind=rows.text(row[2]),
        state=State(rows.text(row[3])),
        worker=rows.text_or_none(row[4]) or "",
        payload=rows.text(row[5]),
        outcome=rows.text(row[6]),
        accepted=rows.number(row[7]),
        started=rows.number_or_none(row[8]),
        finished=rows.number_or_none(row[9]),
        stored=rows.number_or_none(row[10]),
        waited=rows.number_or_none(row[11]),
        attempts=rows.integer(row[12]),
        cancelling=bool(row[13]),
    )


def _operation(row: Row) -> OperationRecord:
    return OperationRecord(
        number=rows.integer(row[0]),
        action=BulkAction(rows.text(row[1])),
        at=rows.number(row[2]),
        user=rows.text(row[3]),
        tasks=rows.integer(row[4]),
        undone_at=rows.number_or_none(row[5]),
    )
