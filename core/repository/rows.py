"""Conversion of database rows to values and back. Pure."""

from collections.abc import Sequence

import msgspec

from core.database import Row, Value
from core.model import (
    Assignment,
    Beginning,
    Counters,
    Dispatch,
    Failure,
    KindDescription,
    Outcome,
    Part,
    ProcessPhase,
    ProcessRecord,
    Role,
    RunningTask,
    State,
    Task,
    TaskReport,
    Times,
    Trouble,
)
from core.repository.base import Sample

TASK_COLUMNS = (
    "seq, id, kind, payload, state, attempts, strikes, retries, due_at, worker, result,"
    " error_type, error_message, error_traceback, error_signature,"
    " sent_at, received_at, accepted_at, queued_at, taken_at, started_at, finished_at, stored_at"
)
"""Followed by those that a journal of an older version does not have (`SqliteAttempts.task_columns`)."""
ASSIGNMENT_COLUMNS = (
    "seq, id, kind, payload, state, attempts, strikes, retries, due_at, queued_at, lost, cancel_asked_at IS NOT NULL"
)
PROCESS_COLUMNS = (
    "number, role, name, host, pid, address, threads, started_at, beat, seen_at, status, counters, in_hand, kinds, life"
)
NEW_PROCESS_COLUMNS = {"kinds": "'[]'", "life": "1"}
"""Columns that a journal of an older version lacks, and what stands for them."""

_encode = msgspec.json.Encoder().encode
_STATES: dict[Value, State] = {state.value: state for state in State}
_PHASES: dict[str, ProcessPhase] = {phase.value: phase for phase in ProcessPhase}
_PARTS: dict[str, Part] = {part.value: part for part in Part}
_SEPARATOR = "; "
"""What separates the phase and the troubles of a process in its status."""
_decode_counters = msgspec.json.Decoder(Counters).decode
_decode_in_hand = msgspec.json.Decoder(tuple[RunningTask, ...]).decode
_decode_report = msgspec.json.Decoder(TaskReport).decode
_decode_told = msgspec.json.Decoder(KindDescription).decode
_decode_kinds = msgspec.json.Decoder(tuple[str, ...]).decode


def integer(value: Value) -> int:
    """Return the value of an integer column."""
    assert isinstance(value, int)
    return value


def number(value: Value) -> float:
    """Return the value of a number column."""
    assert isinstance(value, int | float)
    return float(value)


def text(value: Value) -> str:
    """Return the value of a text column."""
    assert isinstance(value, str)
    return value


def state(value: Value) -> State:
    """Return the value of a state column."""
    return _STATES[value]


def number_or_none(value: Value) -> float | None:
    """Return the value of a number column, or None for NULL."""
    return None if value is None else number(value)


def integer_or_none(value: Value) -> int | None:
    """Return the value of an integer column, or None for NULL."""
    return None if value is None else integer(value)


def text_or_none(value: Value) -> str | None:
    """Return the value of a text column, or None for NULL."""
    return None if value is None else text(value)


def dispatch(row: Row) -> Dispatch:
    """Convert a row of `seq, id, kind, attempts`."""
    return Dispatch(integer(row[0]), text(row[1]), text(row[2]), integer(row[3]))


def assignment(row: Row) -> Assignment:
    """Convert a row of `ASSIGNMENT_COLUMNS`."""
    return Assignment(
        seq=integer(row[0]),
        id=text(row[1]),
        kind=text(row[2]),
        payload=text(row[3]),
        state=state(row[4]),
        attempts=integer(row[5]),
        strikes=integer(row[6]),
        retries=integer_or_none(row[7]),
        due_at=number(row[8]) or None,
        queued_at=number_or_none(row[9]),
        lost=integer(row[10]),
        cancelling=bool(row[11]),
    )


def task(row: Row) -> Task:
    """Convert a row of `SqliteAttempts.task_columns`."""
    times = [number_or_none(value) for value in row[15:23]]
    current = State(text(row[4]))
    return Task(
        seq=integer(row[0]),
        id=text(row[1]),
        kind=text(row[2]),
        payload=text(row[3]),
        state=current,
        attempts=integer(row[5]),
        strikes=integer(row[6]),
        lost=integer(row[23]),
        retries=integer_or_none(row[7]),
        due_at=None if current.ended else number(row[8]) or None,
        worker=text_or_none(row[9]),
        result=text_or_none(row[10]),
        failure=_failure(row[11:15]),
        cancelling=bool(row[24]) and not current.ended,
        runner=integer_or_none(row[25]) or 0,
        report=report(row[26]),
        times=Times(
            sent=times[0],
            received=times[1],
            accepted=times[2],
            queued=times[3],
            taken=times[4],
            started=times[5],
            finished=times[6],
            stored=times[7],
        ),
    )


