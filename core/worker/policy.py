"""The decisions of a worker: which messages to run, how many to prefetch, and whether and when to retry.

Pure: time and chance are arguments.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from core.backoff import Backoff
from core.broker.base import Reference
from core.model import Assignment, RetryDelays, RunningTask, State
from core.runner.frames import KindSettings

MAX_RETRY_DELAY = 3600.0
"""The longest delay before a retry, in seconds, unless the kind specifies it."""

PREFETCH_SECONDS = 0.25
"""Seconds of work that a worker prefetches in addition to the running tasks, so that it rarely waits for a task."""

MAX_PREFETCH = 1000

FEED_SECONDS = 0.02
"""Seconds of work that a runner has in addition to its running tasks, so that it does not wait for the worker."""

MAX_NOTES_TOLD = 200
"""The most notes of running tasks that a heartbeat tells, so that it stays small; at least one a task."""

MAX_STACKS_TOLD = 16
"""The most stacks of running tasks that a heartbeat tells: those of the tasks that have run longest."""

STUCK_FACTOR = 10.0
"""How many times as long as usual nothing ends in a worker that is stuck."""

STUCK_FLOOR = 30.0
"""The seconds without an end after which a worker is stuck at the earliest."""

UNKNOWN_DURATION = 30.0
"""The seconds that a task is thought to take while none of its kind has ended."""

AVERAGE_WEIGHT = 0.05
"""The weight of the newest duration in the average duration of tasks."""


def is_wanted(reference: Reference, assignment: Assignment | None, generation: int = 0) -> bool:
    """Return whether to run what a message refers to: the attempt has not ended, and no other message replaces it.

    Args:
        reference: the content of the message.
        assignment: the task as the journal has it now, or None.
        generation: the generation of the queue, as the journal has it.
    """
    if assignment is None or has_ended(reference, assignment):
        return False
    return not reference.is_outdated(generation) and not _is_surplus(reference, assignment)


def has_ended(reference: Reference, assignment: Assignment) -> bool:
    """Return whether the attempt that a message refers to has ended."""
    return assignment.state.ended or assignment.attempts != reference.attempt


def _is_surplus(reference: Reference, assignment: Assignment) -> bool:
    """Return whether the broker has confirmed another message for this attempt.

    That happens when the publisher lost its connection before this one was confirmed, and published again.
    A message of an earlier version of the program has no generation and can't be compared.
    """
    confirmed = assignment.state is State.QUEUED and reference.generation is not None
    return confirmed and assignment.queued_at is not None and assignment.queued_at != reference.at


def retry_delay(attempt: int, delays: RetryDelays, default: float, chance: float) -> float:
    """Return the seconds to wait before the next attempt, which grow with each failure.

    Args:
        attempt: the number of attempts that had ended before the one that failed.
        delays: the delays of the kind.
        default: seconds to wait after the first failure, for kinds that specify none.
        chance: a random number from 0 to 1. It spreads tasks that failed together, by a quarter up and down.
    """
    first = default if delays.first is None else delays.first
    longest = max(MAX_RETRY_DELAY, first) if delays.longest is None else delays.longest
    return Backoff(first, longest, low=0.75, high=1.25, factor=delays.factor).delay(attempt, chance)


def may_retry(kind: KindSettings | None, attempt: int, retries: int | None, default: int) -> bool:
    """Return whether to retry a task after a failure that a retry may mend.

    Args:
        kind: the settings of its kind, or None when the worker doesn't know the kind.
        attempt: the number of attempts that had ended before.
        retries: the number that the client specified, if any.
        default: the number for kinds that specify none.
    """
    if kind is None:
        return False
    if retries is None:
        retries = default if kind.retries is None else kind.retries
    return attempt < retries


def feed_limit(threads: int, seconds_each: float | None, most: int) -> int:
    """Return how many tasks a runner has at once: one for each thread, and those that it begins very soon.

    The others stay in the worker, where they can still be cancelled or go to another runner.

    Args:
        threads: the threads of the runner.
        seconds_each: seconds that a task takes on average; None while unknown.
        most: the most that a runner can have.
    """
    if seconds_each is None:
        return min(threads, most)
    return min(threads + int(threads * FEED_SECONDS / max(seconds_each, 1e-6)), most)


def moving_average(before: float | None, value: float) -> float:
    """Return an average in which the last values count most; `before` is the former one, or None at first."""
    return value if before is None else before + AVERAGE_WEIGHT * (value - before)


def prefetch(concurrency: int, seconds_each: float) -> int:
    """Return how many messages to prefetch, running tasks included, when tasks take `seconds_each` on average.

    Slow tasks stay in the queue for the first free worker. Of fast tasks, as many are prefetched as fill
    `PREFETCH_SECONDS`.
    """
    waiting = int(concurrency * PREFETCH_SECONDS / max(seconds_each, 1e-6))
    return min(concurrency + waiting, max(MAX_PREFETCH, concurrency))


def limit_reports(tasks: Sequence[RunningTask]) -> list[RunningTask]:
    """Return running tasks as a heartbeat tells them: with the last notes of each, and not too many stacks."""
    noting = sum(bool(task.notes) for task in tasks)
    share = max(1, MAX_NOTES_TOLD // max(1, noting))
    limited = [replace(task, notes=task.notes[-share:]) if len(task.notes) > share else task for task in tasks]
    begun = sorted(task.since for task in tasks if task.stack is not None)
    if len(begun) <= MAX_STACKS_TOLD:
        return limited
    latest = begun[MAX_STACKS_TOLD - 1]
    return [replace(task, stack=None) if task.stack and task.since > latest else task for task in limited]


def stuck_after(usual: Sequence[float | None]) -> float:
    """Return after how many seconds without an end a worker is stuck in which tasks keep all threads busy.

    Args:
        usual: the seconds that a task of the kind of each running one takes on average; None while that is unknown.
    """
    longest = max((UNKNOWN_DURATION if seconds is None else seconds for seconds in usual), default=0.0)
    return max(STUCK_FLOOR, STUCK_FACTOR * longest)
