"""The journal in SQLite: `resultados.db`.

A method that moves tasks reads their rows within the transaction, decides by the pure rules of `rules`,
and counts what it moved. The ledger and the endings are written at the end of the transaction.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core.database import Database, Faults, Row, Value
from core.errors import JournalUnavailable, JournalUnusable
from core.model import (
    AcceptResult,
    Assignment,
    Attempt,
    Beginning,
    Dispatch,
    Failure,
    KindDescription,
    NewTask,
    Outcome,
    ProcessRecord,
    State,
    Task,
)
from core.repository import rows, rules, sqlite_endings, sqlite_ledger
from core.repository.base import MAX_CONTRADICTORY, Audit, DeadLetter, Repository, Sample
from core.repository.sqlite_attempts import SqliteAttempts

FAULTS = Faults(temporary=JournalUnavailable, permanent=JournalUnusable)

SAMPLE_RETENTION = 24 * 3600
"""Seconds for which samples are kept."""

PRUNE_INTERVAL = 1000
"""Heartbeats of a process between two removals of old samples."""

CLOCK_TOLERANCE = 1.0
"""Seconds by which two clocks may differ, or one may be set back, before times are corrected."""

PROCESS_RETENTION = 7 * 24 * 3600
"""Seconds for which a process is kept after its last heartbeat."""

PROCESSES_KEPT = 100
"""The last processes, which are kept for that time. Of those before them, only processes that were just seen are."""

JUST_SEEN = 60.0
"""Seconds since the last heartbeat of a process that may be alive."""

LEFT_PROCESSES_SHOWN = 3600
"""Seconds for which a process is listed after it has left."""


_KINDS_VERSION = 10
"""The version of the schema since which workers tell of their kinds."""

_UPDATE_PROCESS = (
    "UPDATE processes SET role = ?, name = ?, host = ?, pid = ?, address = ?, threads = ?, started_at = ?, beat = ?,"
    " seen_at = ?, status = ?, counters = ?, in_hand = ?, kinds = ? WHERE number = ?"
)


def open_sqlite(path: Path, *, durable: bool = True, readonly: bool = False, lock_timeout: float = 10.0) -> Repository:
    """Open the journal at `path`. Creates it when it is missing, unless `readonly`.

    Args:
        path: the database file.
        durable: whether commits survive a power cut; those of heartbeats need not.
        readonly: whether to refuse writing.
        lock_timeout: seconds to wait for another process's write lock.

    Raises:
        JournalUnavailable: it can't be opened now.
        JournalUnusable: it can't be opened until it is repaired.
    """
    database = Database(path, FAULTS, durable=durable, readonly=readonly, lock_timeout=lock_timeout)
    try:
        if not readonly:
            database.migrate(schema())
        return SqliteRepository(database)
    except BaseException:
        database.close()
        raise


def schema() -> list[str]:
    """Return the scripts that create the journal's tables, in order."""
    # A path: `importlib.resources` would take longer to import than everything that is read here.
    folder = Path(__file__).with_name("schema")
    return [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


class SqliteRepository(Repository):
    """The journal on one SQLite connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = SqliteAttempts(database)
        self._moved: Counter[State] = Counter()
        self._ended: list[int] = []
        self._process_columns = ""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin to write. Updates the ledger and records the endings before the commit."""
        self._moved.clear()
        self._ended.clear()
        with self._database.transaction():
            yield
            sqlite_ledger.update(self._database, self._moved)
            sqlite_endings.record(self._database, self._ended)

    # Written by servers.

    def accept(self, tasks: Sequence[NewTask], owner: int | None, now: float) -> list[AcceptResult]:
        """Store new tasks."""
        first = self._database.number("SELECT max(seq) FROM tasks") + 1
        numbered: dict[str, tuple[int, NewTask]] = {}
        for task in tasks:
            if task.id not in numbered:
                numbered[task.id] = (first + len(numbered), task)
        stored = self._database.execute_many(
            "INSERT INTO tasks"
            " (seq, id, kind, payload, state, owner, due_at, retries, sent_at, received_at, accepted_at)"
            " VALUES (?, ?, ?, ?, 'accepted', ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            [
                (
                    seq,
                    task.id,
                    task.kind,
                    task.payload,
                    owner if task.due_at is None else None,
                    task.due_at or 0,
                    task.retries,
                    task.sent_at,
                    task.received_at,
                    now,
                )
                for seq, task in numbered.values()
            ],
        )
        self._moved[State.ACCEPTED] += stored
        if stored == len(tasks):
            return [AcceptResult(id=task.id, seq=seq, state=State.ACCEPTED) for seq, task in numbered.values()]
        return self._accept_results(tasks, numbered)

    def _accept_results(self, tasks: Sequence[NewTask], numbered: dict[str, tuple[int, NewTask]]) -> list[AcceptResult]:
        """Return the results for tasks of which some ids are duplicates, in the journal or among `tasks`."""
        stored = {
            row[1]: row
            for row in self._select_many("SELECT seq, id, kind, payload, state FROM tasks WHERE id IN", list(numbered))
        }
        results = []
        fresh = {task_id for task_id, (seq, _) in numbered.items() if stored[task_id][0] == seq}
        for task in tasks:
            seq, _, kind, payload, state = stored[task.id]
            results.append(
                AcceptResult(
                    id=task.id,
                    seq=rows.integer(seq),
                    state=State(str(state)),
                    duplicate=task.id not in fresh,
                    conflict=(kind, payload) != (task.kind, task.payload),
                )
            )
            fresh.discard(task.id)
        return results

    def has_due_tasks(self, now: float) -> bool:
        """Return whether `claim` would find a task."""
        return bool(
            self._database.number(
                "SELECT EXISTS (SELECT 1 FROM tasks"
                " WHERE state IN ('accepted', 'retrying') AND owner IS NULL AND due_at <= ?)",
                (now,),
            )
        )

    def claim(self, owner: int, now: float, limit: int) -> list[Dispatch]:
        """Give due tasks without an owner to `owner`."""
        claimed = self._database.execute(
            "UPDATE tasks SET owner = ? WHERE seq IN ("
            "SELECT seq FROM tasks WHERE state IN ('accepted', 'retrying') AND owner IS NULL AND due_at <= ?"
            " ORDER BY due_at, seq LIMIT ?) RETURNING due_at, seq, id, kind, attempts",
            (owner, now, limit),
        )
        return [rows.dispatch(row[1:]) for row in sorted(claimed)]

    def mark_queued(self, published: Sequence[Dispatch], at: float) -> None:
        """Note that the broker has confirmed these tasks."""
        self._move_former([(item.seq, item.attempt) for item in published if item.attempt])
        moved = 0
        for state in (State.ACCEPTED, State.RETRYING):
            if moved == len(published):
                return
            changed = self._database.execute_many(
                "UPDATE tasks SET state = 'queued', owner = NULL, queued_at = ?"
                " WHERE seq = ? AND attempts = ? AND state = ?",
                [(at, item.seq, item.attempt, state.value) for item in published],
            )
            self._move(state, State.QUEUED, changed)
            moved += changed

    def release(self, owner: int) -> int:
        """Take all tasks from `owner`."""
        return self._database.execute_many(
            "UPDATE tasks SET owner = NULL WHERE state IN ('accepted', 'retrying') AND owner = ?", [(owner,)]
        )

    def release_orphans(self, alive: Collection[int]) -> int:
        """Take all tasks from owners that are not among `alive`."""
        return self._database.execute_many(
            "UPDATE tasks SET owner = NULL WHERE state IN ('accepted', 'retrying') AND owner IS NOT NULL"
            " AND owner NOT IN (SELECT value FROM json_each(?))",
            [(json.dumps(list(alive)),)],
        )

    def cancel(self, task_id: str, now: float, *, runs: bool = False) -> State | None:
        """Cancel a task unless it has ended."""
        found = self._database.execute("SELECT seq, state FROM tasks WHERE id = ?", (task_id,))
        if not found:
            return None
        seq, state = rows.integer(found[0][0]), rows.state(found[0][1])
        after = rules.after_cancelling(state, runs=runs or self._attempts.has_begun(seq))
        if after is State.CANCELLING:
            self._database.execute(
                "UPDATE tasks SET cancel_asked_at = coalesce(cancel_asked_at, ?) WHERE seq = ?", (now, seq)
            )
        elif after is not state:
            self._cancel(seq, state, now)
        return after

    def settle_dead_letters(self, dead_letters: Sequence[DeadLetter], now: float) -> list[State | None]:
        """Settle dead letters."""
        tasks = self.assignments([dead_letter.seq for dead_letter in dead_letters])
        states: list[State | None] = []
        for dead_letter in dead_letters:
            task = tasks.get(dead_letter.seq)
            if task is None or task.id != dead_letter.id:
                states.append(None)
                continue
            after = rules.after_dead_letter(task.state, task.strikes, cancelling=task.cancelling)
            states.append(after)
            if after is task.state:
                continue
            if after is State.CANCELLED:
                self._cancel(task.seq, task.state, now)
            elif after is State.FAILED:
                self._fail(task, dead_letter.failure, now)
            else:
                self._database.execute(
                    "UPDATE tasks SET state = ?, owner = NULL, due_at = 0, strikes = max(strikes, 1) WHERE seq = ?",
                    (after.value, task.seq),
                )
                self._move(task.state, after)
            tasks[task.seq] = msgspec.structs.replace(task, state=after)
        return states

    def cancelling(self) -> list[int]:
        """Return the numbers of the tasks that were cancelled while they ran and have not ended."""
        return [
            rows.integer(seq)
            for (seq,) in self._database.execute(
                "SELECT seq FROM tasks WHERE cancel_asked_at IS NOT NULL AND stored_at IS NULL ORDER BY seq"
            )
        ]

    def redispatch(self) -> int:
        """Make every queued task accepted again."""
        self._database.execute("UPDATE queue SET generation = generation + 1")
        self._attempts.suspect_begun()
        moved = self._database.execute_many(
            "UPDATE tasks SET state = 'accepted', owner = NULL, due_at = 0 WHERE state = ?", [(State.QUEUED.value,)]
        )
        self._move(State.QUEUED, State.ACCEPTED, moved)
        return moved

    def generation(self) -> int:
        """Return the generation of the queue that messages are published to now."""
        return self._database.number("SELECT generation FROM queue")

    def reschedule(self, now: float) -> int:
        """Correct times that were written by a clock that was ahead."""
        began = "CASE state WHEN 'retrying' THEN finished_at ELSE received_at END"
        return self._database.execute_many(
            f"UPDATE tasks SET due_at = ? + due_at - {began} WHERE state IN ('accepted', 'retrying')"
            f" AND owner IS NULL AND due_at > ? AND {began} BETWEEN ? AND due_at",
            [(now, now, now + CLOCK_TOLERANCE)],
        )

    # Written by workers.

    def add_strike(self, beginning: Beginning) -> int:
        """Add a strike to a task."""
        return self._attempts.begin(beginning)

    def remove_strikes(self, seqs: Sequence[int]) -> None:
        """Remove a strike from each of these tasks."""
        self._attempts.give_back(seqs)

    def give_up(self, seq: int, attempt: int, now: float) -> bool:
        """Fail a task that has too many strikes."""
        task = self.assignments([seq]).get(seq)
        if task is None or not rules.outcome_counts(task.state, task.attempts, attempt):
            return False
        if task.cancelling:
            self._cancel(seq, task.state, now)
        else:
            self._fail(task, None, now)
        return True

    def _fail(self, task: Assignment, failure: Failure | None, now: float) -> None:
        """Fail a task whose workers died: its last attempt ends with this failure, or with one that counts them."""
        self._move_former([(task.seq, task.attempts)])
        deaths = self._attempts.end_with_death(task.seq)
        failure = failure or rules.worker_lost(max(1, deaths))
        self._database.execute(
            "UPDATE tasks SET state = 'failed', owner = NULL, due_at = 0, attempts = attempts + 1,"
            " finished_at = ?, stored_at = ?, result = NULL,"
            " error_type = ?, error_message = ?, error_traceback = ?, error_signature = ? WHERE seq = ?",
            (now, now, *rows.failure_columns(failure), task.seq),
        )
        self._move(task.state, State.FAILED)
        self._ended.append(task.seq)

    def _cancel(self, seq: int, state: State, now: float) -> None:
        """Cancel a task that does not run."""
        self._attempts.lose([seq])
        self._database.execute(
            "UPDATE tasks SET state = 'cancelled', owner = NULL, stored_at = ? WHERE seq = ?", (now, seq)
        )
        self._move(state, State.CANCELLED)
        self._ended.append(seq)

    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        """Store outcomes."""
        stored: dict[Value, tuple[State, int, bool]] = {
            row[0]: (rows.state(row[1]), rows.integer(row[2]), row[3] is not None)
            for row in self._select_many(
                "SELECT seq, state, attempts, cancel_asked_at FROM tasks WHERE seq IN",
                [outcome.seq for outcome in outcomes],
            )
        }
        counted: list[bool] = []
        chosen: list[tuple[Value, ...]] = []
        for outcome in outcomes:
            state, attempts, cancelling = stored.get(outcome.seq, (State.DONE, 0, False))
            counts = rules.outcome_counts(state, attempts, outcome.attempt)
            counted.append(counts)
            if counts:
                after = rules.after_outcome(outcome.state, cancelling=cancelling)
                chosen.append(rows.outcome_columns(outcome, after, now))
                stored[outcome.seq] = (after, outcome.attempt + 1, cancelling)
                self._move(state, after)
                if after.ended:
                    self._ended.append(outcome.seq)
        self._move_former([(outcome.seq, outcome.attempt) for outcome in outcomes if outcome.attempt])
        self._database.execute_many(
            "UPDATE tasks SET state = ?, owner = NULL, due_at = coalesce(?, due_at), attempts = ?, worker = ?,"
            " result = ?,"
            " error_type = ?, error_message = ?, error_traceback = ?, error_signature = ?,"
            " queued_at = coalesce(?, queued_at), taken_at = ?, started_at = ?, finished_at = ?,"
            " runner = ?, report = ?, stored_at = ?, strikes = strikes * ?"
            " WHERE seq = ?",
            chosen,
        )
        return counted

    def tell_kinds(self, kinds: Sequence[KindDescription]) -> None:
        """Store what kinds of task a worker runs."""
        self._database.execute_many(
            "INSERT INTO kinds (kind, told) VALUES (?, ?)"
            " ON CONFLICT (kind) DO UPDATE SET told = excluded.told WHERE told <> excluded.told",
            [(kind.kind, rows.told_column(kind)) for kind in kinds],
        )

    # Written by every process.

    def register(self, record: ProcessRecord) -> int:
        """Store a new process."""
        self._database.execute(
            "DELETE FROM processes WHERE seen_at < ? OR (seen_at < ?"
            " AND number <= (SELECT number FROM processes ORDER BY number DESC LIMIT 1 OFFSET ?))",
            (record.started_at - PROCESS_RETENTION, record.started_at - JUST_SEEN, PROCESSES_KEPT - 1),
        )
        self._attempts.lose_of_dead()
        record = msgspec.structs.replace(record, seen_at=max(record.seen_at, record.started_at))
        return self._add_process(None, rows.process_columns(record))

    def _add_process(self, number: int | None, columns: Sequence[Value]) -> int:
        """Add a process to its table. Returns its number: the next one, if None is given."""
        created = self._database.execute(
            "INSERT INTO processes (number, role, name, host, pid, address, threads, started_at, beat, seen_at, status,"
            " counters, in_hand, kinds, life) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
            " coalesce(max(life), 0) + 1 FROM processes"
            " WHERE role = ?2 AND host = ?4 AND name = ?3 AND (?1 IS NULL OR number < ?1) RETURNING number",
            (number, *columns),
        )
        return rows.integer(created[0][0])

    def record_heartbeat(self, record: ProcessRecord) -> None:
        """Store a process's record, and a sample of its counters."""
        columns = rows.process_columns(record)
        if not self._database.execute_many(_UPDATE_PROCESS, [(*columns, record.number)]):
            self._add_process(record.number, columns)
        self._database.execute(
            "INSERT INTO samples (second, process, counters, in_hand) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (second, process) DO NOTHING",
            (int(record.seen_at), record.number, rows.counters_column(record.counters), len(record.in_hand)),
        )
        if record.beat % PRUNE_INTERVAL == 1:
            self._database.execute("DELETE FROM samples WHERE second < ?", (int(record.seen_at - SAMPLE_RETENTION),))

    # Written by supervisors.

    def mark_left(self, host: str, names: Collection[str]) -> int:
        """Note that the last process of each of these names has ended."""
        return self._database.execute_many(
            "UPDATE processes SET status = 'left' WHERE status <> 'left' AND number IN ("
            "SELECT max(number) FROM processes WHERE host = ? AND name IN (SELECT value FROM json_each(?))"
            " GROUP BY role, name)",
            [(host, json.dumps(list(names)))],
        )

    # Reading.

    def assignments(self, seqs: Collection[int]) -> dict[int, Assignment]:
        """Return what a worker needs to run these tasks, by number."""
        found = self._select_many(f"SELECT {rows.ASSIGNMENT_COLUMNS} FROM tasks WHERE seq IN", seqs)
        return {rows.integer(row[0]): rows.assignment(row) for row in found}

    def find_all(self, task_ids: Collection[str]) -> list[Task]:
        """Return the tasks with these ids."""
        found = self._select_many(f"SELECT {self._attempts.task_columns} FROM tasks WHERE id IN", task_ids)
        return [rows.task(row) for row in found]

    def former_attempts(self, seqs: Collection[int]) -> Mapping[int, Sequence[Attempt]]:
        """Return the former attempts of each of these tasks that has any."""
        return self._attempts.read(seqs)

    def ended(self, task_ids: Collection[str]) -> list[Task]:
        """Return those of these tasks that have ended."""
        found = self._select_many(
            f"SELECT {self._attempts.task_columns} FROM tasks WHERE +stored_at IS NOT NULL AND id IN",
            task_ids,
        )
        return [rows.task(row) for row in found]

    def latest(self, limit: int) -> list[Task]:
        """Return the tasks that ended last, newest first."""
        found = self._database.execute(
            f"SELECT {self._attempts.task_columns} FROM tasks WHERE stored_at IS NOT NULL"
            " ORDER BY stored_at DESC, seq DESC LIMIT ?",
            (limit,),
        )
        return [rows.task(row) for row in found]

    def counts(self) -> dict[str, int]:
        """Return the number of tasks in each stored state."""
        return sqlite_ledger.read(self._database)

    def told_kinds(self, kind: str | None = None) -> Sequence[KindDescription]:
        """Return what workers have told of their kinds of task, or of one."""
        if self._database.schema_version() < _KINDS_VERSION:
            return []
        condition, values = ("", ()) if kind is None else (" WHERE kind = ?", (kind,))
        found = self._database.execute(f"SELECT kind, told FROM kinds{condition} ORDER BY kind", values)
        return [rows.told_kind(row) for row in found]

    def audit(self) -> Audit:
        """Count all tasks and compare them with the ledger."""
        with self._database.snapshot():
            counted = self._database.execute("SELECT state, count(*) FROM tasks GROUP BY state")
            contradictory = self._database.execute(
                "SELECT id FROM tasks WHERE (state IN ('done', 'failed', 'cancelled')) <> (stored_at IS NOT NULL)"
                " OR (state = 'done') <> (result IS NOT NULL) OR (state = 'failed' AND error_type IS NULL)"
                " OR (state IN ('done', 'failed') AND attempts = 0) LIMIT ?",
                (MAX_CONTRADICTORY,),
            )
            return Audit(
                counted={rows.text(row[0]): rows.integer(row[1]) for row in counted},
                ledger=self.counts(),
                contradictory=tuple(rows.text(row[0]) for row in contradictory),
            )

    def processes(self) -> list[ProcessRecord]:
        """Return the processes that have not left, and those that left in the last hour."""
        found = self._database.execute(
            f"SELECT {self._known_columns()} FROM processes"
            " WHERE status <> 'left' OR seen_at >= (SELECT max(seen_at) FROM processes) - ? ORDER BY number",
            (LEFT_PROCESSES_SHOWN,),
        )
        return [rows.process(row) for row in found]

    def _known_columns(self) -> str:
        """Return the columns of a process, with a constant for each that a journal of an older version lacks."""
        if not self._process_columns:
            known = self._database.execute("SELECT name FROM pragma_table_info('processes')")
            missing = {name: value for name, value in rows.NEW_PROCESS_COLUMNS.items() if (name,) not in known}
            names = rows.PROCESS_COLUMNS.split(", ")
            columns = ", ".join(missing.get(name, name) for name in names)
            if missing:
                # Read again the next time: a server or worker that starts brings the journal up to date.
                return columns
            self._process_columns = columns
        return self._process_columns

    def samples(self, since: int) -> list[Sample]:
        """Return the samples from second `since` on."""
        found = self._database.execute(
            "SELECT second, process, role, name, samples.counters, samples.in_hand"
            " FROM samples JOIN processes ON number = process WHERE second >= ? ORDER BY second, process",
            (since,),
        )
        return [rows.sample(row) for row in found]

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed."""
        return self._database.version()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _move(self, before: State, after: State, tasks: int = 1) -> None:
        self._moved[before] -= tasks
        self._moved[after] += tasks

    def _move_former(self, attempts: Sequence[tuple[int, int]]) -> None:
        """Move what has ended from the rows of tasks whose next attempt is queued or begins."""
        if attempts:
            self._attempts.move_last(attempts)

    def _select_many(self, statement: str, values: Collection[int] | Collection[str]) -> list[Row]:
        """Return the rows of a statement that ends in `IN`, for any number of values."""
        return self._database.execute(f"{statement} (SELECT value FROM json_each(?))", (json.dumps(list(values)),))
