"""Publishing to a real RabbitMQ: confirmed means kept, and nothing is settled twice or never."""

import threading
from collections.abc import Iterator

import pytest
from pika import BasicProperties
from pika.exceptions import ChannelClosedByBroker

from core.broker.base import Publisher, Queue
from core.broker.rabbitmq import RabbitBroker
from core.broker.rabbitmq.addresses import read_addresses
from core.broker.rabbitmq.publisher import RabbitPublisher
from tests.services.amqp import PublishResults, messages, raw_channel, receive_all, wait_available
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def broker(rabbitmq_url: str) -> RabbitBroker:
    return RabbitBroker([rabbitmq_url], heartbeat=2)


@pytest.fixture
def results() -> PublishResults:
    return PublishResults()


@pytest.fixture
def publisher(broker: RabbitBroker, results: PublishResults) -> Iterator[Publisher]:
    with broker.publisher(results) as publisher:
        wait_available(publisher)
        yield publisher


def depth(url: str, queue: Queue = Queue.TASKS) -> int:
    with raw_channel(url) as channel:
        return int(channel.queue_declare(queue.value, passive=True).method.message_count)


def test_what_is_confirmed_is_on_the_queue_with_its_properties(
    publisher: Publisher, results: PublishResults, rabbitmq_url: str
) -> None:
    publisher.send(messages(1))
    results.wait(1)
    assert results.confirmed == {0}
    with raw_channel(rabbitmq_url) as channel:
        method, properties, body = channel.basic_get(Queue.TASKS.value)
        assert method is not None
        assert body == b"0"
        assert isinstance(properties, BasicProperties)
        assert (properties.message_id, properties.type) == ("task-0", "echo")
        assert (properties.delivery_mode, properties.content_type) == (2, "application/json")


def test_ten_thousand_messages_are_each_confirmed_once_and_reported_in_batches(
    publisher: Publisher, results: PublishResults, rabbitmq_url: str
) -> None:
    for first in range(0, 10_000, 500):
        publisher.send(messages(500, first))
    results.wait(10_000)
    assert sorted(results.tags) == list(range(10_000))
    assert results.confirmed == set(range(10_000))
    assert results.batches < 2_000
    assert depth(rabbitmq_url) == 10_000


def test_a_body_of_many_frames_arrives_whole(
    publisher: Publisher, results: PublishResults, broker: RabbitBroker
) -> None:
    body = bytes(range(256)) * 4_096 * 2
    publisher.send([*messages(1, body=body), *messages(1, first=1)])
    results.wait(2)
    with broker.consumer(Queue.TASKS, 10) as consumer:
        assert [delivery.body for delivery in receive_all(consumer, 2)] == [body, b"1"]


def test_before_it_is_connected_messages_are_refused_at_once(rabbitmq_url: str, results: PublishResults) -> None:
    with RabbitBroker([rabbitmq_url]).publisher(results) as publisher:
        publisher.send(messages(3))
        # A fast machine may have connected already: each is settled either way.
        results.wait(3)
        assert sorted(results.tags) == [0, 1, 2]
        wait_available(publisher)
        assert publisher.trouble == ""


def test_a_message_without_a_queue_is_not_confirmed_and_the_queue_is_recreated(
    publisher: Publisher, results: PublishResults, rabbitmq_url: str
) -> None:
    with raw_channel(rabbitmq_url) as channel:
        channel.queue_delete(Queue.TASKS.value)
    publisher.send(messages(500))
    results.wait(500)
    # The broker has confirmed them all; those that it returned are lost, and reported as not confirmed.
    assert 0 in results.reasons
    assert "no queue" in results.reasons[0]

    def is_back() -> bool:
        try:
            return depth(rabbitmq_url) == len(results.confirmed)
        except ChannelClosedByBroker:
            return False

    wait_until(is_back, "the queue to be back with the confirmed messages")
    sent = 500

    def confirmed() -> bool:
        nonlocal sent
        publisher.send(messages(1, first=sent))
        sent += 1
        results.wait(sent)
        return sent - 1 in results.confirmed

    wait_until(confirmed, "a message to be confirmed again")


