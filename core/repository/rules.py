"""The rules by which a task moves from state to state, whatever database stores it. Pure."""

from core.model import ENDED, Failure, State
from core.repository.base import STRIKE_LIMIT


def outcome_counts(state: State, attempts: int, attempt: int) -> bool:
    """Return whether to store an outcome of `attempt` for a task in this state, with this number of ended attempts.

    An outcome that arrives twice, or after the task was cancelled, does not count: what was stored first stays.
    """
    return state not in ENDED and attempts == attempt


def after_dead_letter(state: State, strikes: int, *, cancelling: bool = False) -> State:
    """Return the state of a task after its message became a dead letter.

    The broker counts deliveries, not deaths: a message that was only in flight beside one that killed its workers
    becomes a dead letter with it. The strikes tell the two apart.
    A task that waits for a retry keeps waiting: the dead letter belongs to an attempt that has ended.
    One that was cancelled while it ran is not tried again.
    """
    if state in ENDED:
        return state
    if cancelling:
        return State.CANCELLED
    if strikes >= STRIKE_LIMIT:
        return State.FAILED
    return State.RETRYING if state is State.RETRYING else State.ACCEPTED


def worker_lost(deaths: int) -> Failure:
    """Return the failure of a task that has had too many strikes.

    Args:
        deaths: the number of workers or runners that died while they ran it.
    """
    each = "the process that" if deaths == 1 else f"each of {deaths} processes that"
    return Failure(
        type="WorkerLost",
        message=f"{each} began the task died or lost its connection before it ended",
        signature="worker-lost",
    )


def after_cancelling(state: State, *, runs: bool) -> State:
    """Return the state of a task after a request to cancel it.

    Args:
        state: its stored state.
        runs: whether an attempt at it has begun and not ended.
    """
    if state in ENDED:
        return state
    return State.CANCELLING if runs else State.CANCELLED


def after_outcome(outcome: State, *, cancelling: bool) -> State:
    """Return the state of a task after an outcome.

    A task that was cancelled while it ran is not retried: it is done if it has a result, and else cancelled.

    Args:
        outcome: the state of the outcome.
        cancelling: whether the task was cancelled while it ran.
    """
    return State.CANCELLED if cancelling and outcome is not State.DONE else outcome
