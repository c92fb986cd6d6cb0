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
"""A port where nothing listens."""


class Clock:
    """Stands still unless the test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> Iterator[QueueFile]:
    with QueueFile(tmp_path / "queue.db", delivery_limit=2, clock=clock) as opened:
        yield opened


def begin_lease(file: QueueFile, number: int, queue: Queue = Queue.TASKS) -> ConsumerLease:
    lease = ConsumerLease(number, queue, LEASE, PORT)
    file.begin_lease(lease)
    return lease


def claim(file: QueueFile, lease: ConsumerLease, room: int = 100) -> list[ClaimedMessage]:
    claimed = file.exchange(lease, (), (), room)
    assert claimed is not None
    return claimed


def ids(claimed: list[ClaimedMessage]) -> list[int]:
    return [each.id for each in claimed]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 256, 300, 1_000])
def test_a_batch_of_any_size_is_published_whole_and_in_order(file: QueueFile, count: int) -> None:
    bodies = [b"%d" % number for number in range(count)]
    file.publish(bodies)
    assert file.depth() == Depth(count, 0)
    assert [each.body for each in claim(file, begin_lease(file, 1), count)] == bodies
    assert file.depth() == Depth(0, 0)


def test_the_messages_of_an_expired_lease_are_requeued_in_their_order(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a", b"b", b"c"])
    dead = begin_lease(file, 1)
    assert len(claim(file, dead, 2)) == 2
    clock.now += LEASE + 0.1
    alive = begin_lease(file, 2)
    assert file.has_expired_lease()
    file.end_expired_leases()
    assert not file.has_expired_lease()
    again = claim(file, alive)
    assert [(each.body, each.redeliveries) for each in again] == [(b"a", 1), (b"b", 1), (b"c", 0)]


def test_the_messages_of_a_dead_consumer_are_requeued_before_its_lease_expires(file: QueueFile) -> None:
    file.publish([b"a", b"b"])
    dead, alive = begin_lease(file, 1), begin_lease(file, 2)
    assert len(claim(file, dead, 1)) == len(claim(file, alive, 1)) == 1
    assert file.lease_numbers() == [1, 2]
    assert not file.has_expired_lease()
    assert file.end_expired_leases([1, 77]) == [1]
    assert file.lease_numbers() == [2]
    assert [(each.body, each.redeliveries) for each in claim(file, alive)] == [(b"a", 1)]


def test_a_renewed_lease_does_not_expire(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a"])
    lease = begin_lease(file, 1)
    claim(file, lease)
    for _ in range(5):
        clock.now += LEASE - 0.1
        assert not file.has_expired_lease()
        file.end_expired_leases()
        assert file.exchange(lease, (), (), 0) == []
    assert file.depth() == Depth(0, 0)


def test_a_lease_from_before_a_reboot_has_expired(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a"])
    claim(file, begin_lease(file, 1))
    clock.now = 5.0
    assert file.has_expired_lease()
    file.end_expired_leases()
    assert file.depth() == Depth(1, 0)


def test_a_consumer_that_lost_its_lease_changes_nothing(file: QueueFile, clock: Clock) -> None:
    file.publish([b"a", b"b"])
    late = begin_lease(file, 1)
    held = ids(claim(file, late))
    clock.now += LEASE + 0.1
    file.end_expired_leases()
    other = begin_lease(file, 2)
    assert file.exchange(late, held, (), 10) is None
    assert file.exchange(late, (), held, 10) is None
    file.end_lease(late, held, ())
    assert file.depth() == Depth(2, 0)
    assert ids(claim(file, other)) == held


def test_the_delivery_limit_counts_redeliveries(file: QueueFile) -> None:
    file.publish([b"poison"])
    for number in range(3):
        lease = begin_lease(file, number + 1)
        assert [each.redeliveries for each in claim(file, lease)] == [number]
        file.end_lease(lease, (), ())
    assert file.depth() == Depth(0, 1)
    consumer = begin_lease(file, 9, Queue.DEAD)
    assert [(each.body, each.redeliveries) for each in claim(file, consumer)] == [(b"poison", 0)]


def test_the_delivery_limit_does_not_apply_to_dead_letters(file: QueueFile) -> None:
    file.publish([b"bad"])
    lease = begin_lease(file, 1)
    [bad] = claim(file, lease)
    assert file.exchange(lease, (), [bad.id], 10) == []
    for number in range(5):
        consumer = begin_lease(file, number + 10, Queue.DEAD)
        assert len(claim(file, consumer)) == 1
        file.end_lease(consumer, (), ())
    assert file.depth() == Depth(0, 1)


def test_messages_claimed_without_the_consumer_knowing_are_requeued(file: QueueFile) -> None:
    file.publish([b"a", b"b", b"c"])
    lease = begin_lease(file, 1)
    known, unknown, also_known = ids(claim(file, lease))
    file.requeue_all_but(lease, [known, also_known])
    assert file.depth() == Depth(1, 0)
    assert ids(claim(file, lease)) == [unknown]


def test_few_messages_are_spread_over_all_consumers(file: QueueFile) -> None:
    leases = [begin_lease(file, number) for number in range(1, 5)]
    file.publish([b"x"] * 8)
    shares = [len(claim(file, lease)) for lease in leases]
    assert shares == [2, 2, 1, 1]
    assert [len(claim(file, lease)) for lease in leases] == [1, 1, 0, 0]


def test_an_id_is_never_reused(file: QueueFile) -> None:
    lease = begin_lease(file, 1)
    file.publish([b"a"])
    [first] = claim(file, lease)
    assert file.exchange(lease, [first.id], (), 0) == []
    file.publish([b"b"])
    [second] = claim(file, lease)
    assert second.id > first.id


def test_consumers_are_woken_when_their_queue_is_no_longer_empty(file: QueueFile) -> None:
    with WakeupReceiver() as receiver, WakeupReceiver() as other:
        lease = ConsumerLease(1, Queue.TASKS, LEASE, receiver.port)
        file.begin_lease(lease)
        file.begin_lease(ConsumerLease(2, Queue.DEAD, LEASE, other.port))
        file.publish([b"a", b"b"])
        assert was_woken(receiver)
        file.publish([b"c"])
        assert not was_woken(receiver)
        claimed = claim(file, lease)
        assert not was_woken(other)
        file.exchange(lease, (), [claimed[0].id], 0)
        assert was_woken(other)
        file.end_lease(lease, (), ())
        assert not was_woken(other)


def was_woken(receiver: WakeupReceiver) -> bool:
    """Return whether it was woken: a datagram over the loopback interface arrives as soon as it is sent."""
    began = time.monotonic()
    receiver.wait(0.2)
    return time.monotonic() - began < 0.15


def test_a_failed_batch_leaves_nothing(file: QueueFile) -> None:
    with pytest.raises(BrokerMisconfigured, match="BLOB"):
        file.publish([b"a", 1])  # type: ignore[list-item]  # on purpose: the second row violates the column's type
    assert file.depth() == Depth(0, 0)
    file.publish([b"c"])
    assert [each.body for each in claim(file, begin_lease(file, 1))] == [b"c"]


def test_a_replaced_file_is_noticed(file: QueueFile, tmp_path: Path) -> None:
    file.check_identity()
    path = tmp_path / "queue.db"
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(BrokerUnavailable, match=r"queue\.db was deleted or replaced"):
        file.check_identity()
    path.write_bytes(b"")
    with pytest.raises(BrokerUnavailable):
        file.check_identity()


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(BrokerMisconfigured, match=r"queue\.db .* the file is damaged: delete it"):
        QueueFile(path, delivery_limit=2)


def test_the_running_totals_match_the_rows(file: QueueFile, tmp_path: Path, clock: Clock) -> None:
    file.publish([b"%d" % number for number in range(50)])
    first, second = begin_lease(file, 1), begin_lease(file, 2)
    held = ids(claim(file, first, 20))
    claim(file, second, 10)
    file.exchange(first, held[:5], held[5:8], 3)
    clock.now += LEASE / 2
    file.exchange(first, (), (), 0)
    clock.now += LEASE / 2 + 0.1
    file.end_expired_leases()
    file.requeue_all_but(first, held[8:12])
    depth = file.depth()
    with Database(tmp_path / "queue.db", Faults(BrokerUnavailable, BrokerMisconfigured), readonly=True) as database:
        counted = "SELECT count(*) FROM messages WHERE queue = ? AND holder IS NULL"
        assert Depth(database.number(counted, (1,)), database.number(counted, (2,))) == depth
        assert database.number("SELECT count(*) FROM messages") == 45


def test_no_statement_of_the_hot_path_scans_a_long_queue(file: QueueFile, tmp_path: Path) -> None:
    from core.broker.embedded import queue_file

    statements = {
        name: text
        for name, text in vars(queue_file).items()
        if name in {"_SELECT_READY", "_CLAIM", "_DELETE", "_DEAD_LETTER"}
    }
    assert len(statements) == 4
    with Database(tmp_path / "queue.db", Faults(BrokerUnavailable, BrokerMisconfigured)) as database:
        for name, statement in statements.items():
            bindings = ["1"] * statement.count("?")
            plan = "\n".join(str(row[-1]) for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", bindings))
            assert "SCAN messages" not in plan, f"{name}: {plan}"
            assert "messages_held" not in plan, f"{name}: {plan}"
            assert "TEMP B-TREE" not in plan, f"{name}: {plan}"