def test_a_message_that_the_queue_has_no_room_for_is_not_confirmed(
    publisher: Publisher, results: PublishResults, rabbitmq_url: str, rabbitmq_node: RabbitNode
) -> None:
    rabbitmq_node.limit_length(rabbitmq_url, 3)
    sent = 0

    def refused() -> bool:
        nonlocal sent
        publisher.send(messages(10, first=sent))
        sent += 10
        results.wait(sent)
        return bool(results.reasons)

    wait_until(refused, "a message to be refused for want of room")
    assert all("nack" in reason for reason in results.reasons.values())
    assert depth(rabbitmq_url) == len(results.confirmed)


def test_when_the_connection_breaks_each_unconfirmed_message_is_settled_once(
    publisher: Publisher, results: PublishResults, rabbitmq_url: str, rabbitmq_node: RabbitNode
) -> None:
    sent = 0
    for _ in range(3):
        publisher.send(messages(2_000, first=sent))
        rabbitmq_node.cut(rabbitmq_url)
        publisher.send(messages(2_000, first=sent + 2_000))
        sent += 4_000
        results.wait(sent)
        wait_available(publisher)
    assert sorted(results.tags) == list(range(sent))
    assert depth(rabbitmq_url) >= len(results.confirmed)
    publisher.send(messages(1, first=sent))
    results.wait(sent + 1)
    assert sent in results.confirmed


def test_sending_from_one_thread_while_another_closes_settles_everything_once(broker: RabbitBroker) -> None:
    for _ in range(5):
        results = PublishResults()
        publisher = broker.publisher(results)
        wait_available(publisher)
        started = threading.Event()

        def send(publisher: Publisher = publisher, started: threading.Event = started) -> None:
            for first in range(0, 5_000, 50):
                publisher.send(messages(50, first))
                started.set()

        thread = threading.Thread(target=send)
        thread.start()
        assert started.wait(10)
        publisher.close()
        thread.join()
        results.wait(5_000)
        assert sorted(results.tags) == list(range(5_000))


def test_closing_waits_for_the_confirms(broker: RabbitBroker, rabbitmq_url: str) -> None:
    results = PublishResults()
    with broker.publisher(results) as publisher:
        wait_available(publisher)
        publisher.send(messages(3_000))
    assert results.confirmed == set(range(3_000))
    assert not publisher.available
    publisher.send(messages(1, first=3_000))
    assert "closed" in results.reasons[3_000]
    publisher.close()
    assert depth(rabbitmq_url) == 3_000


def test_messages_beyond_the_limit_are_refused_at_once(rabbitmq_url: str, results: PublishResults) -> None:
    with RabbitPublisher(read_addresses([rabbitmq_url], 15, 60.0), results, lambda: None, limit=100) as publisher:
        wait_available(publisher)
        publisher.send(messages(150))
        results.wait(150)
        assert sorted(results.reasons) == list(range(100, 150))
        publisher.send(messages(100, first=150))
        results.wait(250)
        assert results.confirmed == {*range(100), *range(150, 250)}


def test_a_failing_callback_does_not_end_the_publisher(
    broker: RabbitBroker, caplog: pytest.LogCaptureFixture, results: PublishResults
) -> None:
    def fail_first(settled: object) -> None:
        if not calls:
            calls.append(settled)
            raise ZeroDivisionError
        calls.append(settled)

    calls: list[object] = []
    with broker.publisher(fail_first) as publisher:
        wait_available(publisher)
        publisher.send(messages(1))
        wait_until(lambda: len(calls) == 1, "the first message to be settled")
        publisher.send(messages(1, first=1))
        wait_until(lambda: len(calls) == 2, "the second message to be settled")
    assert "could not be noted" in caplog.text


def test_an_idle_publisher_keeps_its_connection(rabbitmq_url: str, results: PublishResults) -> None:
    with RabbitBroker([rabbitmq_url], heartbeat=1).publisher(results) as publisher:
        wait_available(publisher)
        waited = threading.Event()
        # Longer than the broker waits for a heartbeat. Nothing happens, so there is no state to wait for.
        assert not waited.wait(4.0)
        assert publisher.available
        publisher.send(messages(1))
        results.wait(1)
        assert results.confirmed == {0}
