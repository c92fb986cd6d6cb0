"""The rules by which a task moves from state to state, for every kind of journal. Pure."""

from core.model import ENDED, State
from core.repository.base import STRIKE_LIMIT


def outcome_counts(state: State, attempts: int, attempt: int) -> bool:
    """Whether the outcome of `attempt` is the one that a task in this state, with so many ended attempts, waits for.

    An outcome that arrives twice, or after the task was cancelled, doesn't count: what is stored first stays.
    """
    return state not in ENDED and attempts == attempt


def after_dead_letter(state: State, strikes: int) -> State:
    """The state of a task whose message has become a dead letter.

    The broker counts deliveries, not deaths: a message that was only held beside one that killed its workers
    is given up with it. The strikes tell the two apart.
    One that waits to be retried is published anew when it is due; its dead message is of an attempt that has ended.
    """
    if state in ENDED:
        return state
    if strikes >= STRIKE_LIMIT:
        return State.FAILED
    return State.RETRYING if state is State.RETRYING else State.ACCEPTED


def after_cancelling(state: State) -> State:
    """The state of a task that somebody wants to take back."""
    return state if state in ENDED else State.CANCELLED
