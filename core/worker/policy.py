"""Which messages to heed, how many to hold, and what becomes of a task that failed.

Pure: time and chance are arguments.
"""

from core.backoff import Backoff
from core.broker.base import Reference
from core.errors import UnknownKind
from core.model import Assignment, State
from core.tasks import TaskDefinition, is_permanent

LONGEST_DELAY = 3600.0
"""Seconds to the next attempt, at most."""

HELD_SECONDS = 0.25
"""For how much work a worker holds messages beside those that run: enough to hardly ever wait for the next."""

MOST_HELD = 1000


def is_wanted(reference: Reference, booked: Assignment | None, generation: int = 0) -> bool:
    """Whether a message is to be heeded; not, when what it asks for is done, or asked for by another message.

    Args:
        reference: what it refers to.
        booked: the task as it is in the journal now.
        generation: of the queue, by the journal.
    """
    if booked is None or has_ended(reference, booked):
        return False
    return not reference.is_outdated(generation) and not _is_surplus(reference, booked)


def has_ended(reference: Reference, booked: Assignment) -> bool:
    """Whether the attempt that a message asks for is over."""
    return booked.state.ended or booked.attempts != reference.attempt


def _is_surplus(reference: Reference, booked: Assignment) -> bool:
    """Whether the broker has confirmed another message, when a connection was lost before it could say so of this one.

    A message of former versions of the program, which tells no generation, can't be compared.
    """
    confirmed = booked.state is State.QUEUED and reference.generation is not None
    return confirmed and booked.queued_at is not None and booked.queued_at != reference.at


def retry_delay(attempt: int, base: float, chance: float) -> float:
    """Seconds to wait after failure number `attempt` (0 for the first): doubled each time, and spread.

    Args:
        attempt: how many attempts had ended before the one that failed.
        base: the wait after the first.
        chance: from 0 to 1; spreads those that failed together, by a quarter up and down.
    """
    return Backoff(base, LONGEST_DELAY, low=0.75, high=1.25).delay(attempt, chance)


def may_retry(
    definition: TaskDefinition | None, error: BaseException, attempt: int, retries: int | None, default: int
) -> bool:
    """Whether a failed attempt is followed by another.

    Args:
        definition: of the kind; None when the worker doesn't know it.
        error: what the attempt raised.
        attempt: how many attempts had ended before.
        retries: what the task's submitter said.
        default: the worker's own.
    """
    if definition is None or isinstance(error, UnknownKind) or is_permanent(definition, error):
        return False
    if retries is None:
        retries = default if definition.retries is None else definition.retries
    return attempt < retries


def prefetch(concurrency: int, seconds_each: float) -> int:
    """How many messages to hold, running ones included, when tasks take `seconds_each` on average.

    Slow tasks are left in the queue for whoever is free first; of fast ones as many are held as `HELD_SECONDS` needs.
    """
    beside = int(concurrency * HELD_SECONDS / max(seconds_each, 1e-6))
    return min(concurrency + beside, max(MOST_HELD, concurrency))
