"""Which messages a worker runs, how many it prefetches, and when it retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.broker.base import Reference
from core.model import ENDED, Assignment, Note, RetryDelays, RunningTask, State, TaskStack
from core.runner.frames import KindSettings
from core.worker.policy import (
    MAX_NOTES_TOLD,
    MAX_PREFETCH,
    MAX_RETRY_DELAY,
    MAX_STACKS_TOLD,
    feed_limit,
    is_wanted,
    limit_reports,
    may_retry,
    moving_average,
    prefetch,
    retry_delay,
)


def assignment(state: State, queued_at: float | None = None, attempts: int = 1) -> Assignment:
    """Return a task as it is in the journal."""
    return Assignment(
        seq=1,
        id="a",
        kind="echo",
        payload="1",
        state=state,
        attempts=attempts,
        strikes=0,
        retries=None,
        due_at=None,
        queued_at=queued_at,
    )


def message(at: float = 5.0, generation: int | None = 3) -> Reference:
    return Reference("a", 1, 1, at, generation)


def test_a_message_is_wanted_until_its_attempt_has_ended() -> None:
    assert not is_wanted(message(), None)
    assert not any(is_wanted(message(), assignment(state)) for state in ENDED)
    assert not is_wanted(message(), assignment(State.RETRYING, attempts=2))
    assert all(is_wanted(message(), assignment(state)) for state in State if state not in ENDED)


def test_a_message_of_an_earlier_queue_is_not_wanted() -> None:
    task = assignment(State.ACCEPTED)
    assert is_wanted(message(generation=3), task, 3)
    assert not is_wanted(message(generation=2), task, 3)
    assert is_wanted(message(generation=4), task, 3), "published after the new queue was noticed"
    assert is_wanted(message(generation=None), task, 3), "of an earlier version, which wrote no generation"


def test_once_a_message_is_confirmed_no_other_message_of_the_attempt_is_wanted() -> None:
    assert is_wanted(message(at=5.0), assignment(State.QUEUED, 5.0))
    assert not is_wanted(message(at=4.0), assignment(State.QUEUED, 5.0))
    assert not is_wanted(message(at=6.0), assignment(State.QUEUED, 5.0))
    # The time in the journal is of an earlier attempt, or an earlier queue.
    assert is_wanted(message(at=6.0), assignment(State.ACCEPTED, 5.0))
    assert is_wanted(message(at=6.0), assignment(State.RETRYING, 5.0))
    assert is_wanted(message(at=4.0, generation=None), assignment(State.QUEUED, 5.0)), "of an earlier version"


def test_the_wait_doubles_and_is_spread() -> None:
    assert [retry_delay(attempt, RetryDelays(), 1.0, 0.5) for attempt in range(5)] == [1, 2, 4, 8, 16]
    assert retry_delay(0, RetryDelays(), 1.0, 0.0) == 0.75
    assert retry_delay(0, RetryDelays(), 1.0, 1.0) == 1.25


@pytest.mark.parametrize(
    ("delays", "waits"),
    [
        (RetryDelays(5.0), [5, 10, 20, 40]),
        (RetryDelays(5.0, 1.0), [5, 5, 5, 5]),
        (RetryDelays(5.0, 3.0, 30.0), [5, 15, 30, 30]),
        (RetryDelays(None, 10.0, 200.0), [1, 10, 100, 200]),
        (RetryDelays(7200.0), [7200, 7200, 7200, 7200]),
        (RetryDelays(7200.0, 2.0, 86_400.0), [7200, 14_400, 28_800, 57_600]),
    ],
)
def test_a_kind_specifies_its_delays(delays: RetryDelays, waits: list[float]) -> None:
    assert [retry_delay(attempt, delays, 1.0, 0.5) for attempt in range(4)] == waits
    assert retry_delay(10**9, delays, 1.0, 0.5) < float("inf")


@given(st.integers(0, 10**9), st.floats(0.01, 3600), st.floats(0, 1))
def test_the_wait_is_never_too_long_and_never_nothing(attempt: int, base: float, chance: float) -> None:
    assert 0.75 * base <= retry_delay(attempt, RetryDelays(), base, chance) <= 1.25 * MAX_RETRY_DELAY
    assert retry_delay(attempt, RetryDelays(), base, chance) <= retry_delay(attempt + 1, RetryDelays(), base, chance)


@pytest.mark.parametrize(
    ("of_the_task", "of_the_kind", "of_the_worker", "attempts"),
    [(None, None, 3, 4), (None, 1, 3, 2), (2, 1, 3, 3), (0, 5, 3, 1), (None, 0, 3, 1), (None, None, 0, 1)],
)
def test_who_is_asked_how_often_to_retry(
    of_the_task: int | None, of_the_kind: int | None, of_the_worker: int, attempts: int
) -> None:
    kind = KindSettings("kind", of_the_kind, None)
    answers = [may_retry(kind, attempt, of_the_task, of_the_worker) for attempt in range(attempts)]
    assert answers == [True] * (attempts - 1) + [False]


def test_a_kind_that_nobody_knows_is_not_tried_again() -> None:
    assert not may_retry(None, 0, 5, 5)


def test_a_runner_has_no_more_tasks_than_it_begins_very_soon() -> None:
    assert feed_limit(4, None, 1000) == 4, "the duration is not known"
    assert feed_limit(4, 60.0, 1000) == 4
    assert feed_limit(4, 0.001, 1000) == 84
    assert feed_limit(4, 0.0, 1000) == 1000


def test_the_last_durations_count_most() -> None:
    assert moving_average(None, 3.0) == 3.0
    average = 0.001
    for _ in range(100):
        average = moving_average(average, 1.0)
    assert 0.9 < average < 1.0


def test_slow_tasks_are_left_to_whoever_is_free_first() -> None:
    assert prefetch(1, 0.5) == 1
    assert prefetch(4, 60.0) == 4
    assert prefetch(4, 1.1) == 4


def test_of_fast_tasks_enough_are_held() -> None:
    assert prefetch(4, 0.01) == 104
    assert prefetch(1, 0.001) == 251
    assert prefetch(4, 0.0) == MAX_PREFETCH
    assert prefetch(4, 1e-9) == MAX_PREFETCH


@given(st.integers(1, 2000), st.floats(0, 1e9))
def test_as_many_as_run_are_always_held(concurrency: int, seconds: float) -> None:
    assert concurrency <= prefetch(concurrency, seconds) <= max(MAX_PREFETCH, concurrency)


@pytest.mark.parametrize(("noting", "each"), [(1, 20), (10, 20), (100, 2), (1000, 1)])
def test_a_heartbeat_tells_the_last_notes_of_each_task_and_not_too_many(noting: int, each: int) -> None:
    notes = tuple(Note(float(number), f"note {number}") for number in range(20))
    tasks = [RunningTask(f"t{number}", "echo", 1.0, notes=notes) for number in range(noting)]
    quiet = RunningTask("quiet", "echo", 1.0)
    told = limit_reports([*tasks, quiet])
    assert [task.id for task in told] == [task.id for task in [*tasks, quiet]]
    assert {task.notes for task in told[:-1]} == {notes[-each:]}
    assert told[-1] == quiet
    assert sum(len(task.notes) for task in told) <= max(MAX_NOTES_TOLD, noting)


def test_a_heartbeat_tells_the_stacks_of_the_tasks_that_have_run_longest() -> None:
    stack = TaskStack(1.0, "x")
    tasks = [RunningTask(f"t{number}", "echo", 100.0 - number, stack=stack) for number in range(MAX_STACKS_TOLD + 5)]
    told = limit_reports(tasks)
    assert [task.id for task in told if task.stack] == [task.id for task in tasks[5:]]
    assert limit_reports(tasks[:3]) == tasks[:3]
