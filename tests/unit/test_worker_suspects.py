"""Suspects begin one at a time."""

import pytest

from core.broker.base import Delivery, Reference
from core.model import Assignment, State
from core.worker.in_flight import InFlightTask
from core.worker.suspects import SuspectQueue


def suspect(seq: int) -> InFlightTask:
    assignment = Assignment(
        seq=seq,
        id=f"t{seq}",
        kind="echo",
        payload="1",
        state=State.QUEUED,
        attempts=0,
        strikes=1,
        retries=None,
        due_at=None,
    )
    return InFlightTask(assignment, Reference(f"t{seq}", seq, 0, 1.0), Delivery(b"", 1, None), 0.0, suspect=True)


@pytest.fixture
def begun() -> list[InFlightTask]:
    """The suspects that have begun, in order."""
    return []


@pytest.fixture
def suspects(begun: list[InFlightTask]) -> SuspectQueue:
    """An empty queue."""
    return SuspectQueue(begun.append)


def test_the_next_begins_when_the_one_before_has_ended(suspects: SuspectQueue, begun: list[InFlightTask]) -> None:
    tasks = [suspect(number) for number in range(3)]
    for task in tasks:
        suspects.add(task)
    for number, task in enumerate(tasks, 1):
        assert begun == tasks[:number]
        suspects.finish(task)
    assert begun == tasks


def test_the_end_of_another_task_lets_none_begin(suspects: SuspectQueue, begun: list[InFlightTask]) -> None:
    first, second, other = suspect(1), suspect(2), suspect(1)
    suspects.finish(first)
    suspects.add(first)
    suspects.add(second)
    suspects.finish(second)
    suspects.finish(other)
    assert begun == [first]


def test_an_end_that_is_reported_twice_lets_one_begin(suspects: SuspectQueue, begun: list[InFlightTask]) -> None:
    tasks = [suspect(number) for number in range(3)]
    for task in tasks:
        suspects.add(task)
    suspects.finish(tasks[0])
    suspects.finish(tasks[0])
    assert begun == tasks[:2]


def test_those_that_wait_are_removed_and_later_ones_begin(suspects: SuspectQueue, begun: list[InFlightTask]) -> None:
    running, waiting, later = suspect(1), suspect(2), suspect(3)
    suspects.add(running)
    suspects.add(waiting)
    suspects.clear()
    suspects.finish(running)
    assert begun == [running]
    suspects.add(later)
    assert begun == [running, later]
