"""The attempts and the timeline of a task. Pure."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from core.model import DEATH_SIGNATURES, Attempt, AttemptState, Failure, State, Task, TaskReport, Times

MAX_MESSAGE = 300
"""Characters of an error's message that are kept of an attempt."""

MAX_TRACEBACK = 600
"""Characters at the end of an error's traceback that are kept of an attempt."""

BEFORE_ATTEMPTS = ("sent", "received", "accepted")
OF_ATTEMPT = ("queued", "taken", "started", "finished", "stored")


class Step(msgspec.Struct, frozen=True):
    """One step of a timeline."""

    name: str
    """One of `BEFORE_ATTEMPTS` or `OF_ATTEMPT`, or `attempt`, or `retried`."""
    at: float
    attempt: Attempt | None = None
    """For `attempt`, an earlier attempt, at its end or at the last time that is known of it."""
    by: str = ""
    """For `retried`, the operator."""


class TaskRecord(msgspec.Struct, frozen=True):
    """A task, and its attempts that have ended."""

    task: Task
    attempts: tuple[Attempt, ...] = ()


def attempts_of(task: Task, former: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """Return all attempts of a task that have ended and are kept, in order.

    Args:
        task: the task, read before `former`.
        former: the attempts before the one that the task's own times are about.
    """
    if task.finished is None or any(attempt.number == task.tries for attempt in former):
        return tuple(former)
    done = task.state is State.DONE
    report = task.report or TaskReport()
    died = task.failure is not None and task.failure.signature in DEATH_SIGNATURES
    last = Attempt(
        number=task.tries,
        state=AttemptState.DONE if done else AttemptState.LOST if died else AttemptState.FAILED,
        worker=task.worker or "",
        queued=task.times.queued,
        taken=task.times.taken,
        started=task.times.started,
        finished=task.times.finished,
        runner=task.runner,
        progress=report.progress,
        notes=report.notes,
        error=None if done or task.failure is None else _shortened(task.failure),
    )
    return (*former, last)


def _shortened(failure: Failure) -> Failure:
    return replace(failure, message=failure.message[:MAX_MESSAGE], traceback=failure.traceback[-MAX_TRACEBACK:])


def timeline(times: Times, attempts: Sequence[Attempt]) -> Iterator[Step]:
    """Yield the steps of a task: each of the last or present attempt, and one for each attempt before it.

    Args:
        times: the times of the task and of its last or present attempt.
        attempts: the attempts that have ended.
    """
    former = attempts if times.finished is None else attempts[:-1]
    over = [place for place, attempt in enumerate(former, 1) if not _is_redelivered(attempt)]
    last = over[-1] if over else 0
    yield from _steps(times, BEFORE_ATTEMPTS)
    yield from _attempts(former[:last])
    yield from _steps(times, OF_ATTEMPT[:1])
    yield from _attempts(former[last:])
    yield from _steps(times, OF_ATTEMPT[1:])


def _is_redelivered(attempt: Attempt) -> bool:
    """Return whether the message of an attempt was delivered again, for the next attempt, instead of a new one."""
    return attempt.state is AttemptState.LOST and attempt.retried is None


def _attempts(attempts: Sequence[Attempt]) -> Iterator[Step]:
    for attempt in attempts:
        moments = (attempt.finished, attempt.started, attempt.taken, attempt.queued)
        at = next((moment for moment in moments if moment is not None), None)
        if at is not None:
            yield Step("attempt", at, attempt)
        if attempt.retried is not None:
            yield Step("retried", attempt.retried.at, by=attempt.retried.by)


def _steps(times: Times, names: Sequence[str]) -> Iterator[Step]:
    for name in names:
        moment: float | None = getattr(times, name)
        if moment is not None:
            yield Step(name, moment)
