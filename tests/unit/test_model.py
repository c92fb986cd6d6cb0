"""The states that end a task, and the sums of the ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import ENDED, WAITING, Counters, Ledger, ProcessRecord, Role, State

STORED = [state for state in State if state not in {State.RUNNING, State.CANCELLING}]


def test_a_state_is_final_or_open() -> None:
    assert {state for state in State if state.ended} == {State.DONE, State.FAILED, State.CANCELLED}
    assert not ENDED & WAITING


@given(st.dictionaries(st.sampled_from(STORED), st.integers(0, 10**9)), st.integers(0, 10**6))
def test_the_ledger_always_adds_up(counts: dict[str, int], running: int) -> None:
    ledger = Ledger.of(counts, running)
    assert ledger.total == sum(counts.values())
    assert ledger.open == sum(number for state, number in counts.items() if state not in ENDED)
    parts = (ledger.waiting, ledger.queued, ledger.running, ledger.retrying)
    assert min(parts) >= 0
    assert ledger.running <= running


@pytest.mark.parametrize(
    ("accepted", "queued", "running", "expected"),
    [
        (2, 5, 0, (2, 5, 0)),
        (2, 5, 3, (2, 2, 3)),
        (2, 5, 6, (1, 0, 6)),  # a task runs before its publisher confirm is stored
        (2, 5, 9, (0, 0, 7)),  # a heartbeat is older than a stored outcome
        (0, 0, 4, (0, 0, 0)),
    ],
)
def test_running_tasks_are_among_the_queued_ones(
    accepted: int, queued: int, running: int, expected: tuple[int, int, int]
) -> None:
    ledger = Ledger.of({"accepted": accepted, "queued": queued}, running)
    assert (ledger.waiting, ledger.queued, ledger.running) == expected


def test_counts_may_come_with_plain_texts() -> None:
    ledger = Ledger.of({"done": 3, "failed": 2, "cancelled": 1, "retrying": 4})
    assert (ledger.done, ledger.failed, ledger.cancelled, ledger.retrying) == (3, 2, 1, 4)
    assert (ledger.total, ledger.open) == (10, 4)


def test_values_cannot_be_changed() -> None:
    record = ProcessRecord(role=Role.WORKER, name="w1", host="here", pid=1, started_at=1.0)
    with pytest.raises(AttributeError):
        record.name = "w2"  # type: ignore[misc]  # this is what the test tries
    with pytest.raises(AttributeError):
        record.counters.done = 1  # type: ignore[misc]  # the same
    assert record.counters == Counters()
    assert hash(record.counters) == hash(Counters())
