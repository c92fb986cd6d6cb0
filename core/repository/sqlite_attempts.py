"""The attempts of each task in SQLite.

The row of a task is about its present attempt, or about the last one when it waits for no other. An attempt is moved
from there to the table `attempts` when the next one is queued or begins. So a task that ends with its first attempt
costs nothing here.

Of an attempt that was lost, the row has the beginning if it began after a redelivery. Of any other, the file of its
worker has it (`beginnings`).
"""

import json
from collections.abc import Collection, Sequence

from core.begun_slots import BegunAttempt
from core.database import Database, Row, Value
from core.model import DEATH_SIGNATURES, Attempt, AttemptState, Beginning, Failure, OperatorRetry, TaskReport
from core.repository import rows
from core.repository.beginnings import Beginnings
from core.timeline import MAX_MESSAGE, MAX_TRACEBACK

_FIRST_VERSION = 4
"""The version of the schema that has the table."""

_CANCELLING_VERSION = 8
"""The version of the schema in which a running task can be cancelled."""

_RUNNER_VERSION = 9
"""The version of the schema in which an attempt has its runner, and what it said of itself."""

_COLUMNS = (
    "seq, number, state, worker, queued_at, taken_at, started_at, finished_at,"
    " error_type, error_message, error_traceback, retried_at, retried_by"
)
_NEW_COLUMNS = "runner, report"
"""The columns of an attempt that a journal of an older version lacks."""
_SIGNATURES = ", ".join(f"'{signature}'" for signature in sorted(DEATH_SIGNATURES))
_OF_ROW = (
    f"seq, attempts + lost, CASE WHEN error_signature IN ({_SIGNATURES}) THEN 'lost' ELSE 'failed' END, worker,"
    " queued_at, taken_at, started_at, finished_at,"
    f" error_type, substr(error_message, 1, {MAX_MESSAGE}), substr(error_traceback, -{MAX_TRACEBACK})"
)
_NO_BEGINNING = "worker = NULL, taken_at = NULL, started_at = NULL, runner = NULL, report = NULL"
_CLEARED = f"{_NO_BEGINNING}, queued_at = NULL, finished_at = NULL"
_ALL_COLUMNS = (
    "seq, number, state, worker, queued_at, taken_at, started_at, finished_at,"
    f" error_type, error_message, error_traceback, {_NEW_COLUMNS}, retried_at, retried_by, stored_at"
)
_IS_NEWS = (
    "seq = ? AND attempts = ? AND stored_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.seq = tasks.seq AND attempts.started_at = ?)"
)
"""Whether a beginning, by task, number of ended attempts and time, is one that the journal does not know."""


