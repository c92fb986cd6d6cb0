"""Consuming from a real RabbitMQ: no unacknowledged message is lost, and no other is acknowledged."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from core.broker.base import DELIVERY_LIMIT, Consumer, Delivery, Queue
from core.broker.rabbitmq import RabbitBroker
from core.broker.rabbitmq.consumer_channel import count_redeliveries
from tests.services.amqp import (
    PublishResults,
    bodies,
    messages,
    raw_channel,
    receive_all,
    wait_available,
    wait_connected,
)
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def broker(rabbitmq_url: str) -> RabbitBroker:
    return RabbitBroker([rabbitmq_url], heartbeat=2)


@pytest.fixture
def consumer(broker: RabbitBroker) -> Iterator[Consumer]:
    with broker.consumer(Queue.TASKS, 10) as consumer:
        wait_connected(consumer)
        yield consumer


def publish(broker: RabbitBroker, count: int, first: int = 0) -> None:
    results = PublishResults()
    with broker.publisher(results) as publisher:
        wait_available(publisher)
        publisher.send(messages(count, first))
        results.wait(count)
    assert len(results.confirmed) == count


def check_left(broker: RabbitBroker, *expected: int, queue: Queue = Queue.TASKS) -> None:
    """Take all messages from a queue and check that they are the expected ones."""
    with broker.gauge() as gauge:

        def count() -> int:
            depth = gauge.read()
            return depth.ready if queue is Queue.TASKS else depth.dead

        wait_until(lambda: count() == len(expected), f"{len(expected)} messages to be left")
    with broker.consumer(queue, len(expected) + 1) as consumer:
        wait_connected(consumer)
        received = receive_all(consumer, len(expected))
        assert consumer.receive(1, 0.05) == []
    assert sorted(bodies(received), key=int) == numbers(*expected)


def numbers(*values: int) -> list[bytes]:
    return [str(value).encode() for value in values]


def test_many_are_received_at_once_and_acknowledged_for_good(broker: RabbitBroker) -> None:
    publish(broker, 1_000)
    with broker.consumer(Queue.TASKS, 500) as consumer:
        received = receive_all(consumer, 500)
        assert bodies(received) == numbers(*range(500))
        assert {delivery.redeliveries for delivery in received} == {0}
        consumer.ack(received)
    # Closing sends the acknowledgements made before, and requeues the rest.
    check_left(broker, *range(500, 1_000))


def test_acknowledging_out_of_order_covers_nothing_else(broker: RabbitBroker, consumer: Consumer) -> None:
    publish(broker, 10)
    received = receive_all(consumer, 10)
    consumer.ack([received[index] for index in (7, 3, 1)])
    consumer.ack([received[0]])
    consumer.ack([received[3], received[0]])
    consumer.close()
    check_left(broker, 2, 4, 5, 6, 8, 9)


def test_threads_may_acknowledge_at_the_same_time(broker: RabbitBroker) -> None:
    publish(broker, 2_000)
    with broker.consumer(Queue.TASKS, 2_000) as consumer:
        received = receive_all(consumer, 2_000)

        def acknowledge(deliveries: list[Delivery]) -> None:
            for delivery in deliveries:
                consumer.ack([delivery])

        # Every eighth stays: seven threads acknowledge the others.
        shares = [received[offset::8] for offset in range(7)]
        threads = [threading.Thread(target=acknowledge, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check_left(broker, *range(7, 2_000, 8))


def test_no_more_than_the_prefetch_is_held(broker: RabbitBroker, consumer: Consumer) -> None:
    publish(broker, 30)
    received = receive_all(consumer, 10)
    assert consumer.receive(10, 0.2) == []
    consumer.ack(received[:4])
    assert bodies(receive_all(consumer, 4)) == numbers(10, 11, 12, 13)
    assert consumer.receive(10, 0.2) == []


def test_growing_lets_exactly_the_difference_come_and_redelivers_nothing(
    broker: RabbitBroker, consumer: Consumer
) -> None:
    publish(broker, 60)
    received = receive_all(consumer, 10)
    for prefetch, more in ((11, 1), (25, 14)):
        consumer.resize(prefetch)
        received += receive_all(consumer, more)
        assert consumer.receive(100, 0.2) == []
    consumer.ack(received)
    received = receive_all(consumer, 25)
    assert consumer.receive(100, 0.2) == []
    assert {delivery.redeliveries for delivery in received} == {0}


def test_shrinking_counts_unacknowledged_messages(broker: RabbitBroker, consumer: Consumer) -> None:
    publish(broker, 30)
    held = receive_all(consumer, 10)
    consumer.resize(3)
    consumer.ack(held[:7])
    assert consumer.receive(100, 0.2) == []
    consumer.ack(held[7:9])
    received = receive_all(consumer, 2)
    assert consumer.receive(100, 0.2) == []
    # One long task occupies a place, and two places remain for the others.
    for _ in range(3):
        consumer.ack(received)
        received = receive_all(consumer, 2)
    consumer.ack([held[9]])
    received += receive_all(consumer, 1)
    assert consumer.receive(100, 0.2) == []


def test_a_prefetch_set_before_there_is_a_connection_counts(broker: RabbitBroker) -> None:
    publish(broker, 10)
    with broker.consumer(Queue.TASKS, 1) as consumer:
        consumer.resize(4)
        receive_all(consumer, 4)
        assert consumer.receive(100, 0.2) == []


def test_resizing_under_load_loses_nothing_and_delivers_nothing_twice(broker: RabbitBroker, consumer: Consumer) -> None:
    publish(broker, 5_000)
    sizes = itertools.cycle((50, 1, 200, 7))
    seen: list[bytes] = []

    def drained() -> bool:
        received = consumer.receive(100, 0.2)
        seen.extend(bodies(received))
        consumer.ack(received)
        consumer.resize(next(sizes))
        return len(seen) >= 5_000

    wait_until(drained, "all messages to be delivered")
    assert sorted(seen, key=int) == numbers(*range(5_000))
    assert consumer.receive(1, 0.1) == []


def test_an_acknowledgement_of_a_former_connection_touches_no_other_message(
    broker: RabbitBroker, rabbitmq_url: str, rabbitmq_node: RabbitNode
) -> None:
    publish(broker, 3)
    with broker.consumer(Queue.TASKS, 2) as consumer:
        stale = receive_all(consumer, 2)
        assert [consumer.holds(delivery) for delivery in stale] == [True, True]
        rabbitmq_node.cut(rabbitmq_url)
        again = receive_all(consumer, 2)
        assert [consumer.holds(delivery) for delivery in (*stale, *again)] == [False, False, True, True]
        # Both have the same tags, which may stand for other messages on the new connection.
        consumer.ack(stale)
        consumer.reject(stale[0])
    assert sorted(delivery.redeliveries for delivery in again) >= [0, 1]
    check_left(broker, 0, 1, 2)
    check_left(broker, queue=Queue.DEAD)


def test_messages_of_a_lost_connection_are_received_only_from_the_new_one(
    broker: RabbitBroker, rabbitmq_url: str, rabbitmq_node: RabbitNode, consumer: Consumer
) -> None:
    publish(broker, 10)
    received = consumer.receive(1, 10)
    rabbitmq_node.cut(rabbitmq_url)
    wait_until(lambda: bool(consumer.trouble), "the loss to be noticed")
    wait_connected(consumer)
    received = receive_all(consumer, 10)
    assert sorted(bodies(received), key=int) == numbers(*range(10))
    assert {delivery.redeliveries for delivery in received} == {1}
    consumer.ack(received)
    consumer.close()
    check_left(broker)


def test_a_rejected_message_is_a_dead_letter_at_once_and_can_be_dropped_there(
    broker: RabbitBroker, consumer: Consumer
) -> None:
    publish(broker, 3)
    received = receive_all(consumer, 3)
    consumer.reject(received[1])
    consumer.ack([received[0], received[2]])
    with broker.consumer(Queue.DEAD, 10) as dead:
        dead_letters = receive_all(dead, 1)
        assert bodies(dead_letters) == numbers(1)
        dead.reject(dead_letters[0])
    consumer.close()
    check_left(broker)
    check_left(broker, queue=Queue.DEAD)


def test_a_message_that_is_redelivered_too_often_is_a_dead_letter(broker: RabbitBroker) -> None:
    publish(broker, 1)
    for times in range(DELIVERY_LIMIT + 1):
        with broker.consumer(Queue.TASKS, 1) as consumer:
            assert [delivery.redeliveries for delivery in receive_all(consumer, 1)] == [times]
    check_left(broker, 0, queue=Queue.DEAD)
    check_left(broker)


def test_a_deleted_queue_is_recreated_and_consumed(broker: RabbitBroker, rabbitmq_url: str, consumer: Consumer) -> None:
    publish(broker, 2)
    stale = receive_all(consumer, 2)
    with raw_channel(rabbitmq_url) as channel:
        channel.queue_delete(Queue.TASKS.value)
    wait_until(lambda: bool(consumer.trouble), "the cancelled consumer to be noticed")
    wait_connected(consumer)
    consumer.ack(stale)
    publish(broker, 1, first=5)
    assert bodies(receive_all(consumer, 1)) == numbers(5)


def test_connections_outlive_a_handler_that_computes_for_long(rabbitmq_url: str) -> None:
    broker = RabbitBroker([rabbitmq_url], heartbeat=1)
    publish(broker, 3)
    with broker.consumer(Queue.TASKS, 3) as consumer:
        received = receive_all(consumer, 3)
        number = 0
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
            number = (number * 31 + 7) % 1_000_003
        assert consumer.trouble == ""
        consumer.ack(received)
    check_left(broker)


@pytest.mark.parametrize(
    ("headers", "redelivered", "expected"),
    [
        (None, False, 0),
        (None, True, 1),
        ({}, True, 1),
        ({"x-delivery-count": 0}, False, 0),
        ({"x-delivery-count": 7}, True, 7),
        ({"x-delivery-count": 7}, False, 0),
        ({"x-delivery-count": "many"}, True, 1),
        ({"x-delivery-count": -3}, False, 0),
    ],
)
def test_redeliveries_are_those_of_the_queue_by_the_flag_and_counted_by_the_header(
    headers: dict[str, object] | None, redelivered: bool, expected: int
) -> None:
    assert count_redeliveries(headers, redelivered) == expected
