"""The file of the embedded queue, with a clock that the test sets."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.base import Queue
from core.broker.embedded.queue_file import ClaimedMessage, ConsumerLease, QueueFile
from core.broker.embedded.wakeup import WakeupReceiver
from core.database import Database, Faults
from core.errors import BrokerMisconfigured, BrokerUnavailable
from core.model import Depth

LEASE = 10.0
PORT = 9
"""Nobody listens there."""


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> Iterator[QueueFile]:
    with QueueFile(tmp_path / "queue.db", delivery_limit=2, clock=clock) as opened:
        yield opened


def enter(file: QueueFile, number: int, queue: Queue = Queue.TASKS) -> ConsumerLease:
    holder = ConsumerLease(number, queue, LEASE, PORT)
    file.enter(holder)
    return holder


def claim(file: QueueFile, holder: ConsumerLease, room: int = 100) -> list[ClaimedMessage]:
    claimed = file.exchange(holder, (), (), room)
    assert claimed is not None
    return claimed


def ids(claimed: list[ClaimedMessage]) -> list[int]:
    return [each.id for each in claimed]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 256, 300, 1_000])
def test_a_batch_of_any_size_is_published_whole_and_in_order(file: QueueFile, count: int) -> None:
    bodies = [b"%d" % number for number in range(count)]
    file.publish(bodies)
    assert file.depth() == Depth(count, 0)
    assert [each.body for each in claim(file, enter(file, 1), count)] == bodies
    assert file.depth() == Depth(0, 0)


def test_a_lease_that_is_over_gives_its_messages_to_others_in_their_order(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a", b"b", b"c"])
    dead = enter(file, 1)
    assert len(claim(file, dead, 2)) == 2
    clock.now += LEASE + 0.1
    alive = enter(file, 2)
    assert file.any_over()
    file.end_those_over()
    assert not file.any_over()
    again = claim(file, alive)
    assert [(each.body, each.redeliveries) for each in again] == [(b"a", 1), (b"b", 1), (b"c", 0)]


def test_who_is_dead_gives_its_messages_to_others_before_the_lease_is_over(file: QueueFile) -> None:
    file.publish([b"a", b"b"])
    dead, alive = enter(file, 1), enter(file, 2)
    assert len(claim(file, dead, 1)) == len(claim(file, alive, 1)) == 1
    assert file.holders() == [1, 2]
    assert not file.any_over()
    assert file.end_those_over([1, 77]) == [1]
    assert file.holders() == [2]
    assert [(each.body, each.redeliveries) for each in claim(file, alive)] == [(b"a", 1)]


def test_a_lease_that_is_renewed_is_not_over(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a"])
    holder = enter(file, 1)
    claim(file, holder)
    for _ in range(5):
        clock.now += LEASE - 0.1
        assert not file.any_over()
        file.end_those_over()
        assert file.exchange(holder, (), (), 0) == []
    assert file.depth() == Depth(0, 0)


def test_a_lease_of_before_the_machine_was_started_again_is_over(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a"])
    claim(file, enter(file, 1))
    clock.now = 5.0
    assert file.any_over()
    file.end_those_over()
    assert file.depth() == Depth(1, 0)


def test_who_lost_the_lease_changes_nothing_any_more(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a", b"b"])
    late = enter(file, 1)
    held = ids(claim(file, late))
    clock.now += LEASE + 0.1
    file.end_those_over()
    other = enter(file, 2)
    assert file.exchange(late, held, (), 10) is None
    assert file.exchange(late, (), held, 10) is None
    file.leave(late, held, ())
    assert file.depth() == Depth(2, 0)
    assert ids(claim(file, other)) == held


def test_the_delivery_limit_counts_redeliveries(file: QueueFile) -> None:
    file.publish([b"poison"])
    for number in range(3):
        holder = enter(file, number + 1)
        assert [each.redeliveries for each in claim(file, holder)] == [number]
        file.leave(holder, (), ())
    assert file.depth() == Depth(0, 1)
    undertaker = enter(file, 9, Queue.DEAD)
    assert [(each.body, each.redeliveries) for each in claim(file, undertaker)] == [(b"poison", 0)]


def test_a_dead_letter_is_never_given_up_by_the_limit(file: QueueFile) -> None:
    file.publish([b"bad"])
    holder = enter(file, 1)
    [bad] = claim(file, holder)
    assert file.exchange(holder, (), [bad.id], 10) == []
    for number in range(5):
        undertaker = enter(file, number + 10, Queue.DEAD)
        assert len(claim(file, undertaker)) == 1
        file.leave(undertaker, (), ())
    assert file.depth() == Depth(0, 1)


def test_what_was_claimed_without_the_consumer_hearing_of_it_is_given_back(file: QueueFile) -> None:
    file.publish([b"a", b"b", b"c"])
    holder = enter(file, 1)
    heard, unheard, also_heard = ids(claim(file, holder))
    file.keep_only(holder, [heard, also_heard])
    assert file.depth() == Depth(1, 0)
    assert ids(claim(file, holder)) == [unheard]


def test_few_messages_are_spread_over_all_consumers(file: QueueFile) -> None:
    holders = [enter(file, number) for number in range(1, 5)]
    file.publish([b"x"] * 8)
    parts = [len(claim(file, holder)) for holder in holders]
    assert parts == [2, 2, 1, 1]
    assert [len(claim(file, holder)) for holder in holders] == [1, 1, 0, 0]


def test_an_id_is_not_used_again(file: QueueFile) -> None:
    holder = enter(file, 1)
    file.publish([b"a"])
    [first] = claim(file, holder)
    assert file.exchange(holder, [first.id], (), 0) == []
    file.publish([b"b"])
    [second] = claim(file, holder)
    assert second.id > first.id


def test_consumers_are_woken_when_their_queue_is_no_longer_empty(file: QueueFile) -> None:
    with WakeupReceiver() as bell, WakeupReceiver() as other:
        holder = ConsumerLease(1, Queue.TASKS, LEASE, bell.port)
        file.enter(holder)
        file.enter(ConsumerLease(2, Queue.DEAD, LEASE, other.port))
        file.publish([b"a", b"b"])
        assert heard(bell)
        file.publish([b"c"])
        assert not heard(bell)
        claimed = claim(file, holder)
        assert not heard(other)
        file.exchange(holder, (), [claimed[0].id], 0)
        assert heard(other)
        file.leave(holder, (), ())
        assert not heard(other)


def heard(bell: WakeupReceiver) -> bool:
    """Whether the bell was rung: a datagram to oneself is there as soon as it is sent."""
    began = time.monotonic()
    bell.wait(0.2)
    return time.monotonic() - began < 0.15


def test_a_failed_batch_leaves_nothing(file: QueueFile) -> None:
    with pytest.raises(BrokerMisconfigured, match="BLOB"):
        file.publish([b"a", 1])  # type: ignore[list-item]  # on purpose: the second row breaks the rule of the column
    assert file.depth() == Depth(0, 0)
    file.publish([b"c"])
    assert [each.body for each in claim(file, enter(file, 1))] == [b"c"]


def test_a_file_that_was_replaced_is_noticed(file: QueueFile, tmp_path: Path) -> None:
    file.check_place()
    path = tmp_path / "queue.db"
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(BrokerUnavailable, match=r"queue\.db was deleted or replaced"):
        file.check_place()
    path.write_bytes(b"")
    with pytest.raises(BrokerUnavailable):
        file.check_place()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(BrokerMisconfigured, match=r"queue\.db .* the file is damaged: delete it"):
        QueueFile(path, delivery_limit=2)


def test_the_running_totals_agree_with_the_rows(file: QueueFile, tmp_path: Path, clock: Clock) -> None:
    file.publish([b"%d" % number for number in range(50)])
    first, second = enter(file, 1), enter(file, 2)
    held = ids(claim(file, first, 20))
    claim(file, second, 10)
    file.exchange(first, held[:5], held[5:8], 3)
    clock.now += LEASE / 2
    file.exchange(first, (), (), 0)
    clock.now += LEASE / 2 + 0.1
    file.end_those_over()
    file.keep_only(first, held[8:12])
    depth = file.depth()
    with Database(tmp_path / "queue.db", Faults(BrokerUnavailable, BrokerMisconfigured), readonly=True) as database:
        counted = "SELECT count(*) FROM messages WHERE queue = ? AND holder IS NULL"
        assert Depth(database.number(counted, (1,)), database.number(counted, (2,))) == depth
        assert database.number("SELECT count(*) FROM messages") == 45


def test_no_statement_of_the_hot_path_looks_through_a_long_queue(file: QueueFile, tmp_path: Path) -> None:
    from core.broker.embedded import queue_file

    statements = {
        name: text for name, text in vars(queue_file).items() if name in {"_READY", "_CLAIM", "_FORGET", "_BURY"}
    }
    assert len(statements) == 4
    with Database(tmp_path / "queue.db", Faults(BrokerUnavailable, BrokerMisconfigured)) as database:
        for name, statement in statements.items():
            bindings = ["1"] * statement.count("?")
            plan = "\n".join(str(row[-1]) for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", bindings))
            assert "SCAN messages" not in plan, f"{name}: {plan}"
            assert "messages_held" not in plan, f"{name}: {plan}"
            assert "TEMP B-TREE" not in plan, f"{name}: {plan}"
