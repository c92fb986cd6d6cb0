"""The embedded queue: several processes, consumers that die or are suspended, and a file that can't be used."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import core
from core.broker.base import Consumer, Delivery, Message, PublishResult, Queue
from core.broker.embedded import EmbeddedBroker
from core.broker.embedded.consumer import LEASE_CHECK_INTERVAL
from core.database import Database, Faults
from core.errors import BrokerMisconfigured, BrokerUnavailable
from tests.services.suspension import resume, suspend
from tests.services.waiting import wait_until

ROOT = Path(core.__file__).parents[1]
TIMEOUT = 60.0
SHORT_LEASE = 0.5
LONG_LEASE = 3600.0


class Peer:
    """Another process at the queue."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.unit.embedded_peer", *map(str, arguments)]
        self.process = psutil.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def send(self, command: str) -> None:
        """Send a command."""
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> list[str]:
        """Send a command and return its answer."""
        self.send(command)
        return self.answer()

    def answer(self) -> list[str]:
        """Return the values on the next line of its output."""
        line: str = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return line.split()

    def end(self) -> None:
        """Kill the process and close its pipes."""
        with suppress(psutil.NoSuchProcess):
            self.process.resume()
            self.process.kill()
        self.process.wait(TIMEOUT)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):
                stream.close()