class SqliteAttempts:
    """The attempts, over the connection of a repository or an archive. What it writes is part of a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._beginnings = Beginnings(database.path)
        self._exists = False
        self._has_cancelling = False
        self._has_runners = False

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
    def task_columns(self) -> str:
        """The columns of a task, as `rows.task` takes them."""
        return f"{rows.TASK_COLUMNS}, {self.lost}, {self.cancelling}, {self._new_columns}"

    @property
    def _new_columns(self) -> str:
        """The expressions for the runner of an attempt, and for what it said of itself."""
        self._has_runners = self._has_runners or self._database.schema_version() >= _RUNNER_VERSION
        return _NEW_COLUMNS if self._has_runners else "NULL, NULL"

    @property
    def cancelling(self) -> str:
        """The expression for whether a task was cancelled while it ran."""
        self._has_cancelling = self._has_cancelling or self._database.schema_version() >= _CANCELLING_VERSION
        return "cancel_asked_at IS NOT NULL" if self._has_cancelling else "0"

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
            f"SELECT {_COLUMNS}, {self._new_columns} FROM attempts"
            " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, number",
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
            f"INSERT OR IGNORE INTO attempts ({_ALL_COLUMNS}) SELECT {_OF_ROW}, {_NEW_COLUMNS}, NULL, NULL, NULL"
            f" FROM tasks WHERE {condition}",
            attempts,
        )
        self._database.execute_many(f"UPDATE tasks SET {_CLEARED} WHERE {condition}", attempts)

    def move_retried(self, operation: int, seqs: Sequence[int], now: float) -> None:
        """Move the attempt that has ended from the rows of failed tasks, which an operator has run again.

        A task whose retry was undone when the next attempt was lost has none in its row: the last one is marked.
        """
        chosen = json.dumps(list(seqs))
        self._database.execute(
            "UPDATE attempts SET retried_at = ?, retried_by = (SELECT who FROM operations WHERE number = ?),"
            " stored_at = tasks.stored_at FROM tasks WHERE tasks.seq IN (SELECT value FROM json_each(?))"
            " AND tasks.state = 'failed' AND tasks.finished_at IS NULL"
            " AND attempts.seq = tasks.seq AND attempts.number = tasks.attempts + tasks.lost",
            (now, operation, chosen),
        )
        condition = "seq IN (SELECT value FROM json_each(?)) AND state = 'failed' AND finished_at IS NOT NULL"
        self._database.execute(
            f"INSERT OR IGNORE INTO attempts ({_ALL_COLUMNS}) SELECT {_OF_ROW}, {_NEW_COLUMNS},"
            f" ?, (SELECT who FROM operations WHERE number = ?), stored_at FROM tasks WHERE {condition}",
            (now, operation, chosen),
        )
        self._database.execute(f"UPDATE tasks SET {_CLEARED} WHERE {condition}", (chosen,))

    def move_back(self, seqs: Sequence[int]) -> None:
        """Undo the retry by an operator of these tasks, unless another attempt has begun since.

        The attempt that it had moved is in the row of its task again.
        """
        chosen = json.dumps(list(seqs))
        retried = (
            "seq IN (SELECT value FROM json_each(?)) AND retried_at IS NOT NULL"
            " AND number = (SELECT attempts + lost FROM tasks WHERE tasks.seq = attempts.seq)"
        )
        self._database.execute(
            "UPDATE tasks SET stored_at = coalesce(last.stored_at, tasks.stored_at)"
            f" FROM (SELECT seq, stored_at FROM attempts WHERE {retried}) AS last WHERE tasks.seq = last.seq",
            (chosen,),
        )
        self._fill_rows(f"{retried} AND finished_at IS NOT NULL", (chosen,))
        self._database.execute(
            f"UPDATE attempts SET retried_at = NULL, retried_by = NULL, stored_at = NULL WHERE {retried}", (chosen,)
        )

    def _fill_rows(self, condition: str, values: Sequence[Value]) -> None:
        """Move the attempts that a condition selects to the rows of their tasks."""
        self._database.execute(
            "UPDATE tasks SET worker = last.worker, queued_at = last.queued_at, taken_at = last.taken_at,"
            " started_at = last.started_at, finished_at = last.finished_at, runner = last.runner, report = last.report"
            f" FROM (SELECT * FROM attempts WHERE {condition}) AS last WHERE tasks.seq = last.seq",
            values,
        )
        self._database.execute(f"DELETE FROM attempts WHERE {condition}", values)

    def begin(self, beginning: Beginning) -> int:
        """Add a strike for an attempt that begins after a redelivery, and record the attempts that were lost before it.

        Returns:
            The number of the attempt; 0 when there is no such task, or when it has ended.
        """
        found = self._database.execute(
            "SELECT attempts FROM tasks WHERE seq = ? AND stored_at IS NULL", (beginning.seq,)
        )
        if not found:
            return 0
        self.move_last([(beginning.seq, rows.integer(found[0][0]))])
        self.lose([beginning.seq])
        self._database.execute(
            "UPDATE tasks SET strikes = strikes + 1, worker = ?, queued_at = coalesce(queued_at, ?),"
            " taken_at = ?, started_at = ?, runner = ?, report = ? WHERE seq = ?",
            (
                beginning.worker,
                beginning.queued_at,
                beginning.taken_at,
                beginning.started_at,
                *rows.runner_columns(beginning),
                beginning.seq,
            ),
        )
        return 1 + self._database.number("SELECT attempts + lost FROM tasks WHERE seq = ?", (beginning.seq,))

    def has_begun(self, seq: int) -> bool:
        """Return whether an attempt at a task has begun and not ended.

        A live worker notes it, or it began after a redelivery: then the worker may have died, but another one has the
        message.
        """
        return bool(
            self._beginnings.find_live(seq)
            or self._database.number(
                "SELECT count(*) FROM tasks WHERE seq = ? AND started_at IS NOT NULL AND finished_at IS NULL", (seq,)
            )
        )

    def lose(self, seqs: Collection[int]) -> None:
        """Record as lost what has begun of these tasks, and has not ended and will not."""
        begun = self._beginnings.find(set(seqs))
        for row in self._database.execute(
            f"SELECT seq, attempts, worker, queued_at, taken_at, started_at, {_NEW_COLUMNS} FROM tasks"
            " WHERE seq IN (SELECT value FROM json_each(?))"
            " AND started_at IS NOT NULL AND finished_at IS NULL AND stored_at IS NULL",
            (json.dumps(list(seqs)),),
        ):
            begun.append(_begun(row))
        self._store_losses(begun)
        self._database.execute(
            f"UPDATE tasks SET {_NO_BEGINNING}"
            " WHERE seq IN (SELECT value FROM json_each(?)) AND finished_at IS NULL AND stored_at IS NULL",
            (json.dumps(list(seqs)),),
        )

    def lose_of_dead(self) -> None:
        """Record as lost what workers that have died had begun."""
        self._store_losses(self._beginnings.take_dead())

    def end_with_death(self, seq: int) -> int:
        """Make sure that the row of a task has the last attempt that its workers have begun, if any.

        Returns:
            How many workers have died while they ran the task, since its last outcome or an operator's retry.
        """
        self._store_losses(self._beginnings.find({seq}))
        deaths = self._database.number(
            "SELECT count(*) FROM attempts WHERE seq = ? AND number > (SELECT coalesce(max(number), 0) FROM attempts"
            " WHERE seq = ? AND (state = 'failed' OR retried_at IS NOT NULL))",
            (seq, seq),
        )
        if self._database.number("SELECT started_at IS NOT NULL FROM tasks WHERE seq = ?", (seq,)):
            return deaths + 1
        if deaths:
            last = "seq = ? AND number = (SELECT max(number) FROM attempts WHERE seq = ?)"
            self._fill_rows(last, (seq, seq))
            self._database.execute("UPDATE tasks SET lost = lost - 1 WHERE seq = ?", (seq,))
        return deaths

    def suspect_begun(self) -> None:
        """Make suspects of the queued tasks that workers have begun: their next message tells nothing of that."""
        self._database.execute_many(
            f"UPDATE tasks SET strikes = 1 WHERE state = 'queued' AND strikes = 0 AND {_IS_NEWS}",
            [(each.seq, each.attempt, each.started_at) for each in self._beginnings.find(None)],
        )

    def _store_losses(self, begun: Sequence[BegunAttempt]) -> None:
        """Store attempts as lost, unless they are known, or their task has an outcome of them."""
        for each in sorted(begun, key=lambda each: each.started_at):
            number = self._database.number(
                f"SELECT attempts + lost + 1 FROM tasks WHERE {_IS_NEWS}",
                (each.seq, each.attempt, each.started_at),
            )
            if number:
                self._database.execute(
                    "INSERT INTO attempts (seq, number, state, worker, queued_at, taken_at, started_at,"
                    f" {_NEW_COLUMNS})"
                    " VALUES (?, ?, 'lost', ?, ?, ?, ?, ?, ?)",
                    (
                        each.seq,
                        number,
                        each.worker,
                        each.queued_at,
                        each.taken_at,
                        each.started_at,
                        each.runner,
                        each.report,
                    ),
                )
                self._database.execute("UPDATE tasks SET lost = lost + 1 WHERE seq = ?", (each.seq,))

    def give_back(self, seqs: Sequence[int]) -> None:
        """Remove a strike from each of these tasks, and what their row has of the attempt that does not go on."""
        self._database.execute_many(
            f"UPDATE tasks SET strikes = max(0, strikes - 1), {_NO_BEGINNING} WHERE seq = ? AND finished_at IS NULL",
            [(seq,) for seq in seqs],
        )


def _begun(row: Row) -> BegunAttempt:
    """Convert a row of `seq, attempts, worker, queued_at, taken_at, started_at, runner, report`."""
    return BegunAttempt(
        seq=rows.integer(row[0]),
        attempt=rows.integer(row[1]),
        worker=rows.text_or_none(row[2]) or "",
        queued_at=rows.number_or_none(row[3]),
        taken_at=rows.number_or_none(row[4]),
        started_at=rows.number(row[5]),
        runner=rows.integer_or_none(row[6]),
        report=rows.text_or_none(row[7]),
    )


def _attempt(row: Row) -> Attempt:
    """Convert a row of `_COLUMNS` without the first, and of `_NEW_COLUMNS`."""
    error = None
    if row[7] is not None:
        error = Failure(type=rows.text(row[7]), message=rows.text(row[8]), traceback=rows.text(row[9]))
    retried_at = rows.number_or_none(row[10])
    report = rows.report(row[13]) or TaskReport()
    return Attempt(
        number=rows.integer(row[0]),
        state=AttemptState(rows.text(row[1])),
        worker=rows.text_or_none(row[2]) or "",
        queued=rows.number_or_none(row[3]),
        taken=rows.number_or_none(row[4]),
        started=rows.number_or_none(row[5]),
        finished=rows.number_or_none(row[6]),
        error=error,
        runner=rows.integer_or_none(row[12]) or 0,
        progress=report.progress,
        notes=report.notes,
        retried=None if retried_at is None else OperatorRetry(retried_at, rows.text_or_none(row[11]) or ""),
    )
