"""The archive in SQLite, beside the journal's own statements."""

import json
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from core.database import Database, Row, Value
from core.model import State, Task
from core.repository import rows, sqlite_ledger
from core.repository.archive import MAX_RESULTS, PREVIEW_LENGTH, Archive, BulkAction, OperationRecord, TaskRow, Timing
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

_WAITED = "(started_at - coalesce(queued_at, accepted_at))"
_TOOK = "(finished_at - started_at)"
_OUTCOME = "coalesce(result, error_type || ': ' || error_message, '')"
_ROW_COLUMNS = (
    f"seq, id, kind, state, attempts, worker, substr(payload, 1, {PREVIEW_LENGTH}),"
    f" substr({_OUTCOME}, 1, {PREVIEW_LENGTH}), accepted_at, started_at, finished_at, stored_at, {_WAITED}"
)
_TEXTS = {
    TextField.ID: ("id",),
    TextField.KIND: ("kind",),
    TextField.STATE: ("state",),
    TextField.WORKER: ("worker",),
    TextField.PAYLOAD: ("payload",),
    TextField.RESULT: ("result",),
    TextField.ERROR: ("error_type", "error_message"),
    TextField.ANY: ("id", "kind", "worker", "payload", "result", "error_type", "error_message"),
}
_MEASURES = {
    NumericField.TOOK: _TOOK,
    NumericField.WAITED: _WAITED,
    NumericField.ATTEMPTS: "attempts",
    NumericField.ENDED: "stored_at",
}
_ORDERS = {
    SortColumn.ENDED: "stored_at",
    SortColumn.NUMBER: "seq",
    SortColumn.ID: "id",
    SortColumn.KIND: "kind",
    SortColumn.STATE: "state",
    SortColumn.WORKER: "worker",
    SortColumn.PAYLOAD: f"substr(payload, 1, {PREVIEW_LENGTH})",
    SortColumn.OUTCOME: f"substr({_OUTCOME}, 1, {PREVIEW_LENGTH})",
    SortColumn.ATTEMPTS: "attempts",
    SortColumn.WAITED: _WAITED,
    SortColumn.TOOK: _TOOK,
}
_SIGNS = frozenset({"<", "<=", "=", ">", ">="})
_UNSUCCESSFUL = frozenset({State.FAILED, State.CANCELLED})
_BLOCK = 64 * 1024
_STORED_WITHIN = 1.0
"""Seconds between a task's end and its being stored, mostly; it is longer for one whose retry was undone."""

_OLD = (
    "an older version wrote this journal: until this version has been started over it, "
    "nobody can tell what was retried or discarded"
)


