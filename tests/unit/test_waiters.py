"""The waiters for the ends of tasks."""

import time
import weakref

from hypothesis import given
from hypothesis import strategies as st

from core.server.waiters import SLACK, Waiter, Waiters


def make_waiters(*entries: tuple[str, str, float]) -> Waiters[str]:
    """Make waiters from ticket, task id and deadline."""
    waiters: Waiters[str] = Waiters()
    for ticket, task_id, deadline in entries:
        waiters.add(Waiter(ticket, task_id, deadline))
    return waiters


def tickets(popped: list[Waiter[str]]) -> list[str]:
    """Return the tickets of waiters."""
    return [waiter.ticket for waiter in popped]


def test_the_waiters_for_a_task_are_popped_once() -> None:
    waiters = make_waiters(("x", "a", 5), ("y", "b", 5), ("z", "a", 9))
    assert set(waiters.ids) == {"a", "b"}
    assert tickets(waiters.pop("a")) == ["x", "z"]
    assert waiters.pop("a") == []
    assert set(waiters.ids) == {"b"}
    assert tickets(waiters.pop_overdue(99)) == ["y"]
    assert not waiters


def test_overdue_waiters_are_popped_in_the_order_of_their_deadlines() -> None:
    waiters = make_waiters(("x", "a", 3), ("y", "b", 1), ("z", "a", 2), ("w", "c", 4))
    assert waiters.pop_overdue(0.9) == []
    assert tickets(waiters.pop_overdue(3)) == ["y", "z", "x"]
    assert set(waiters.ids) == {"c"}
    assert tickets(waiters.pop("c")) == ["w"]


def test_all_waiters_are_popped() -> None:
    waiters = make_waiters(("x", "a", 3), ("y", "b", 1))
    assert sorted(tickets(waiters.pop_all())) == ["x", "y"]
    assert not waiters
    assert waiters.pop_overdue(99) == []


def test_two_waiters_with_equal_values_are_separate() -> None:
    waiters = make_waiters(("x", "a", 3), ("x", "a", 3))
    assert tickets(waiters.pop_overdue(3)) == ["x", "x"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "take", "overdue"]), st.integers(0, 9))))
def test_every_waiter_is_popped_exactly_once(steps: list[tuple[str, str, int]]) -> None:
    waiters: Waiters[int] = Waiters()
    expected: dict[int, tuple[str, float]] = {}
    for number, (task_id, step, at) in enumerate(steps):
        if step == "add":
            waiters.add(Waiter(number, task_id, at))
            expected[number] = (task_id, at)
            continue
        popped = waiters.pop(task_id) if step == "take" else waiters.pop_overdue(at)
        expected_keys = {
            key for key, (name, deadline) in expected.items() if (name == task_id if step == "take" else deadline <= at)
        }
        assert {waiter.ticket for waiter in popped} == expected_keys
        assert len(popped) == len(expected_keys)
        for key in expected_keys:
            del expected[key]
        assert set(waiters.ids) == {name for name, _ in expected.values()}
    assert len(waiters.pop_all()) == len(expected)


class Connection:
    """A ticket's connection, which must be freed."""


def test_answered_waiters_do_not_pile_up_until_their_deadlines() -> None:
    waiters: Waiters[Connection] = Waiters()
    alive: weakref.WeakSet[Connection] = weakref.WeakSet()
    kept = Waiter(Connection(), "kept", 10.0)
    waiters.add(kept)
    for _ in range(20 * SLACK):
        connection = Connection()
        alive.add(connection)
        waiters.add(Waiter(connection, "a", 1e9))
        waiters.pop("a")
    assert len(alive) <= SLACK + 10
    assert waiters.pop_overdue(10.0) == [kept]


def test_thousands_may_wait_for_one_task() -> None:
    waiters: Waiters[int] = Waiters()
    began = time.process_time()
    for number in range(20 * SLACK):
        waiters.add(Waiter(number, "a", 1e9))
    assert time.process_time() - began < 2.0
    assert len(waiters.pop("a")) == 20 * SLACK


def test_waiters_of_disconnected_clients_are_dropped_before_they_are_many() -> None:
    connected = {"loyal"}
    waiters: Waiters[str] = Waiters(lambda ticket: ticket not in connected)
    waiters.add(Waiter("loyal", "a", 60))
    for number in range(20 * SLACK):
        waiters.add(Waiter(f"fickle {number}", "a", 60))
    popped = tickets(waiters.pop("a"))
    assert "loyal" in popped
    assert len(popped) <= 2 * SLACK


def test_many_overdue_waiters_for_one_task_are_popped_quickly() -> None:
    waiters: Waiters[int] = Waiters()
    for number in range(30_000):
        waiters.add(Waiter(number, "a", -number))
    began = time.process_time()
    assert len(waiters.pop_overdue(1)) == 30_000
    # A search through all of them for each would take more than ten seconds.
    assert time.process_time() - began < 2
