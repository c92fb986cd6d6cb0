"""The tasks in flight, between delivery and acknowledgement."""

from pathlib import Path

from core.broker.base import Delivery, Reference
from core.model import Assignment, State
from core.repository.beginnings import Beginnings
from core.worker.in_flight import InFlightTask, InFlightTasks


def in_flight_task(
    seq: int, attempt: int = 0, receipt: object = "first", taken_at: float = 0.0, generation: int | None = None
) -> InFlightTask:
    assignment = Assignment(
        seq=seq,
        id=f"t{seq}",
        kind="echo",
        payload="1",
        state=State.QUEUED,
        attempts=attempt,
        strikes=0,
        retries=None,
        due_at=None,
    )
    reference = Reference(f"t{seq}", seq, attempt, 1.0, generation)
    return InFlightTask(assignment, reference, Delivery(b"", 0, receipt), taken_at, suspect=False)


def test_removed_tasks_are_gone() -> None:
    in_flight = InFlightTasks()
    tasks = [in_flight_task(1), in_flight_task(2), in_flight_task(3)]
    assert [in_flight.add(task) for task in tasks] == [None, None, None]
    assert len(in_flight) == 3
    assert in_flight.remove(tasks[:2]) == [task.delivery for task in tasks[:2]]
    assert len(in_flight) == 1
    assert in_flight.add(in_flight_task(1)) is None


def test_the_last_delivery_of_an_attempt_replaces_the_earlier_ones() -> None:
    in_flight = InFlightTasks()
    task, second, third = in_flight_task(1), in_flight_task(1, receipt="second"), in_flight_task(1, receipt="third")
    first_delivery = task.delivery
    assert in_flight.add(task) is None
    assert in_flight.add(second) is first_delivery
    assert in_flight.add(third) is second.delivery
    assert len(in_flight) == 1
    assert in_flight.remove([task]) == [third.delivery]
    assert len(in_flight) == 0


def test_the_next_attempt_is_another_one() -> None:
    in_flight = InFlightTasks()
    first, second = in_flight_task(1, receipt="of the first"), in_flight_task(1, attempt=1, receipt="of the second")
    assert in_flight.add(first) is None
    # The first attempt has failed, its retry was delivered, and only then the first is removed.
    assert in_flight.add(second) is None
    assert [delivery.receipt for delivery in in_flight.remove([first])] == ["of the first"]
    assert [delivery.receipt for delivery in in_flight.remove([second])] == ["of the second"]


def test_tasks_that_wait_have_not_begun() -> None:
    in_flight = InFlightTasks()
    old, young, begun = (
        in_flight_task(1, taken_at=1.0),
        in_flight_task(2, taken_at=3.0),
        in_flight_task(3, taken_at=1.0),
    )
    for task in (old, young, begun):
        in_flight.add(task)
    begun.begun = True
    assert in_flight.waiting(before=2.0) == [old]
    assert in_flight.waiting(before=4.0) == [old, young]
    in_flight.remove([old, young, begun])
    assert in_flight.waiting(before=4.0) == []


def test_a_task_that_the_broker_no_longer_waits_for_does_not_begin_and_is_removed() -> None:
    in_flight = InFlightTasks()
    kept, lost = in_flight_task(1), in_flight_task(2)
    in_flight.add(kept)
    in_flight.add(lost)
    assert in_flight.begin(kept, lambda delivery: True)
    assert not in_flight.begin(lost, lambda delivery: False)
    assert (kept.begun, lost.begun, len(in_flight)) == (True, False, 1)
    # When it is delivered again, it is a new one.
    assert in_flight.add(in_flight_task(2, receipt="second")) is None


def test_a_task_that_was_delivered_again_begins_with_its_new_delivery() -> None:
    in_flight = InFlightTasks()
    task = in_flight_task(1)
    in_flight.add(task)
    in_flight.add(in_flight_task(1, receipt="second"))
    assert in_flight.begin(task, lambda delivery: delivery.receipt == "second")


def test_messages_of_an_earlier_queue_are_outdated_until_they_are_delivered_again() -> None:
    in_flight = InFlightTasks()
    former, silent = in_flight_task(1, generation=2), in_flight_task(2)
    for task in (former, silent, in_flight_task(3, generation=3)):
        in_flight.add(task)
    assert in_flight.outdated(2) == []
    assert in_flight.outdated(3) == [former.delivery]
    in_flight.add(in_flight_task(1, receipt="second", generation=3))
    assert in_flight.outdated(3) == []


def test_no_task_of_a_former_queue_begins_once_that_is_known() -> None:
    in_flight = InFlightTasks()
    former, present, silent = in_flight_task(1, generation=2), in_flight_task(2, generation=3), in_flight_task(3)
    for task in (former, present, silent):
        in_flight.add(task)
    in_flight.leave_former_queues(3)
    in_flight.leave_former_queues(2)
    assert [in_flight.begin(task, lambda _: True) for task in (former, present, silent)] == [True] * 3
    assert [(task.begun, task.unwanted) for task in (former, present, silent)] == [
        (False, True),
        (True, False),
        (True, False),
    ]


def test_beginnings_are_noted_until_the_tasks_are_removed(tmp_path: Path) -> None:
    beginnings = Beginnings(tmp_path / "resultados.db")
    with beginnings.of_worker(1, "w1") as worker:
        in_flight = InFlightTasks(worker)
        begun, waiting, suspect = in_flight_task(1), in_flight_task(2), in_flight_task(3)
        suspect.suspect = True
        for task in (begun, waiting, suspect):
            in_flight.add(task)
        for task in (begun, suspect):
            in_flight.begin(task, lambda _: True)
            worker.slots.begin(task.slot, 5.0, 1.0)
        # The strike of a suspect is stored.
        assert [(each.seq, each.started_at) for each in beginnings.find(None)] == [(1, 5.0)]
        in_flight.remove([begun, suspect, waiting])
        assert beginnings.find(None) == []


def test_a_task_that_is_delivered_again_is_wanted_again() -> None:
    in_flight = InFlightTasks()
    task = in_flight_task(1)
    in_flight.add(task)
    in_flight.set_wanted(task, wanted=False)
    in_flight.add(in_flight_task(1, receipt="second"))
    assert not task.unwanted


def test_an_unwanted_task_is_removed_at_its_turn_and_a_later_delivery_is_a_new_task() -> None:
    in_flight = InFlightTasks()
    task, second = in_flight_task(1), in_flight_task(1, receipt="second")
    in_flight.add(task)
    in_flight.set_wanted(task, wanted=False)
    assert in_flight.begin(task, lambda _: True)
    assert (task.begun, task.unwanted) == (False, True)
    # Its surplus message is acknowledged, and never the one that the broker has confirmed.
    assert in_flight.add(second) is None
    assert [delivery.receipt for delivery in in_flight.remove([task])] == ["first"]
    assert len(in_flight) == 1


def test_a_task_that_has_begun_stays_wanted() -> None:
    in_flight = InFlightTasks()
    task = in_flight_task(1)
    in_flight.add(task)
    in_flight.begin(task, lambda _: True)
    in_flight.set_wanted(task, wanted=False)
    assert not task.unwanted
