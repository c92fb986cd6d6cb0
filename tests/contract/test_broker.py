"""What every broker must do, tested through `core.broker.base` alone."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from core.broker.base import (
    DELIVERY_LIMIT,
    Broker,
    Consumer,
    Delivery,
    DepthGauge,
    Message,
    Publisher,
    PublishResult,
    Queue,
)
from core.errors import BrokerError, BrokerUnavailable
from tests.services.waiting import wait_until

TIMEOUT = 60.0
"""Seconds within which what a test waits for must happen."""

QUIET = 0.3
"""Seconds without a message after which a queue counts as empty."""


class Outbox:
    """A publisher, and the results of its messages."""

    def __init__(self, broker: Broker) -> None:
        self._changed = threading.Condition()
        self._settled: list[PublishResult] = []
        self._next = 0
        self.publisher: Publisher = broker.publisher(self._on_settled)
        wait_until(lambda: self.publisher.available, "the publisher to be available", TIMEOUT)

    def _on_settled(self, settled: Sequence[PublishResult]) -> None:
        with self._changed:
            self._settled.extend(settled)
            self._changed.notify_all()

    def send(self, bodies: Sequence[bytes]) -> list[int]:
        """Send one batch. Returns its tags."""
        tags = list(range(self._next, self._next + len(bodies)))
        self._next += len(bodies)
        self.publisher.send([Message(tag, f"task-{tag}", "echo", body) for tag, body in zip(tags, bodies, strict=True)])
        return tags

    def settled(self) -> list[PublishResult]:
        """Return the results so far."""
        with self._changed:
            return list(self._settled)

    def wait(self) -> list[PublishResult]:
        """Return the results when everything sent is settled."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._settled) >= self._next, TIMEOUT), "not all was settled"
            return list(self._settled)

    def publish(self, bodies: Sequence[bytes]) -> None:
        """Send one batch and see it confirmed."""
        before = self._next
        self.send(bodies)
        assert all(each.confirmed for each in self.wait()[before:])


@contextmanager
def outbox_of(broker: Broker) -> Iterator[Outbox]:
    outbox = Outbox(broker)
    with outbox.publisher:
        yield outbox


def publish(broker: Broker, *bodies: bytes) -> None:
    with outbox_of(broker) as outbox:
        outbox.publish(bodies)


def collect(consumer: Consumer, count: int, limit: int = 100) -> list[Delivery]:
    """Receive exactly `count` messages, and acknowledge none."""
    received: list[Delivery] = []
    deadline = time.monotonic() + TIMEOUT
    while len(received) < count and time.monotonic() < deadline:
        received += consumer.receive(min(limit, count - len(received)), 1.0)
    assert len(received) == count, f"{len(received)} of {count} came; trouble: {consumer.trouble!r}"
    return received


