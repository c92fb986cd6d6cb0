"""The journal in SQLite: `resultados.db`.

A method that moves tasks reads their rows first, inside the transaction, decides by the pure rules of `rules`,
and keeps the ledger's running totals by what it decided.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import msgspec

from core.database import Database, Faults, Row, Value
from core.errors import JournalUnavailable, JournalUnusable
from core.model import AcceptResult, Assignment, Dispatch, NewTask, Outcome, ProcessRecord, State, Task
from core.repository import rows, rules, sqlite_ledger
from core.repository.base import MAX_CONTRADICTORY, Audit, DeadLetter, Repository, Sample

FAULTS = Faults(passing=JournalUnavailable, lasting=JournalUnusable)

SAMPLES_KEPT = 24 * 3600
"""Seconds for which samples are kept."""

BEATS_TO_PRUNE = 1000
"""After so many heartbeats of a process, old samples are cleared away again."""

CLOCK_SLACK = 1.0
"""Seconds by which two clocks may disagree, or one is set back, without anybody caring."""

PROCESSES_KEPT = 7 * 24 * 3600
"""Seconds for which a process that is not seen any more is kept."""

PROCESSES_SHOWN = 3600


def open_sqlite(path: Path, *, durable: bool = True, readonly: bool = False, patience: float = 10.0) -> Repository:
    """Open the journal at `path`; it is made when it is not there, unless `readonly`.

    Args:
        path: the database file.
        durable: commits survive a power cut. Heartbeats need not.
        readonly: never write.
        patience: how many seconds to wait for another process's write lock.

    Raises:
        JournalUnavailable: it can't be opened now.
        JournalUnusable: it can't be opened as it is.
    """
    database = Database(path, FAULTS, durable=durable, readonly=readonly, patience=patience)
    try:
        if not readonly:
            database.migrate(schema())
        return SqliteRepository(database)
    except BaseException:
        database.close()
        raise


def schema() -> list[str]:
    """The scripts that make the journal's tables, in order."""
    folder = resources.files("core.repository") / "schema"
    return [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


class SqliteRepository(Repository):
    """The journal on one SQLite connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moved: Counter[State] = Counter()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin to write; commit with the ledger brought up to date."""
        self._moved.clear()
        with self._database.transaction():
            yield
            sqlite_ledger.update(self._database, self._moved)

    # What servers write.

    def accept(self, tasks: Sequence[NewTask], owner: int | None, now: float) -> list[AcceptResult]:
        """Enter new tasks."""
        first = self._database.number("SELECT max(seq) FROM tasks") + 1
        entered: dict[str, tuple[int, NewTask]] = {}
        for task in tasks:
            if task.id not in entered:
                entered[task.id] = (first + len(entered), task)
        added = self._database.execute_many(
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
                for seq, task in entered.values()
            ],
        )
        self._moved[State.ACCEPTED] += added
        if added == len(tasks):
            return [AcceptResult(id=task.id, seq=seq, state=State.ACCEPTED) for seq, task in entered.values()]
        return self._receipts(tasks, entered)

    def _receipts(self, tasks: Sequence[NewTask], entered: dict[str, tuple[int, NewTask]]) -> list[AcceptResult]:
        """The receipts of tasks some of whose ids were in the book, or stood twice in `tasks`."""
        booked = {
            row[1]: row
            for row in self._select_many("SELECT seq, id, kind, payload, state FROM tasks WHERE id IN", list(entered))
        }
        receipts = []
        fresh = {task_id for task_id, (seq, _) in entered.items() if booked[task_id][0] == seq}
        for task in tasks:
            seq, _, kind, payload, state = booked[task.id]
            receipts.append(
                AcceptResult(
                    id=task.id,
                    seq=rows.integer(seq),
                    state=State(str(state)),
                    duplicate=task.id not in fresh,
                    conflict=(kind, payload) != (task.kind, task.payload),
                )
            )
            fresh.discard(task.id)
        return receipts

    def has_due_tasks(self, now: float) -> bool:
        """Whether anything waits to be claimed."""
        return bool(
            self._database.number(
                "SELECT EXISTS (SELECT 1 FROM tasks"
                " WHERE state IN ('accepted', 'retrying') AND owner IS NULL AND due_at <= ?)",
                (now,),
            )
        )

    def claim(self, owner: int, now: float, limit: int) -> list[Dispatch]:
        """Give tasks that are due and belong to nobody to `owner`."""
        claimed = self._database.execute(
            "UPDATE tasks SET owner = ? WHERE seq IN ("
            "SELECT seq FROM tasks WHERE state IN ('accepted', 'retrying') AND owner IS NULL AND due_at <= ?"
            " ORDER BY due_at, seq LIMIT ?) RETURNING due_at, seq, id, kind, attempts",
            (owner, now, limit),
        )
        return [rows.dispatch(row[1:]) for row in sorted(claimed)]

    def mark_queued(self, published: Sequence[Dispatch], at: float) -> None:
        """Note that the broker has confirmed these."""
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

    def cancel(self, task_id: str, now: float) -> State | None:
        """Take a task back unless it has ended."""
        found = self._database.execute("SELECT seq, state FROM tasks WHERE id = ?", (task_id,))
        if not found:
            return None
        seq, before = found[0]
        state = State(rows.text(before))
        after = rules.after_cancelling(state)
        if after is not state:
            self._database.execute(
                "UPDATE tasks SET state = ?, owner = NULL, stored_at = ? WHERE seq = ?", (after.value, now, seq)
            )
            self._move(state, after)
        return after

    def settle_dead_letters(self, letters: Sequence[DeadLetter], now: float) -> list[State | None]:
        """Settle dead letters."""
        booked = self.assignments([letter.seq for letter in letters])
        states: list[State | None] = []
        for letter in letters:
            task = booked.get(letter.seq)
            if task is None or task.id != letter.id:
                states.append(None)
                continue
            after = rules.after_dead_letter(task.state, task.strikes)
            states.append(after)
            if after is task.state:
                continue
            self._database.execute(
                "UPDATE tasks SET state = ?, owner = NULL, due_at = 0, stored_at = ?, attempts = attempts + ?,"
                " strikes = max(strikes, ?),"
                " error_type = coalesce(?, error_type), error_message = coalesce(?, error_message),"
                " error_traceback = coalesce(?, error_traceback), error_signature = coalesce(?, error_signature)"
                " WHERE seq = ?",
                (
                    after.value,
                    now if after.ended else None,
                    int(after.ended),
                    int(not after.ended),
                    *rows.failure_columns(letter.failure if after.ended else None),
                    task.seq,
                ),
            )
            self._move(task.state, after)
            booked[task.seq] = msgspec.structs.replace(task, state=after)
        return states

    def redispatch(self) -> int:
        """Make every queued task accepted again."""
        self._database.execute("UPDATE queue SET generation = generation + 1")
        moved = self._database.execute_many(
            "UPDATE tasks SET state = 'accepted', owner = NULL, due_at = 0 WHERE state = ?", [(State.QUEUED.value,)]
        )
        self._move(State.QUEUED, State.ACCEPTED, moved)
        return moved

    def generation(self) -> int:
        """Which queue messages are on by now."""
        return self._database.number("SELECT generation FROM queue")

    def reschedule(self, now: float) -> int:
        """Mend what was written by a clock that was ahead."""
        began = "CASE state WHEN 'retrying' THEN finished_at ELSE received_at END"
        return self._database.execute_many(
            f"UPDATE tasks SET due_at = ? + due_at - {began} WHERE state IN ('accepted', 'retrying')"
            f" AND owner IS NULL AND due_at > ? AND {began} BETWEEN ? AND due_at",
            [(now, now, now + CLOCK_SLACK)],
        )

    # What workers write.

    def add_strikes(self, seqs: Sequence[int]) -> None:
        """Note that these are about to begin after a redelivery."""
        self._database.execute_many("UPDATE tasks SET strikes = strikes + 1 WHERE seq = ?", [(seq,) for seq in seqs])

    def remove_strikes(self, seqs: Sequence[int]) -> None:
        """Take back one strike of each of these."""
        self._database.execute_many(
            "UPDATE tasks SET strikes = max(0, strikes - 1) WHERE seq = ?", [(seq,) for seq in seqs]
        )

    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        """Store outcomes."""
        booked: dict[Value, tuple[State, int]] = {
            row[0]: (rows.state(row[1]), rows.integer(row[2]))
            for row in self._select_many(
                "SELECT seq, state, attempts FROM tasks WHERE seq IN", [outcome.seq for outcome in outcomes]
            )
        }
        counted: list[bool] = []
        chosen: list[tuple[Value, ...]] = []
        for outcome in outcomes:
            state, attempts = booked.get(outcome.seq, (State.DONE, 0))
            counts = rules.outcome_counts(state, attempts, outcome.attempt)
            counted.append(counts)
            if counts:
                chosen.append(rows.settled_columns(outcome, now))
                booked[outcome.seq] = (outcome.state, outcome.attempt + 1)
                self._move(state, outcome.state)
        self._database.execute_many(
            "UPDATE tasks SET state = ?, owner = NULL, due_at = ?, attempts = ?, worker = ?, result = ?,"
            " error_type = ?, error_message = ?, error_traceback = ?, error_signature = ?,"
            " queued_at = coalesce(?, queued_at), taken_at = ?, started_at = ?, finished_at = ?, stored_at = ?,"
            " strikes = strikes * ?"
            " WHERE seq = ?",
            chosen,
        )
        return counted

    # What every process writes.

    def register(self, record: ProcessRecord) -> int:
        """Enter a process."""
        self._database.execute("DELETE FROM processes WHERE seen_at < ?", (record.started_at - PROCESSES_KEPT,))
        entered = self._database.execute(
            f"INSERT INTO processes ({rows.PROCESS_COLUMNS}) VALUES (NULL{', ?' * 12}) RETURNING number",
            rows.process_columns(msgspec.structs.replace(record, seen_at=max(record.seen_at, record.started_at))),
        )
        return rows.integer(entered[0][0])

    def record_heartbeat(self, record: ProcessRecord) -> None:
        """Write a process's heartbeat."""
        self._database.execute(
            f"INSERT OR REPLACE INTO processes ({rows.PROCESS_COLUMNS}) VALUES (?{', ?' * 12})",
            (record.number, *rows.process_columns(record)),
        )
        self._database.execute(
            "INSERT INTO samples (second, process, counters, in_hand) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (second, process) DO NOTHING",
            (int(record.seen_at), record.number, rows.counters_column(record.counters), len(record.in_hand)),
        )
        if record.beat % BEATS_TO_PRUNE == 1:
            self._database.execute("DELETE FROM samples WHERE second < ?", (int(record.seen_at - SAMPLES_KEPT),))

    # What anybody reads.

    def assignments(self, seqs: Collection[int]) -> dict[int, Assignment]:
        """What to know of these tasks to run them."""
        found = self._select_many(f"SELECT {rows.ASSIGNMENT_COLUMNS} FROM tasks WHERE seq IN", seqs)
        return {rows.integer(row[0]): rows.assignment(row) for row in found}

    def find_all(self, task_ids: Collection[str]) -> list[Task]:
        """Those of these tasks that are in the book."""
        found = self._select_many(f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE id IN", task_ids)
        return [rows.task(row) for row in found]

    def ended(self, task_ids: Collection[str]) -> list[Task]:
        """Those of these tasks that have ended."""
        found = self._select_many(
            f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE +stored_at IS NOT NULL AND id IN",
            task_ids,
        )
        return [rows.task(row) for row in found]

    def latest(self, limit: int) -> list[Task]:
        """Ended tasks, the last ended first."""
        found = self._database.execute(
            f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE stored_at IS NOT NULL"
            " ORDER BY stored_at DESC, seq DESC LIMIT ?",
            (limit,),
        )
        return [rows.task(row) for row in found]

    def counts(self) -> dict[str, int]:
        """How many tasks are in each stored state."""
        return sqlite_ledger.read(self._database)

    def audit(self) -> Audit:
        """Count the whole book."""
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
        """The processes that have not left, and those that left within the last hour."""
        found = self._database.execute(
            f"SELECT {rows.PROCESS_COLUMNS} FROM processes"
            " WHERE status <> 'left' OR seen_at >= (SELECT max(seen_at) FROM processes) - ? ORDER BY number",
            (PROCESSES_SHOWN,),
        )
        return [rows.process(row) for row in found]

    def samples(self, since: int) -> list[Sample]:
        """The samples from second `since` on."""
        found = self._database.execute(
            "SELECT second, process, role, name, samples.counters, samples.in_hand"
            " FROM samples JOIN processes ON number = process WHERE second >= ? ORDER BY second, process",
            (since,),
        )
        return [rows.sample(row) for row in found]

    def data_version(self) -> int:
        """A number that changes when another connection has committed something."""
        return self._database.version()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _move(self, before: State, after: State, tasks: int = 1) -> None:
        self._moved[before] -= tasks
        self._moved[after] += tasks

    def _select_many(self, statement: str, values: Collection[int] | Collection[str]) -> list[Row]:
        """Rows of a statement that ends in `IN`, for any number of values."""
        return self._database.execute(f"{statement} (SELECT value FROM json_each(?))", (json.dumps(list(values)),))
