"""The rules by which a task moves from state to state."""

import pytest

from core.model import ENDED, State
from core.repository.base import STRIKE_LIMIT
from core.repository.rules import after_cancelling, after_dead_letter, after_outcome, outcome_counts

OPEN = [State.ACCEPTED, State.QUEUED, State.RETRYING]


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize(("attempts", "attempt", "counts"), [(0, 0, True), (2, 2, True), (1, 0, False), (0, 1, False)])
def test_an_outcome_counts_when_its_attempt_is_the_one_waited_for(
    state: State, attempts: int, attempt: int, counts: bool
) -> None:
    assert outcome_counts(state, attempts, attempt) is counts


@pytest.mark.parametrize("state", sorted(ENDED))
def test_no_outcome_counts_after_the_end(state: State) -> None:
    assert not outcome_counts(state, 1, 1)
    assert not outcome_counts(state, 0, 0)


@pytest.mark.parametrize(
    ("state", "strikes", "after"),
    [
        (State.QUEUED, 0, State.ACCEPTED),
        (State.QUEUED, STRIKE_LIMIT - 1, State.ACCEPTED),
        (State.QUEUED, STRIKE_LIMIT, State.FAILED),
        (State.QUEUED, STRIKE_LIMIT + 5, State.FAILED),
        (State.ACCEPTED, 0, State.ACCEPTED),
        (State.ACCEPTED, STRIKE_LIMIT, State.FAILED),
        (State.RETRYING, 0, State.RETRYING),
        (State.RETRYING, STRIKE_LIMIT, State.FAILED),
        *((state, strikes, state) for state in sorted(ENDED) for strikes in (0, STRIKE_LIMIT)),
    ],
)
def test_after_dead_letter(state: State, strikes: int, after: State) -> None:
    assert after_dead_letter(state, strikes) is after


@pytest.mark.parametrize("state", [*OPEN, *sorted(ENDED)])
def test_after_cancelling(state: State) -> None:
    assert after_cancelling(state, runs=False) is (state if state in ENDED else State.CANCELLED)
    assert after_cancelling(state, runs=True) is (state if state in ENDED else State.CANCELLING)


@pytest.mark.parametrize("outcome", [State.DONE, State.FAILED, State.RETRYING, State.CANCELLED])
def test_after_an_outcome(outcome: State) -> None:
    assert after_outcome(outcome, cancelling=False) is outcome
    assert after_outcome(outcome, cancelling=True) is (State.DONE if outcome is State.DONE else State.CANCELLED)
