"""The members of a server's replies. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from core.model import Attempt, AttemptState, KindDescription, Ledger, ProcessRecord, Role, State, Task
from core.protocol import embed
from core.task_state import TaskState
from core.timeline import attempts_of


def submitted(task_id: str, state: State, *, duplicate: bool) -> dict[str, object]:
    """Return the members of the reply to `submit`."""
    return {"id": task_id, "state": state, "duplicate": duplicate}


def status(task: Task, state: TaskState, former: Sequence[Attempt], note: str) -> dict[str, object]:
    """Return the members of the reply to `status`: the state of the task, its attempts and its timeline.

    Args:
        task: the task in the journal.
        state: its state at this moment.
        former: the attempts before the one that the task's own times are about.
        note: what the task waits for.
    """
    attempts = attempts_of(task, former)
    members: dict[str, object] = {"id": task.id, "kind": task.kind, "state": state.state, "attempts": task.tries}
    if state.running is not None:
        members["running"] = state.running
    elif note:
        members["note"] = note
    if state.worker:
        members["worker"] = state.worker
    if task.due_at is not None and not task.state.ended:
        members["due"] = task.due_at
    if deaths := sum(attempt.state is AttemptState.LOST for attempt in attempts):
        members["strikes"] = deaths
    members |= _outcome(task)
    members["times"] = {
        name: moment for name, moment in msgspec.structs.asdict(task.times).items() if moment is not None
    }
    if attempts:
        members["history"] = attempts
    return members


def result(task: Task, state: TaskState) -> dict[str, object]:
    """Return the members of the reply to `result`: the state, and the result or the last failure."""
    members: dict[str, object] = {"id": task.id, "state": state.state, **_outcome(task)}
    if state.running is not None:
        members["running"] = state.running
    return members


def _outcome(task: Task) -> dict[str, object]:
    members: dict[str, object] = {}
    if task.result is not None:
        members["result"] = embed(task.result)
    if task.failure is not None and task.state is not State.DONE:
        members["error"] = task.failure
    return members


def waits_for(task: Task, broker_trouble: str, now: float) -> str:
    """Return what a task waits for, as text for people, or an empty string when it has ended."""
    if task.state.ended:
        return ""
    if task.due_at is not None and task.due_at > now:
        return f"not before {task.due_at - now:.1f} seconds from now"
    if task.state in {State.ACCEPTED, State.RETRYING}:
        return f"waiting for the broker: {broker_trouble}" if broker_trouble else "on its way to the broker"
    return "waiting for a worker"


def stats(
    ledger: Ledger, processes: Sequence[ProcessRecord], server: str, broker_trouble: str, journal_trouble: str
) -> dict[str, object]:
    """Return the members of the reply to `stats`: the ledger, the processes, and the troubles."""
    return {
        "server": server,
        "ledger": {"accepted": ledger.total, **msgspec.structs.asdict(ledger)},
        "broker": broker_trouble or "ready",
        "journal": journal_trouble or "ready",
        "servers": [_process(record) for record in processes if record.role is Role.SERVER],
        "workers": [_process(record) for record in processes if record.role is Role.WORKER],
    }


def kinds(told: Sequence[KindDescription], workers: Mapping[str, int], *, whole: bool) -> dict[str, object]:
    """Return the members of the reply to `kinds`.

    Args:
        told: what workers have told.
        workers: the number of live workers that run each kind.
        whole: whether to add the schemas.
    """
    return {"kinds": [_kind(kind, workers.get(kind.kind, 0), whole=whole) for kind in told]}


def _kind(told: KindDescription, workers: int, *, whole: bool) -> dict[str, object]:
    members: dict[str, object] = {"kind": told.kind, "description": told.description, "workers": workers}
    if told.retries is not None:
        members["retries"] = told.retries
    if told.timeout is not None:
        members["timeout"] = told.timeout
    if told.schema and whole:
        members["schema"] = embed(told.schema)
    return members


def _process(record: ProcessRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "host": record.host,
        "pid": record.pid,
        "address": record.address,
        "status": record.status,
        "threads": record.threads,
        "in_hand": len(record.in_hand),
        "counters": record.counters,
    }