def bodies_of(deliveries: Sequence[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def wait_for_depth(broker: Broker, ready: int, dead: int) -> None:
    with broker.gauge() as gauge:

        def reached() -> bool:
            depth = gauge.read()
            return (depth.ready, depth.dead) == (ready, dead)

        wait_until(reached, f"{ready} ready and {dead} dead", TIMEOUT)


# Publishing.


def test_messages_come_in_the_order_in_which_they_were_sent(broker: Broker) -> None:
    publish(broker, *numbered(50))
    with broker.consumer(Queue.TASKS, 100) as consumer:
        deliveries = collect(consumer, 50)
    assert bodies_of(deliveries) == numbered(50)
    assert {delivery.redeliveries for delivery in deliveries} == {0}


def test_many_messages_come_without_loss_and_once_each(broker: Broker) -> None:
    sent = numbered(5_000)
    with outbox_of(broker) as outbox, broker.consumer(Queue.TASKS, 200) as consumer:
        for start in range(0, len(sent), 250):
            outbox.send(sent[start : start + 250])
        received: list[bytes] = []
        deadline = time.monotonic() + TIMEOUT
        while len(received) < len(sent) and time.monotonic() < deadline:
            deliveries = consumer.receive(100, 1.0)
            received += bodies_of(deliveries)
            consumer.ack(deliveries)
        assert consumer.receive(1, QUIET) == []
        assert all(each.confirmed for each in outbox.wait())
    assert sorted(received) == sorted(sent)
    wait_for_depth(broker, 0, 0)


def test_each_message_is_settled_exactly_once_and_with_its_own_tag(broker: Broker) -> None:
    with outbox_of(broker) as outbox:
        tags = [tag for size in (1, 2, 17, 256, 300) for tag in outbox.send(numbered(size))]
        outbox.wait()
        outbox.publisher.close()
        settled = outbox.settled()
    assert Counter(each.tag for each in settled) == Counter(tags)
    assert all(each.confirmed and not each.reason for each in settled)


def test_a_confirmed_message_is_delivered_after_the_publisher_has_closed(broker: Broker) -> None:
    publish(broker, b"kept")
    wait_for_depth(broker, 1, 0)
    with broker.consumer(Queue.TASKS, 1) as consumer:
        assert bodies_of(collect(consumer, 1)) == [b"kept"]


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00", b"a\x00b\x00", bytes(range(256)), b"\xff\xfe\xed", '{"id": "áé漢🙂"}'.encode(), b"x" * 1024 * 1024],
    ids=["empty", "nul", "nuls", "every-byte", "not-utf-8", "text", "1-MiB"],
)
def test_a_body_comes_byte_by_byte_as_it_was_sent(broker: Broker, body: bytes) -> None:
    publish(broker, body, b"next")
    with broker.consumer(Queue.TASKS, 10) as consumer:
        assert bodies_of(collect(consumer, 2)) == [body, b"next"]


def test_sending_nothing_settles_nothing(broker: Broker) -> None:
    with outbox_of(broker) as outbox:
        outbox.send([])
        outbox.publish([b"something"])
        assert len(outbox.settled()) == 1


def test_closing_a_publisher_settles_everything_that_was_sent(broker: Broker) -> None:
    with outbox_of(broker) as outbox:
        tags = outbox.send(numbered(1_000))
        outbox.publisher.close()
        settled = outbox.settled()
    assert sorted(each.tag for each in settled) == tags
    assert all(each.confirmed or each.reason for each in settled)


def test_a_closed_publisher_confirms_nothing(broker: Broker) -> None:
    with outbox_of(broker) as outbox:
        outbox.publisher.close()
        assert not outbox.publisher.available
        assert outbox.publisher.trouble
        tags = outbox.send([b"late", b"later"])
        settled = outbox.wait()
    assert [(each.tag, each.confirmed) for each in settled] == [(tag, False) for tag in tags]
    assert all(each.reason for each in settled)
    wait_for_depth(broker, 0, 0)


def test_an_available_publisher_has_no_trouble(broker: Broker) -> None:
    with outbox_of(broker) as outbox:
        assert outbox.publisher.trouble == ""


# Receiving.


def test_receive_returns_no_more_than_its_limit(broker: Broker) -> None:
    publish(broker, *numbered(10))
    with broker.consumer(Queue.TASKS, 10) as consumer:
        first = collect(consumer, 1)
        for limit in (3, 2):
            assert len(consumer.receive(limit, TIMEOUT)) <= limit
        assert bodies_of(first) == [b"0"]


def test_receive_returns_an_empty_list_when_nothing_came_in_time(broker: Broker) -> None:
    with broker.consumer(Queue.TASKS, 10) as consumer:
        assert consumer.receive(10, 0.2) == []
        assert consumer.receive(10, 0.0) == []
        wait_until(lambda: consumer.trouble == "", "the connection")


def test_receive_wakes_for_what_is_published_meanwhile(broker: Broker) -> None:
    with outbox_of(broker) as outbox, broker.consumer(Queue.TASKS, 10) as consumer:
        assert consumer.receive(1, QUIET) == []
        received: list[Delivery] = []
        receiver = threading.Thread(target=lambda: received.extend(consumer.receive(1, TIMEOUT)))
        receiver.start()
        outbox.publish([b"news"])
        receiver.join(TIMEOUT)
        assert bodies_of(received) == [b"news"]


def test_no_more_than_prefetch_is_held(broker: Broker) -> None:
    publish(broker, *numbered(10))
    with broker.consumer(Queue.TASKS, 3) as consumer:
        held = collect(consumer, 3)
        assert consumer.receive(10, QUIET) == []
        wait_for_depth(broker, 7, 0)
        consumer.ack(held[:2])
        assert bodies_of(collect(consumer, 2)) == [b"3", b"4"]
        assert consumer.receive(10, QUIET) == []


def test_a_larger_prefetch_lets_more_come(broker: Broker) -> None:
    publish(broker, *numbered(10))
    with broker.consumer(Queue.TASKS, 2) as consumer:
        held = collect(consumer, 2)
        assert consumer.receive(10, QUIET) == []
        consumer.resize(5)
        held += collect(consumer, 3)
        assert consumer.receive(10, QUIET) == []
        assert bodies_of(held) == numbered(5)


def test_a_smaller_prefetch_holds_less_from_then_on(broker: Broker) -> None:
    publish(broker, *numbered(10))
    with broker.consumer(Queue.TASKS, 4) as consumer:
        held = collect(consumer, 4)
        consumer.resize(1)
        consumer.ack(held)
        held = collect(consumer, 1)
        assert consumer.receive(10, QUIET) == []
        consumer.ack(held)
        held += collect(consumer, 1)
        assert bodies_of(held) == [b"4", b"5"]


def test_two_consumers_share_the_work_without_overlap(broker: Broker) -> None:
    sent = numbered(400)
    received: dict[str, list[bytes]] = {"one": [], "two": []}
    both_work = threading.Barrier(2)
    done = threading.Event()

    def work(name: str, consumer: Consumer) -> None:
        first = collect(consumer, 1)
        both_work.wait(TIMEOUT)
        deliveries = first
        while not done.is_set():
            received[name] += bodies_of(deliveries)
            consumer.ack(deliveries)
            deliveries = consumer.receive(5, 0.05)

    def together() -> int:
        return len(received["one"]) + len(received["two"])

    with broker.consumer(Queue.TASKS, 10) as one, broker.consumer(Queue.TASKS, 10) as two:
        threads = [
            threading.Thread(target=work, args=("one", one)),
            threading.Thread(target=work, args=("two", two)),
        ]
        for thread in threads:
            thread.start()
        try:
            publish(broker, *sent)
            wait_until(lambda: together() >= len(sent), "all messages", TIMEOUT)
        finally:
            done.set()
            for thread in threads:
                thread.join(TIMEOUT)
    assert sorted(received["one"] + received["two"]) == sorted(sent)
    assert received["one"]
    assert received["two"]


# Acknowledging.


def test_an_acknowledged_message_is_gone(broker: Broker) -> None:
    publish(broker, b"once", b"kept")
    with broker.consumer(Queue.TASKS, 10) as consumer:
        once, _ = collect(consumer, 2)
        consumer.ack([once])
    with broker.consumer(Queue.TASKS, 10) as consumer:
        assert bodies_of(collect(consumer, 1)) == [b"kept"]
        assert consumer.receive(1, QUIET) == []


def test_acknowledgements_may_come_in_any_order_and_in_batches(broker: Broker) -> None:
    publish(broker, *numbered(6))
    with broker.consumer(Queue.TASKS, 6) as consumer:
        held = collect(consumer, 6)
        consumer.ack([held[4], held[1]])
        consumer.ack([])
        consumer.ack([held[5]])
    with broker.consumer(Queue.TASKS, 6) as consumer:
        assert sorted(bodies_of(collect(consumer, 3))) == [b"0", b"2", b"3"]
        assert consumer.receive(1, QUIET) == []


def test_what_is_not_acknowledged_is_delivered_to_another_when_its_consumer_closes(broker: Broker) -> None:
    publish(broker, *numbered(3))
    with broker.consumer(Queue.TASKS, 10) as consumer:
        collect(consumer, 3)
    with broker.consumer(Queue.TASKS, 10) as consumer:
        again = collect(consumer, 3)
    assert sorted(bodies_of(again)) == numbered(3)
    assert all(delivery.redeliveries >= 1 for delivery in again)


def test_an_acknowledgement_may_come_from_another_thread(broker: Broker) -> None:
    publish(broker, *numbered(40))
    with broker.consumer(Queue.TASKS, 40) as consumer:
        held = collect(consumer, 40)
        threads = [threading.Thread(target=consumer.ack, args=(held[offset::4],)) for offset in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
    wait_for_depth(broker, 0, 0)


def test_acknowledging_twice_is_harmless(broker: Broker) -> None:
    publish(broker, *numbered(3))
    with broker.consumer(Queue.TASKS, 1) as consumer:
        first = collect(consumer, 1)
        consumer.ack(first)
        consumer.ack(first)
        second = collect(consumer, 1)
        consumer.ack(first)
        consumer.ack([*first, *second, *second])
        assert bodies_of(collect(consumer, 1)) == [b"2"]
        assert consumer.trouble == ""
    wait_for_depth(broker, 1, 0)


def test_acknowledging_after_close_is_harmless(broker: Broker) -> None:
    publish(broker, b"mine")
    consumer = broker.consumer(Queue.TASKS, 1)
    held = collect(consumer, 1)
    consumer.close()
    consumer.ack(held)
    consumer.reject(held[0])
    consumer.resize(5)
    assert consumer.receive(1, 0.0) == []
    wait_for_depth(broker, 1, 0)


def test_an_acknowledgement_by_another_consumer_is_ignored(broker: Broker) -> None:
    publish(broker, b"mine")
    with broker.consumer(Queue.TASKS, 1) as first:
        former = collect(first, 1)
    with broker.consumer(Queue.TASKS, 1) as second:
        collect(second, 1)
        second.ack(former)
        second.reject(former[0])
    wait_for_depth(broker, 1, 0)


def test_closing_a_consumer_twice_is_harmless(broker: Broker) -> None:
    consumer = broker.consumer(Queue.TASKS, 1)
    consumer.close()
    consumer.close()
    assert consumer.receive(1, 0.0) == []


def test_closing_a_consumer_ends_a_receive_that_waits(broker: Broker) -> None:
    consumer = broker.consumer(Queue.TASKS, 1)
    receiver = threading.Thread(target=lambda: consumer.receive(1, 60.0), daemon=True)
    receiver.start()
    consumer.close()
    receiver.join(TIMEOUT)
    assert not receiver.is_alive()


# Dead letters.


def test_a_message_becomes_a_dead_letter_after_exactly_as_many_redeliveries_as_the_limit(broker: Broker) -> None:
    publish(broker, b"poison")
    counted: list[int] = []
    for _ in range(DELIVERY_LIMIT + 1):
        with broker.consumer(Queue.TASKS, 1) as consumer:
            counted.append(collect(consumer, 1)[0].redeliveries)
    assert counted == list(range(DELIVERY_LIMIT + 1))
    wait_for_depth(broker, 0, 1)
    with broker.consumer(Queue.TASKS, 1) as consumer:
        assert consumer.receive(1, QUIET) == []
    with broker.consumer(Queue.DEAD, 1) as consumer:
        dead_letter = collect(consumer, 1)[0]
        consumer.ack([dead_letter])
    assert dead_letter.body == b"poison"
    wait_for_depth(broker, 0, 0)


def test_a_rejected_message_is_a_dead_letter_at_once(broker: Broker) -> None:
    publish(broker, b"bad", b"good")
    with broker.consumer(Queue.TASKS, 10) as consumer, broker.consumer(Queue.DEAD, 10) as dead_consumer:
        bad, _ = collect(consumer, 2)
        consumer.reject(bad)
        dead_letter = collect(dead_consumer, 1)[0]
        assert dead_letter.body == b"bad"
        # RabbitMQ 4 counts the rejected delivery.
        assert dead_letter.redeliveries in {0, 1}
        dead_consumer.ack([dead_letter])
    wait_for_depth(broker, 1, 0)


def test_a_rejected_message_leaves_room_for_another(broker: Broker) -> None:
    publish(broker, *numbered(3))
    with broker.consumer(Queue.TASKS, 1) as consumer:
        for number in range(3):
            [delivery] = collect(consumer, 1)
            assert delivery.body == b"%d" % number
            consumer.reject(delivery)
    wait_for_depth(broker, 0, 3)


def test_a_dead_letter_that_is_not_acknowledged_stays(broker: Broker) -> None:
    publish(broker, b"bad")
    with broker.consumer(Queue.TASKS, 1) as consumer:
        consumer.reject(collect(consumer, 1)[0])
    for _ in range(2):
        with broker.consumer(Queue.DEAD, 1) as dead_consumer:
            assert bodies_of(collect(dead_consumer, 1)) == [b"bad"]
    wait_for_depth(broker, 0, 1)


def test_a_dead_letter_that_is_rejected_is_dropped(broker: Broker) -> None:
    publish(broker, b"bad", b"worse")
    with broker.consumer(Queue.TASKS, 2) as consumer:
        for delivery in collect(consumer, 2):
            consumer.reject(delivery)
    wait_for_depth(broker, 0, 2)
    with broker.consumer(Queue.DEAD, 2) as dead_consumer:
        held = collect(dead_consumer, 2)
        dead_consumer.reject(held[0])
        dead_consumer.ack([held[1]])
    wait_for_depth(broker, 0, 0)


# The broker itself.


def test_the_gauge_counts_the_ready_messages_of_each_queue(broker: Broker) -> None:
    publish(broker, *numbered(12))
    wait_for_depth(broker, 12, 0)
    with broker.consumer(Queue.TASKS, 5) as consumer:
        held = collect(consumer, 5)
        wait_for_depth(broker, 7, 0)
        for delivery in held[:2]:
            consumer.reject(delivery)
        wait_for_depth(broker, 5, 2)
    wait_for_depth(broker, 10, 2)


def test_a_closed_gauge_says_so_and_asks_the_broker_nothing(broker: Broker) -> None:
    with broker.gauge() as gauge:
        wait_until(lambda: _reads(gauge), "the first depth")
    with pytest.raises(BrokerUnavailable, match="the gauge is closed"):
        gauge.read()


def _reads(gauge: DepthGauge) -> bool:
    """Return whether a gauge can be read now."""
    try:
        gauge.read()
    except BrokerUnavailable:
        return False
    return True


def test_preparing_again_changes_nothing(broker: Broker) -> None:
    publish(broker, b"kept")
    broker.prepare()
    broker.prepare()
    assert broker.recreations == 1
    wait_for_depth(broker, 1, 0)


def test_the_process_that_makes_the_tasks_queue_counts_it(unprepared: Broker) -> None:
    assert unprepared.recreations == 0
    with unprepared.consumer(Queue.TASKS, 1) as consumer:
        wait_until(lambda: unprepared.recreations == 1 and not consumer.trouble, "the queue to be made", TIMEOUT)
        unprepared.prepare()
        with unprepared.publisher(lambda _: None) as publisher:
            wait_until(lambda: publisher.available, "the publisher to be connected", TIMEOUT)
    assert unprepared.recreations == 1


def test_a_check_of_a_healthy_broker_passes_again_and_again_and_changes_nothing(broker: Broker) -> None:
    publish(broker, b"good", b"bad")
    with broker.consumer(Queue.TASKS, 2) as consumer:
        consumer.reject(collect(consumer, 2)[1])
    wait_for_depth(broker, 1, 1)
    for _ in range(3):
        broker.check(TIMEOUT)
    wait_for_depth(broker, 1, 1)
    with broker.consumer(Queue.TASKS, 10) as consumer, broker.consumer(Queue.DEAD, 10) as dead_consumer:
        assert [(each.body, each.redeliveries) for each in collect(consumer, 1)] == [(b"good", 1)]
        assert bodies_of(collect(dead_consumer, 1)) == [b"bad"]
        assert consumer.receive(1, QUIET) == []
        assert dead_consumer.receive(1, 0.0) == []


def test_a_check_delivers_nothing_to_other_consumers(broker: Broker) -> None:
    with broker.consumer(Queue.TASKS, 10) as consumer, broker.consumer(Queue.DEAD, 10) as dead_consumer:
        for _ in range(3):
            broker.check(TIMEOUT)
        assert consumer.receive(1, QUIET) == []
        assert dead_consumer.receive(1, 0.0) == []
        publish(broker, b"after")
        assert bodies_of(collect(consumer, 1)) == [b"after"]


def test_a_check_needs_no_queues(unprepared: Broker) -> None:
    unprepared.check(TIMEOUT)
    unprepared.prepare()
    wait_for_depth(unprepared, 0, 0)


def test_a_check_without_time_ends_at_once_and_disturbs_no_other(broker: Broker) -> None:
    with suppress(BrokerUnavailable):
        broker.check(0.0)
    broker.check(TIMEOUT)
    wait_for_depth(broker, 0, 0)


def test_several_checks_may_run_at_once(broker: Broker) -> None:
    failures: list[BrokerError] = []

    def check() -> None:
        try:
            broker.check(TIMEOUT)
        except BrokerError as error:
            failures.append(error)

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    wait_for_depth(broker, 0, 0)


def test_a_check_leaves_no_thread_behind(broker: Broker) -> None:
    before = set(threading.enumerate())
    broker.check(TIMEOUT)
    wait_until(lambda: set(threading.enumerate()) <= before, "the threads to end")


def test_the_description_names_the_broker(broker: Broker) -> None:
    assert broker.description
    assert "\n" not in broker.description


def test_closing_leaves_no_thread_behind(broker: Broker) -> None:
    def threads() -> set[threading.Thread]:
        return set(threading.enumerate())

    before = threads()
    closers: list[Callable[[], None]] = []
    with outbox_of(broker) as outbox, broker.consumer(Queue.TASKS, 1) as consumer, broker.gauge() as gauge:
        outbox.publish([b"one"])
        consumer.ack(collect(consumer, 1))
        gauge.read()
        closers += [outbox.publisher.close, consumer.close, gauge.close]
    for close in closers:
        close()
    wait_until(lambda: threads() <= before, "the threads to end")
