"""The attempts of each task in SQLite.

The row of a task is about its present attempt, or about the last one when it waits for no other. An attempt is moved
from there to the table `attempts` when the next one is queued or begins. So a task that ends with its first attempt
costs nothing here.
"""

import json
from collections.abc import Collection, Sequence

import msgspec

from core.database import Database, Row
from core.model import DEATH_SIGNATURES, Attempt, AttemptState, Beginning, Failure, OperatorRetry
from core.repository import rows, rules
from core.timeline import MAX_MESSAGE, MAX_TRACEBACK

_FIRST_VERSION = 4
"""The version of the schema that has the table."""

_SAME_MOMENT = 0.001
"""Seconds by which a time may differ from itself after it was stored as text."""

_COLUMNS = (
    "seq, number, state, worker, queued_at, taken_at, started_at, finished_at,"
    " error_type, error_message, error_traceback, retried_at, retried_by"
)
_SIGNATURES = ", ".join(f"'{signature}'" for signature in sorted(DEATH_SIGNATURES))
_OF_ROW = (
    f"seq, attempts + lost, CASE WHEN error_signature IN ({_SIGNATURES}) THEN 'lost' ELSE 'failed' END, worker,"
    " queued_at, taken_at, started_at, finished_at,"
    f" error_type, substr(error_message, 1, {MAX_MESSAGE}), substr(error_traceback, -{MAX_TRACEBACK})"
)
_CLEARED = "worker = NULL, queued_at = NULL, taken_at = NULL, started_at = NULL, finished_at = NULL"


