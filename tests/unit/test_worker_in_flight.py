"""What a worker holds, between delivery and acknowledgement."""

from core.broker.base import Delivery, Reference
from core.model import Assignment, State
from core.worker.in_flight import InFlightTask, InFlightTasks


def held(
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


def test_what_is_taken_out_is_gone() -> None:
    hold = InFlightTasks()
    tasks = [held(1), held(2), held(3)]
    assert [hold.add(task) for task in tasks] == [None, None, None]
    assert len(hold) == 3
    assert hold.remove(tasks[:2]) == [task.delivery for task in tasks[:2]]
    assert len(hold) == 1
    assert hold.add(held(1)) is None


def test_of_an_attempt_that_comes_again_the_last_delivery_is_held() -> None:
    hold = InFlightTasks()
    task, second, third = held(1), held(1, receipt="second"), held(1, receipt="third")
    first_delivery = task.delivery
    assert hold.add(task) is None
    assert hold.add(second) is first_delivery
    assert hold.add(third) is second.delivery
    assert len(hold) == 1
    assert hold.remove([task]) == [third.delivery]
    assert len(hold) == 0


def test_the_next_attempt_is_another_one() -> None:
    hold = InFlightTasks()
    first, second = held(1, receipt="of the first"), held(1, attempt=1, receipt="of the second")
    assert hold.add(first) is None
    # The first has failed, its retry was published and has come back, and only now it is let go.
    assert hold.add(second) is None
    assert [delivery.receipt for delivery in hold.remove([first])] == ["of the first"]
    assert [delivery.receipt for delivery in hold.remove([second])] == ["of the second"]


def test_those_that_wait_are_those_that_have_not_begun() -> None:
    hold = InFlightTasks()
    old, young, begun = held(1, taken_at=1.0), held(2, taken_at=3.0), held(3, taken_at=1.0)
    for task in (old, young, begun):
        hold.add(task)
    begun.begun = True
    assert hold.waiting(before=2.0) == [old]
    assert hold.waiting(before=4.0) == [old, young]
    hold.remove([old, young, begun])
    assert hold.waiting(before=4.0) == []


def test_what_the_broker_waits_for_no_more_is_not_begun_and_let_go() -> None:
    hold = InFlightTasks()
    kept, lost = held(1), held(2)
    hold.add(kept)
    hold.add(lost)
    assert hold.begin(kept, lambda delivery: True)
    assert not hold.begin(lost, lambda delivery: False)
    assert (kept.begun, lost.begun, len(hold)) == (True, False, 1)
    # When it comes again, it is a new one.
    assert hold.add(held(2, receipt="second")) is None


def test_what_came_again_before_it_was_begun_is_begun_under_its_new_delivery() -> None:
    hold = InFlightTasks()
    task = held(1)
    hold.add(task)
    hold.add(held(1, receipt="second"))
    assert hold.begin(task, lambda delivery: delivery.receipt == "second")


def test_what_was_published_to_a_former_queue_is_found_until_it_has_come_again() -> None:
    hold = InFlightTasks()
    former, silent = held(1, generation=2), held(2)
    for task in (former, silent, held(3, generation=3)):
        hold.add(task)
    assert hold.outdated(2) == []
    assert hold.outdated(3) == [former.delivery]
    hold.add(held(1, receipt="second", generation=3))
    assert hold.outdated(3) == []


def test_what_comes_again_is_wanted_though_it_was_not_for_a_moment() -> None:
    hold = InFlightTasks()
    task = held(1)
    hold.add(task)
    hold.set_wanted(task, wanted=False)
    hold.add(held(1, receipt="second"))
    assert not task.unwanted


def test_what_is_unwanted_at_its_turn_is_let_go_and_what_comes_then_is_another() -> None:
    hold = InFlightTasks()
    task, second = held(1), held(1, receipt="second")
    hold.add(task)
    hold.set_wanted(task, wanted=False)
    assert hold.begin(task, lambda _: True)
    assert (task.begun, task.unwanted) == (False, True)
    # Its surplus message is acknowledged, and never the one that the broker has confirmed.
    assert hold.add(second) is None
    assert [delivery.receipt for delivery in hold.remove([task])] == ["first"]
    assert len(hold) == 1


def test_what_has_begun_is_not_judged_any_more() -> None:
    hold = InFlightTasks()
    task = held(1)
    hold.add(task)
    hold.begin(task, lambda _: True)
    hold.set_wanted(task, wanted=False)
    assert not task.unwanted
