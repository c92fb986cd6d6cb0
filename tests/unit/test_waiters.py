"""Who waits for which task, and until when."""

import time
import weakref

from hypothesis import given
from hypothesis import strategies as st

from core.server.waiters import SLACK, Waiter, Waiters


def watches(*entries: tuple[str, str, float]) -> Waiters[str]:
    """Those that wait: ticket, task, deadline."""
    all_of_them: Waiters[str] = Waiters()
    for ticket, task_id, deadline in entries:
        all_of_them.add(Waiter(ticket, task_id, deadline))
    return all_of_them


def tickets(taken: list[Waiter[str]]) -> list[str]:
    """Whose they are."""
    return [watch.ticket for watch in taken]


def test_all_that_wait_for_a_task_are_taken_once() -> None:
    waiting = watches(("x", "a", 5), ("y", "b", 5), ("z", "a", 9))
    assert set(waiting.ids) == {"a", "b"}
    assert tickets(waiting.take("a")) == ["x", "z"]
    assert waiting.take("a") == []
    assert set(waiting.ids) == {"b"}
    assert tickets(waiting.take_overdue(99)) == ["y"]
    assert not waiting


def test_the_overdue_are_taken_in_the_order_of_their_deadlines() -> None:
    waiting = watches(("x", "a", 3), ("y", "b", 1), ("z", "a", 2), ("w", "c", 4))
    assert waiting.take_overdue(0.9) == []
    assert tickets(waiting.take_overdue(3)) == ["y", "z", "x"]
    assert set(waiting.ids) == {"c"}
    assert tickets(waiting.take("c")) == ["w"]


def test_everybody_is_taken() -> None:
    waiting = watches(("x", "a", 3), ("y", "b", 1))
    assert sorted(tickets(waiting.take_all())) == ["x", "y"]
    assert not waiting
    assert waiting.take_overdue(99) == []


def test_the_same_values_twice_are_two_that_wait() -> None:
    waiting = watches(("x", "a", 3), ("x", "a", 3))
    assert tickets(waiting.take_overdue(3)) == ["x", "x"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "take", "overdue"]), st.integers(0, 9))))
def test_everybody_is_taken_exactly_once(steps: list[tuple[str, str, int]]) -> None:
    waiting: Waiters[int] = Waiters()
    expected: dict[int, tuple[str, float]] = {}
    for number, (task_id, step, at) in enumerate(steps):
        if step == "add":
            waiting.add(Waiter(number, task_id, at))
            expected[number] = (task_id, at)
            continue
        taken = waiting.take(task_id) if step == "take" else waiting.take_overdue(at)
        right = {
            key for key, (name, deadline) in expected.items() if (name == task_id if step == "take" else deadline <= at)
        }
        assert {watch.ticket for watch in taken} == right
        assert len(taken) == len(right)
        for key in right:
            del expected[key]
        assert set(waiting.ids) == {name for name, _ in expected.values()}
    assert len(waiting.take_all()) == len(expected)


class Connection:
    """What a ticket may lead back to: it has to be let go of."""


def test_the_answered_do_not_pile_up_until_their_deadlines() -> None:
    waiting: Waiters[Connection] = Waiters()
    alive: weakref.WeakSet[Connection] = weakref.WeakSet()
    kept = Waiter(Connection(), "kept", 10.0)
    waiting.add(kept)
    for _ in range(20 * SLACK):
        connection = Connection()
        alive.add(connection)
        waiting.add(Waiter(connection, "a", 1e9))
        waiting.take("a")
    assert len(alive) <= SLACK + 10
    assert waiting.take_overdue(10.0) == [kept]


def test_thousands_may_wait_for_one_task() -> None:
    waiting: Waiters[int] = Waiters()
    began = time.process_time()
    for number in range(20 * SLACK):
        waiting.add(Waiter(number, "a", 1e9))
    assert time.process_time() - began < 2.0
    assert len(waiting.take("a")) == 20 * SLACK


def test_those_that_have_hung_up_are_forgotten_before_they_are_many() -> None:
    here = {"loyal"}
    waiting: Waiters[str] = Waiters(lambda ticket: ticket not in here)
    waiting.add(Waiter("loyal", "a", 60))
    for number in range(20 * SLACK):
        waiting.add(Waiter(f"fickle {number}", "a", 60))
    taken = tickets(waiting.take("a"))
    assert "loyal" in taken
    assert len(taken) <= 2 * SLACK


def test_many_that_wait_for_the_same_task_are_overdue_in_no_time() -> None:
    waiting: Waiters[int] = Waiters()
    for number in range(30_000):
        waiting.add(Waiter(number, "a", -number))
    began = time.process_time()
    assert len(waiting.take_overdue(1)) == 30_000
    # One by one through all of them it would take more than ten seconds.
    assert time.process_time() - began < 2