MakePeer = Callable[..., Peer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def peer() -> Iterator[MakePeer]:
    """Makes peers, and ends them after the test."""
    peers: list[Peer] = []

    def make(*arguments: object) -> Peer:
        peers.append(Peer(*arguments))
        return peers[-1]

    yield make
    for each in peers:
        each.end()


def publish(path: Path, *bodies: bytes) -> None:
    settled: list[PublishResult] = []
    with EmbeddedBroker(path).publisher(settled.extend) as publisher:
        publisher.send([Message(tag, "id", "echo", body) for tag, body in enumerate(bodies)])
    assert [each.confirmed for each in settled] == [True] * len(bodies)


def collect(consumer: Consumer, count: int) -> list[Delivery]:
    received: list[Delivery] = []
    deadline = time.monotonic() + TIMEOUT
    while len(received) < count and time.monotonic() < deadline:
        received += consumer.receive(count - len(received), 1.0)
    assert len(received) == count
    return received


def polled(*consumers: Consumer) -> Iterator[Consumer]:
    """Yield the consumers in turn, for a while."""
    for _ in range(int(TIMEOUT / 0.1)):
        yield from consumers


def depth(path: Path) -> tuple[int, int]:
    with EmbeddedBroker(path).gauge() as gauge:
        counts = gauge.read()
    return counts.ready, counts.dead


@contextmanager
def locked_by_another(path: Path) -> Iterator[None]:
    """Hold the write lock."""
    faults = Faults(BrokerUnavailable, BrokerMisconfigured)
    with Database(path, faults) as database, database.transaction():
        yield


# Several processes.


def liveness_locks(path: Path) -> list[str]:
    return [each.name for each in path.with_name("queue-alive").iterdir()]


def test_the_messages_of_a_killed_consumer_go_to_another_at_once(path: Path, peer: MakePeer) -> None:
    publish(path, b"a", b"b")
    victim = peer("consume", path, LONG_LEASE)
    assert victim.ask("take 2") == ["a", "b"]
    with EmbeddedBroker(path, lease=LONG_LEASE).consumer(Queue.TASKS, 10) as consumer:
        assert consumer.receive(10, 3 * LEASE_CHECK_INTERVAL) == []
        assert len(liveness_locks(path)) == 2
        victim.process.kill()
        again = collect(consumer, 2)
        assert [(delivery.body, delivery.redeliveries) for delivery in again] == [(b"a", 1), (b"b", 1)]
        consumer.ack(again)
        wait_until(lambda: len(liveness_locks(path)) == 1, "the lock of the dead consumer to be removed")
    assert depth(path) == (0, 0)
    assert liveness_locks(path) == []


def test_without_liveness_locks_a_killed_consumer_keeps_its_lease(path: Path, peer: MakePeer) -> None:
    path.with_name("queue-alive").write_text("a file where the directory of the locks would be")
    publish(path, b"a")
    victim = peer("consume", path, SHORT_LEASE)
    assert victim.ask("take 1") == ["a"]
    victim.process.kill()
    victim.process.wait(TIMEOUT)
    with EmbeddedBroker(path, lease=SHORT_LEASE).consumer(Queue.TASKS, 10) as consumer:
        consumer.ack(collect(consumer, 1))
    assert depth(path) == (0, 0)


def test_the_late_acknowledgement_of_a_suspended_consumer_changes_nothing(path: Path, peer: MakePeer) -> None:
    publish(path, b"a", b"b")
    sleeper = peer("consume", path, SHORT_LEASE)
    assert sleeper.ask("take 2") == ["a", "b"]
    suspend(sleeper.process.pid)
    with EmbeddedBroker(path, lease=SHORT_LEASE).consumer(Queue.TASKS, 10) as consumer:
        again = collect(consumer, 2)
        assert [delivery.redeliveries for delivery in again] == [1, 1]
        resume(sleeper.process.pid)
        assert sleeper.ask("ack") == ["acknowledged"]
        assert sleeper.ask("close") == ["closed"]
    assert depth(path) == (2, 0)


def test_a_suspended_consumer_consumes_again_when_it_is_resumed(path: Path, peer: MakePeer) -> None:
    publish(path, b"a")
    sleeper = peer("consume", path, SHORT_LEASE)
    assert sleeper.ask("take 1") == ["a"]
    suspend(sleeper.process.pid)
    with EmbeddedBroker(path, lease=SHORT_LEASE).consumer(Queue.TASKS, 10) as consumer:
        consumer.ack(collect(consumer, 1))
    resume(sleeper.process.pid)
    publish(path, b"b")
    assert sleeper.ask("drain") == ["b"]
    assert sleeper.ask("trouble") == []


def test_a_lease_is_kept_while_the_interpreter_is_busy(path: Path, peer: MakePeer) -> None:
    publish(path, b"a")
    worker = peer("consume", path, SHORT_LEASE)
    assert worker.ask("take 1") == ["a"]
    with EmbeddedBroker(path, lease=SHORT_LEASE).consumer(Queue.TASKS, 10) as consumer:
        worker.send(f"burn {SHORT_LEASE * 4}")
        assert consumer.receive(1, SHORT_LEASE * 3) == []
        assert worker.answer()[0] == "burnt"
    assert worker.ask("ack") == ["acknowledged"]
    assert worker.ask("close") == ["closed"]
    assert depth(path) == (0, 0)


def test_several_processes_lose_and_duplicate_no_message(path: Path, peer: MakePeer) -> None:
    count = 3_000
    EmbeddedBroker(path).prepare()
    consumers = [peer("consume", path, 10.0) for _ in range(2)]
    publishers = [peer("publish", path, count, prefix) for prefix in ("x", "y")]
    for consumer in consumers:
        consumer.send("take 1")
    assert [publisher.answer() for publisher in publishers] == [[str(count)]] * 2
    bodies = [body for consumer in consumers for body in consumer.answer()]
    for consumer in consumers:
        consumer.send("drain")
    bodies += [body for consumer in consumers for body in consumer.answer()]
    for consumer in consumers:
        assert consumer.ask("trouble") == []
        assert consumer.ask("ack") == ["acknowledged"]
        assert consumer.ask("close") == ["closed"]
    assert sorted(bodies) == sorted(f"{prefix}{number}" for prefix in "xy" for number in range(count))
    assert depth(path) == (0, 0)


# Trouble with the file.


@pytest.mark.timeout(60)
def test_a_lock_held_too_long_is_temporary_trouble(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(path, b"held")
    settled: list[PublishResult] = []
    broker = EmbeddedBroker(path)
    with (
        caplog.at_level(logging.INFO, logger="cauce.broker"),
        broker.consumer(Queue.TASKS, 10) as consumer,
        broker.publisher(settled.extend) as publisher,
    ):
        held = collect(consumer, 1)
        with locked_by_another(path):
            consumer.ack(held)
            publisher.send([Message(1, "id", "echo", b"refused")])
            assert [(each.tag, each.confirmed) for each in settled] == [(1, False)]
            assert "queue.db" in settled[0].reason
            assert not publisher.available
            assert publisher.trouble == settled[0].reason
            publisher.send([Message(2, "id", "echo", b"refused at once")])
            assert [(each.tag, each.confirmed) for each in settled[1:]] == [(2, False)]
            wait_until(lambda: "queue.db" in consumer.trouble, "the consumer to notice")
        wait_until(lambda: publisher.available, "the publisher to be available again")
        wait_until(lambda: not consumer.trouble, "the consumer to be available again")
        publisher.send([Message(3, "id", "echo", b"taken")])
        assert settled[-1] == PublishResult(3, True)
        assert [delivery.body for delivery in collect(consumer, 1)] == [b"taken"]
    lost = [record for record in caplog.records if "is unavailable" in record.message]
    regained = [record for record in caplog.records if "is available again" in record.message]
    assert (len(lost), len(regained)) == (2, 2)
    assert depth(path) == (1, 0)


def test_a_path_where_no_file_can_be_created_is_trouble_until_that_is_repaired(tmp_path: Path) -> None:
    obstacle = tmp_path / "directory"
    obstacle.write_text("in the way")
    broker = EmbeddedBroker(obstacle / "queue.db")
    with pytest.raises(BrokerMisconfigured, match=r"queue\.db can't be created"):
        broker.prepare()
    settled: list[PublishResult] = []
    with (
        broker.publisher(settled.extend) as publisher,
        broker.consumer(Queue.TASKS, 1) as consumer,
        broker.gauge() as gauge,
    ):
        assert not publisher.available
        assert "can't be created" in publisher.trouble
        wait_until(lambda: "can't be created" in consumer.trouble, "the consumer to notice")
        with pytest.raises(BrokerUnavailable, match="there is no queue in"):
            gauge.read()
        obstacle.unlink()
        wait_until(lambda: publisher.available, "the publisher to begin")
        publisher.send([Message(1, "id", "echo", b"first")])
        assert [delivery.body for delivery in collect(consumer, 1)] == [b"first"]
        assert (consumer.trouble, gauge.read().ready) == ("", 0)
    assert settled == [PublishResult(1, True)]


def test_a_deleted_file_is_recreated(path: Path) -> None:
    settled: list[PublishResult] = []
    broker = EmbeddedBroker(path)
    with (
        broker.publisher(settled.extend) as publisher,
        broker.consumer(Queue.TASKS, 10) as consumer,
        broker.gauge() as gauge,
    ):
        publisher.send([Message(1, "id", "echo", b"before")])
        former = collect(consumer, 1)
        assert gauge.read().ready == 0
        for leftover in path.parent.glob("queue.db*"):
            leftover.unlink()
        publisher.send([Message(2, "id", "echo", b"lost")])
        assert settled[-1].confirmed is False
        with pytest.raises(BrokerUnavailable, match="deleted or replaced"):
            gauge.read()
        wait_until(lambda: publisher.available, "the publisher to be available again")
        publisher.send([Message(3, "id", "echo", b"after")])
        after = collect(consumer, 1)
        assert [delivery.body for delivery in after] == [b"after"]
        consumer.ack(former)
        assert gauge.read().ready == 0
    assert depth(path) == (1, 0)


def test_closing_does_not_wait_for_a_file_that_never_existed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.broker.embedded.consumer.CLOSE_TIMEOUT", 3600.0)
    obstacle = tmp_path / "directory"
    obstacle.write_text("in the way")
    broker = EmbeddedBroker(obstacle / "queue.db")
    consumer = broker.consumer(Queue.TASKS, 1)
    publisher = broker.publisher(lambda settled: None)
    publisher.close()
    consumer.close()


@pytest.mark.timeout(60)
def test_closing_gives_up_when_the_file_stays_locked(path: Path) -> None:
    publish(path, b"held")
    consumer = EmbeddedBroker(path).consumer(Queue.TASKS, 1)
    held = collect(consumer, 1)
    with locked_by_another(path):
        consumer.ack(held)
        consumer.close()
    assert depth(path) == (0, 0)


# Within one process.


def test_few_long_tasks_are_spread_over_the_consumers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither claims a second time before both have claimed once, however long that takes on a busy machine.
    monkeypatch.setattr("core.broker.embedded.consumer.FAIRNESS_DELAY", TIMEOUT)
    monkeypatch.setattr("core.broker.embedded.consumer.LEASE_CHECK_INTERVAL", TIMEOUT)
    broker = EmbeddedBroker(path, lease=8 * TIMEOUT)
    with broker.consumer(Queue.TASKS, 8) as one, broker.consumer(Queue.TASKS, 8) as two:
        for consumer in (one, two):
            assert consumer.receive(1, 0.2) == []
        publish(path, *[b"long"] * 8)
        # Half of the eight for the first, half of the rest for the other; then both wait for each other.
        wait_until(lambda: depth(path) == (2, 0), "both to have claimed their share")
        counts = [len(consumer.receive(8, TIMEOUT)) for consumer in (one, two)]
    assert sorted(counts) == [2, 4]


def test_the_share_another_consumer_leaves_is_claimed_soon(path: Path) -> None:
    broker = EmbeddedBroker(path)
    with broker.consumer(Queue.TASKS, 8) as one, broker.consumer(Queue.TASKS, 1) as full:
        publish(path, b"first")
        wait_until(lambda: depth(path) == (0, 0), "the first to be claimed")
        publish(path, *[b"long"] * 8)
        held = collect(one, 8)
        wait_until(lambda: depth(path) == (0, 0), "all to be claimed")
        assert len(held) + len(full.receive(1, 0)) + len(one.receive(1, 0)) == 9


def test_acknowledgements_of_many_threads_are_all_written(path: Path) -> None:
    publish(path, *[b"%d" % number for number in range(400)])
    with EmbeddedBroker(path).consumer(Queue.TASKS, 400) as consumer:
        held = collect(consumer, 400)
        threads = [
            threading.Thread(target=lambda offset=offset: [consumer.ack([each]) for each in held[offset::8]])
            for offset in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
    assert depth(path) == (0, 0)


def test_the_delivery_limit_is_a_setting(path: Path) -> None:
    publish(path, b"poison")
    broker = EmbeddedBroker(path, delivery_limit=0)
    with broker.consumer(Queue.TASKS, 1) as consumer:
        collect(consumer, 1)
    assert depth(path) == (0, 1)


def test_the_description_names_the_file(path: Path) -> None:
    assert str(path) in EmbeddedBroker(path).description


def test_messages_under_a_lease_not_renewed_in_time_are_delivered_again(path: Path) -> None:
    publish(path, b"a", b"b")
    with EmbeddedBroker(path, lease=SHORT_LEASE).consumer(Queue.TASKS, 10) as consumer:
        first, second = collect(consumer, 2)
        assert consumer.holds(first)
        with locked_by_another(path):
            wait_until(lambda: not consumer.holds(first), "the lease to expire")
            consumer.ack([second])
        again = collect(consumer, 1)
        assert [(delivery.body, delivery.redeliveries) for delivery in again] == [(b"a", 1)]
        assert consumer.holds(again[0])
        consumer.ack(again)
    assert depth(path) == (0, 0)


def test_messages_of_a_lost_lease_are_no_longer_held(path: Path) -> None:
    publish(path, b"a")
    with EmbeddedBroker(path).consumer(Queue.TASKS, 10) as consumer:
        (delivery,) = collect(consumer, 1)
        assert consumer.holds(delivery)
        # As if it had been suspended for longer than its lease.
        with Database(path, Faults(BrokerUnavailable, BrokerMisconfigured), durable=False) as database:
            database.execute("UPDATE consumers SET renewed_at = renewed_at - 3600")
        wait_until(lambda: not consumer.holds(delivery), "the loss to be noticed")
        with EmbeddedBroker(path).consumer(Queue.TASKS, 10) as other:
            # Either may get it now: the first one has a new lease.
            holder, again = next((each, got) for each in polled(consumer, other) for got in each.receive(1, 0.1))
            assert holder.holds(again)
            assert not consumer.holds(delivery)