def _failure(columns: Row) -> Failure | None:
    if columns[0] is None:
        return None
    return Failure(
        type=text(columns[0]), message=text(columns[1]), traceback=text(columns[2]), signature=text(columns[3])
    )


def report(value: Value) -> TaskReport | None:
    """Return the value of the column with what an attempt said of itself, or None for NULL."""
    return None if value is None else _decode_report(text(value))


def runner_columns(attempt: Outcome | Beginning) -> tuple[Value, Value]:
    """Return the columns with the runner of an attempt, and with what the attempt said of itself."""
    return attempt.runner or None, None if attempt.report is None else _encode(attempt.report).decode()


def failure_columns(failure: Failure | None) -> tuple[Value, Value, Value, Value]:
    """Return the four columns of a failure, all NULL without one."""
    if failure is None:
        return (None, None, None, None)
    return (failure.type, failure.message, failure.traceback, failure.signature)


def outcome_columns(outcome: Outcome, after: State, now: float) -> tuple[Value, ...]:
    """Return the columns that an outcome sets, in the order of the statement that stores it.

    Args:
        outcome: the outcome.
        after: the state of the task afterwards.
        now: seconds since the epoch.
    """
    return (
        after.value,
        # At the end the time stays: the task waited from then on.
        None if after.ended else outcome.due_at or 0,
        outcome.attempt + 1,
        outcome.worker,
        outcome.result,
        *failure_columns(outcome.failure),
        outcome.queued_at,
        outcome.taken_at,
        outcome.started_at,
        outcome.finished_at,
        *runner_columns(outcome),
        now if after.ended else None,
        # The factor of the strikes. They belong to an attempt: a task that is retried begins without any.
        int(after.ended),
        outcome.seq,
    )


def process(row: Row) -> ProcessRecord:
    """Convert a row of `PROCESS_COLUMNS`."""
    phase, *troubles = text(row[10]).split(_SEPARATOR)
    return ProcessRecord(
        number=integer(row[0]),
        role=Role(text(row[1])),
        name=text(row[2]),
        host=text(row[3]),
        pid=integer(row[4]),
        address=text(row[5]),
        threads=integer(row[6]),
        started_at=number(row[7]),
        beat=integer(row[8]),
        seen_at=number(row[9]),
        phase=_PHASES.get(phase, ProcessPhase.READY),
        troubles=_troubles(troubles),
        counters=_decode_counters(text(row[11])),
        in_hand=_decode_in_hand(text(row[12])),
        life=integer(row[14]),
        kinds=_decode_kinds(text(row[13])),
    )


def _troubles(texts: Sequence[str]) -> tuple[Trouble, ...]:
    """Convert the texts between the separators of a status. A reason may contain separators, too."""
    troubles: list[Trouble] = []
    for each in texts:
        part, mark, reason = each.partition(": ")
        if mark and part in _PARTS:
            troubles.append(Trouble(_PARTS[part], reason))
        elif troubles:
            last = troubles.pop()
            troubles.append(Trouble(last.part, f"{last.reason}{_SEPARATOR}{each}"))
        else:
            troubles.append(Trouble(Part.PROCESS, each))
    return tuple(troubles)


def process_columns(record: ProcessRecord) -> tuple[Value, ...]:
    """Return the values of `PROCESS_COLUMNS` except the number and the life, which the journal assigns."""
    return (
        record.role.value,
        record.name,
        record.host,
        record.pid,
        record.address,
        record.threads,
        record.started_at,
        record.beat,
        record.seen_at,
        record.status,
        counters_column(record.counters),
        _encode(record.in_hand).decode(),
        _encode(record.kinds).decode(),
    )


def counters_column(counters: Counters) -> str:
    """Return counters as the JSON text that is stored."""
    return _encode(counters).decode()


def sample(row: Row) -> Sample:
    """Convert a row of `second, process, role, name, counters, in_hand`."""
    return Sample(
        second=integer(row[0]),
        number=integer(row[1]),
        role=Role(text(row[2])),
        name=text(row[3]),
        counters=_decode_counters(text(row[4])),
        in_hand=integer(row[5]),
    )


def told_column(kind: KindDescription) -> str:
    """Return what is stored of a kind of task."""
    return _encode(kind).decode()


def told_kind(row: Row) -> KindDescription:
    """Return what was stored of a kind of task, given as its name and what was told; its name if that is no JSON."""
    try:
        return _decode_told(text(row[1]))
    except msgspec.MsgspecError:
        return KindDescription(kind=text(row[0]))