class SqliteAttempts:
    """The attempts, over the connection of a repository or an archive. What it writes is part of a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._exists = False

    @property
    def exists(self) -> bool:
        """Whether the journal has the table. One of an older version, which is only read, has none."""
        # Checked again until it exists: a server or worker that starts brings the journal up to date.
        self._exists = self._exists or self._database.schema_version() >= _FIRST_VERSION
        return self._exists

    @property
    def lost(self) -> str:
        """The expression for the number of lost attempts of a task."""
        return "lost" if self.exists else "0"

    @property
    def tries(self) -> str:
        """The expression for the number of all attempts of a task that have ended."""
        return f"(attempts + {self.lost})"

    def read(self, seqs: Collection[int]) -> dict[int, list[Attempt]]:
        """Return the former attempts of each of these tasks that has any, the first attempt first."""
        found: dict[int, list[Attempt]] = {}
        if not self.exists:
            return found
        for row in self._database.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, number",
            (json.dumps(list(seqs)),),
        ):
            found.setdefault(rows.integer(row[0]), []).append(_attempt(row[1:]))
        return found

    def move_last(self, attempts: Sequence[tuple[int, int]]) -> None:
        """Move the attempt that has ended from the rows of tasks that wait for another.

        Args:
            attempts: the number of each task, and of its attempts that have ended with an outcome. A task that has
                left this attempt meanwhile is not changed.
        """
        condition = "seq = ? AND attempts = ? AND finished_at IS NOT NULL AND stored_at IS NULL"
        self._database.execute_many(
            f"INSERT OR REPLACE INTO attempts SELECT {_OF_ROW}, NULL, NULL, NULL FROM tasks WHERE {condition}", attempts
        )
        self._database.execute_many(f"UPDATE tasks SET {_CLEARED} WHERE {condition}", attempts)

    def move_retried(self, operation: int, seqs: Sequence[int], now: float) -> None:
        """Move the attempt that has ended from the rows of failed tasks, which an operator has run again."""
        condition = "state = 'failed' AND seq IN (SELECT value FROM json_each(?))"
        chosen = json.dumps(list(seqs))
        self._database.execute(
            f"INSERT OR REPLACE INTO attempts SELECT {_OF_ROW}, ?, (SELECT who FROM operations WHERE number = ?),"
            f" stored_at FROM tasks WHERE {condition}",
            (now, operation, chosen),
        )
        self._database.execute(f"UPDATE tasks SET {_CLEARED} WHERE {condition}", (chosen,))

    def move_back(self, seqs: Sequence[int]) -> None:
        """Move the last attempt back to the rows of tasks whose retry by an operator is undone."""
        chosen = json.dumps(list(seqs))
        self._database.execute(
            "UPDATE tasks SET worker = last.worker, queued_at = last.queued_at, taken_at = last.taken_at,"
            " started_at = last.started_at, finished_at = last.finished_at,"
            " stored_at = coalesce(last.stored_at, tasks.stored_at) FROM attempts AS last"
            " WHERE tasks.seq IN (SELECT value FROM json_each(?)) AND last.seq = tasks.seq"
            " AND last.number = tasks.attempts + tasks.lost AND last.retried_at IS NOT NULL",
            (chosen,),
        )
        self._database.execute(
            "DELETE FROM attempts WHERE retried_at IS NOT NULL AND (seq, number) IN ("
            "SELECT seq, attempts + lost FROM tasks WHERE seq IN (SELECT value FROM json_each(?)))",
            (chosen,),
        )

    def begin(self, beginning: Beginning) -> int:
        """Add a strike for an attempt that begins after a redelivery, and record the attempts that were lost before it.

        Returns:
            The number of the attempt; 0 when there is no such task, or when it has ended.
        """
        found = self._database.execute(
            "SELECT attempts, lost, strikes, worker, queued_at, taken_at, started_at, finished_at, id FROM tasks"
            " WHERE seq = ? AND stored_at IS NULL",
            (beginning.seq,),
        )
        if not found:
            return 0
        attempts, lost, strikes = map(rows.integer, found[0][:3])
        former, finished_at, task_id = found[0][3:7], found[0][7], rows.text(found[0][8])
        self.move_last([(beginning.seq, attempts)])
        if former[3] is None or finished_at is not None:
            losses = self._begun_before(beginning.seq, task_id)
        elif rules.first_was_lost_too(strikes, recorded=self._ends_with_loss(beginning.seq)):
            losses = [(None, former[1], None, None), former]
        else:
            losses = [former]
        number = attempts + lost + 1
        self._store_losses(beginning.seq, number, losses)
        self._database.execute(
            "UPDATE tasks SET strikes = strikes + 1, lost = lost + ?, worker = ?, queued_at = coalesce(queued_at, ?),"
            " taken_at = ?, started_at = ? WHERE seq = ?",
            (len(losses), *msgspec.structs.astuple(beginning)[1:], beginning.seq),
        )
        return number + len(losses)

    def _store_losses(self, seq: int, first: int, losses: Sequence[Row]) -> None:
        """Store lost attempts, numbered from `first`: each a tuple of worker, queued_at, taken_at and started_at."""
        self._database.execute_many(
            "INSERT OR REPLACE INTO attempts (seq, number, state, worker, queued_at, taken_at, started_at)"
            " VALUES (?, ?, 'lost', ?, ?, ?, ?)",
            [(seq, number, *loss) for number, loss in enumerate(losses, first)],
        )

    def _ends_with_loss(self, seq: int) -> bool:
        """Return whether the last attempt in the table was lost, and the task not run again by an operator since."""
        found = self._database.execute(
            "SELECT state = 'lost' AND retried_at IS NULL FROM attempts WHERE seq = ? ORDER BY number DESC LIMIT 1",
            (seq,),
        )
        return bool(found and found[0][0])

    def _begun_before(self, seq: int, task_id: str) -> list[Row]:
        """Return the beginning that the heartbeat of another process names, unless that attempt is known.

        Returns:
            None or one tuple of worker, queued_at, taken_at and started_at.
        """
        found = self._database.execute(
            "SELECT name, json_extract(task.value, '$.since') AS since"
            " FROM processes, json_each(processes.in_hand) AS task"
            " WHERE processes.in_hand <> '[]' AND json_extract(task.value, '$.id') = ? AND NOT EXISTS ("
            "SELECT 1 FROM attempts WHERE seq = ? AND abs(started_at - json_extract(task.value, '$.since')) < ?)"
            " ORDER BY since DESC LIMIT 1",
            (task_id, seq, _SAME_MOMENT),
        )
        return [(name, None, None, since) for name, since in found]

    def give_back(self, seqs: Sequence[int]) -> None:
        """Remove a strike from each of these tasks, and what their row has of the attempt that does not go on."""
        self._database.execute_many(
            "UPDATE tasks SET strikes = max(0, strikes - 1), worker = NULL, taken_at = NULL, started_at = NULL"
            " WHERE seq = ? AND finished_at IS NULL",
            [(seq,) for seq in seqs],
        )

    def deaths(self, seq: int) -> int:
        """Return how many workers have died while they ran the task, since its last outcome or an operator's retry.

        The attempt in the row of the task counts as the last of them.
        """
        return 1 + self._database.number(
            "SELECT count(*) FROM attempts WHERE seq = ? AND number > (SELECT coalesce(max(number), 0) FROM attempts"
            " WHERE seq = ? AND (state = 'failed' OR retried_at IS NOT NULL))",
            (seq, seq),
        )


def _attempt(row: Row) -> Attempt:
    """Convert a row of `_COLUMNS` without the first."""
    error = None
    if row[7] is not None:
        error = Failure(type=rows.text(row[7]), message=rows.text(row[8]), traceback=rows.text(row[9]))
    retried_at = rows.number_or_none(row[10])
    return Attempt(
        number=rows.integer(row[0]),
        state=AttemptState(rows.text(row[1])),
        worker=rows.text_or_none(row[2]) or "",
        queued=rows.number_or_none(row[3]),
        taken=rows.number_or_none(row[4]),
        started=rows.number_or_none(row[5]),
        finished=rows.number_or_none(row[6]),
        error=error,
        retried=None if retried_at is None else OperatorRetry(retried_at, rows.text_or_none(row[11]) or ""),
    )