def open_archive(path: Path, *, readonly: bool = False, patience: float = 2.0) -> Archive:
    """Open the journal at `path` for people.

    Args:
        path: the database file.
        readonly: never write, nor make what is not there.
        patience: how many seconds to wait for another process's write lock.

    Raises:
        JournalUnavailable: it can't be opened now.
        JournalUnusable: it can't be opened as it is.
    """
    database = Database(path, FAULTS, readonly=readonly, patience=patience)
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
        self._knows_operations = False
        # To sort a million results in memory would take more of it than a whole console.
        database.execute("PRAGMA temp_store = file")

    def find(self, search: Search, order: SortOrder = NEWEST_FIRST, limit: int = MAX_RESULTS) -> "array[int]":
        """The numbers of the ended tasks that are wanted, in order."""
        where, values = _where(search)
        way = "DESC" if order.descending else "ASC"
        ordered = (
            f"SELECT seq FROM tasks WHERE {where} ORDER BY {_ORDERS[order.column]} {way}, stored_at {way}, seq {way}"
        )
        return self._numbers(f"{ordered} LIMIT ?", (*values, limit))

    def find_since(self, search: Search, moment: float) -> "array[int]":
        """The numbers of those that ended at `moment` or later, the first ended first."""
        where, values = _where(search)
        ordered = f"SELECT seq FROM tasks WHERE stored_at >= ? AND {where} ORDER BY stored_at, seq"
        return self._numbers(ordered, (moment, *values))

    def _numbers(self, ordered: str, values: Sequence[Value]) -> "array[int]":
        """The numbers that a statement selects. As one text: that is made without holding up other threads."""
        [(joined,)] = self._database.execute(f"SELECT group_concat(seq) FROM ({ordered})", values)
        numbers = array("q")
        for piece in _pieces(joined if isinstance(joined, str) else ""):
            numbers.extend(map(int, piece.split(",")))
        return numbers

    def rows(self, seqs: Collection[int]) -> Mapping[int, TaskRow]:
        """A row for each of these tasks, by number."""
        return {row.seq: row for row in self._rows("seq", list(seqs))}

    def rows_by_id(self, ids: Collection[str]) -> Mapping[str, TaskRow]:
        """The same by the tasks' ids."""
        return {row.id: row for row in self._rows("id", list(ids))}

    def _rows(self, column: str, values: Sequence[int] | Sequence[str]) -> list[TaskRow]:
        found = self._database.execute(
            f"SELECT {_ROW_COLUMNS} FROM tasks WHERE {column} IN (SELECT value FROM json_each(?))",
            (json.dumps(values),),
        )
        return [_row(row) for row in found]

    def task(self, seq: int) -> Task | None:
        """Everything about one task."""
        found = self._database.execute(f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE seq = ?", (seq,))
        return rows.task(found[0]) if found else None

    def timings(self, since: float, limit: int) -> Sequence[Timing]:
        """How long tasks waited and ran that ended at `since` or later."""
        found = self._database.execute(
            f"SELECT worker, {_WAITED}, {_TOOK} FROM tasks WHERE stored_at >= ? AND worker IS NOT NULL"
            " AND started_at IS NOT NULL AND finished_at IS NOT NULL ORDER BY stored_at DESC LIMIT ?",
            (since, limit),
        )
        return [Timing(rows.text(row[0]), max(0.0, rows.number(row[1])), rows.number(row[2])) for row in found]

    def kinds(self, limit: int = 1000) -> Sequence[str]:
        """The kinds of the last tasks."""
        found = self._database.execute(
            "SELECT DISTINCT kind FROM (SELECT kind FROM tasks ORDER BY seq DESC LIMIT ?) ORDER BY kind", (limit,)
        )
        return [rows.text(row[0]) for row in found]

    def begin_operation(self, action: BulkAction, user: str, now: float) -> int:
        """Note that an operator begins to do something."""
        [(number,)] = self._database.execute(
            "INSERT INTO operations (kind, at, who) VALUES (?, ?, ?) RETURNING number", (action.value, now, user)
        )
        return rows.integer(number)

    def apply(self, operation: int, action: BulkAction, seqs: Sequence[int], now: float) -> int:
        """Do it to those of these tasks that have failed."""
        after, stored = (State.ACCEPTED, "NULL") if action is BulkAction.RETRY else (State.CANCELLED, "stored_at")
        with self._database.transaction():
            moved = self._database.execute_many(
                f"UPDATE tasks SET state = ?, stored_at = {stored}, owner = NULL, due_at = 0, strikes = 0,"
                " operation = ? WHERE state = 'failed' AND seq IN (SELECT value FROM json_each(?))",
                [(after.value, operation, json.dumps(list(seqs)))],
            )
            sqlite_ledger.update(self._database, {State.FAILED: -moved, after: moved})
            self._database.execute("UPDATE operations SET tasks = tasks + ? WHERE number = ?", (moved, operation))
        return moved

    def tasks_moved_by(self, operation: int) -> "array[int]":
        """The numbers of the tasks that an operation was the last to move."""
        return self._numbers("SELECT seq FROM tasks WHERE operation = ? ORDER BY seq", (operation,))

    def undo(self, operation: int, seqs: Sequence[int], running: Collection[str], now: float) -> int:
        """Make failed again those of these tasks that nothing has happened to since."""
        with self._database.transaction():
            found = self._database.execute(
                "SELECT seq, state FROM tasks WHERE seq IN (SELECT value FROM json_each(?)) AND operation = ?"
                " AND state IN ('accepted', 'queued', 'cancelled') AND id NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(list(seqs)), operation, json.dumps(list(running))),
            )
            self._database.execute(
                "UPDATE tasks SET state = 'failed', stored_at = coalesce(stored_at, ?), owner = NULL, operation = NULL"
                " WHERE seq IN (SELECT value FROM json_each(?))",
                (now, json.dumps([row[0] for row in found])),
            )
            moved = {State.FAILED: len(found)}
            for _, state in found:
                before = State(rows.text(state))
                moved[before] = moved.get(before, 0) - 1
            sqlite_ledger.update(self._database, moved)
        return len(found)

    def mark_undone(self, operation: int, now: float) -> None:
        """Note that an operation was undone."""
        self._database.execute("UPDATE operations SET undone_at = ? WHERE number = ?", (now, operation))

    def reopened(self, seqs: Collection[int]) -> frozenset[int]:
        """Those that an operator has moved, or that were stored long after they had finished."""
        if not seqs or self.limitation():
            return frozenset()
        found = self._database.execute(
            "SELECT seq FROM tasks WHERE seq IN (SELECT value FROM json_each(?))"
            " AND (operation IS NOT NULL OR coalesce(stored_at - finished_at, 1e9) > ?)",
            (json.dumps(list(seqs)), _STORED_WITHIN),
        )
        return frozenset(rows.integer(row[0]) for row in found)

    def operations(self, limit: int) -> Sequence[OperationRecord]:
        """What operators did, the last first."""
        if self.limitation():
            return []
        found = self._database.execute(
            "SELECT number, kind, at, who, tasks, undone_at FROM operations ORDER BY number DESC LIMIT ?", (limit,)
        )
        return [_operation(row) for row in found]

    def limitation(self) -> str:
        """What a journal of an older version can't tell yet. Only what writes to it brings it up to date."""
        # Looked at until it is there: a system that starts brings the journal up to date.
        self._knows_operations = self._knows_operations or bool(
            self._database.number("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'operations'")
        )
        return "" if self._knows_operations else _OLD

    def data_version(self) -> int:
        """A number that changes when another connection has committed something."""
        return self._database.version()

    def interrupt(self) -> None:
        """Make what runs in the archive's thread end."""
        self._database.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


def _pieces(joined: str) -> Iterator[str]:
    """A long list of numbers in pieces, so that they are never all held as texts."""
    start = 0
    while start < len(joined):
        end = joined.find(",", start + _BLOCK)
        end = len(joined) if end < 0 else end
        yield joined[start:end]
        start = end + 1


def _where(search: Search) -> tuple[str, list[Value]]:
    """The condition of a search: constants of ours, and values that are bound."""
    parts = ["stored_at IS NOT NULL"]
    values: list[Value] = []
    if search.states:
        parts.append(f"state IN ({', '.join('?' * len(search.states))})")
        values += [state.value for state in search.states]
        if _UNSUCCESSFUL.issuperset(search.states):
            # Said in the words of the index, so that it is used.
            parts.append("state IN ('failed', 'cancelled')")
    for term in search.terms:
        part, bound = _term(term)
        parts.append(part)
        values += bound
    for comparison in search.comparisons:
        parts.append(_comparison(comparison))
        values.append(comparison.number)
    return " AND ".join(parts), values


def _term(term: Term) -> tuple[str, list[Value]]:
    columns = _TEXTS[term.field]
    pattern = _escaped(term.text)
    pattern = pattern.replace("*", "%") if term.is_exact else f"%{pattern}%"
    alike = " OR ".join(f"coalesce({column}, '') LIKE ? ESCAPE '\\'" for column in columns)
    return f"{'NOT ' if term.negated else ''}({alike})", [pattern] * len(columns)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _comparison(comparison: Comparison) -> str:
    assert comparison.operator in _SIGNS
    told = f"coalesce({_MEASURES[comparison.field]} {comparison.operator} ?, 0)"
    return f"NOT {told}" if comparison.negated else told


def _row(row: Row) -> TaskRow:
    return TaskRow(
        seq=rows.integer(row[0]),
        id=rows.text(row[1]),
        kind=rows.text(row[2]),
        state=State(rows.text(row[3])),
        attempts=rows.integer(row[4]),
        worker=rows.text_or_none(row[5]) or "",
        payload=rows.text(row[6]),
        outcome=rows.text(row[7]),
        accepted=rows.number(row[8]),
        started=rows.number_or_none(row[9]),
        finished=rows.number_or_none(row[10]),
        stored=rows.number_or_none(row[11]),
        waited=rows.number_or_none(row[12]),
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
