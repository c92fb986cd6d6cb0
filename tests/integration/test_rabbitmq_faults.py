"""A RabbitMQ that blocks, hangs, times out or dies, as publishers and consumers at work see it.

The tests may break their node.
"""

import logging
from collections.abc import Callable, Iterator

import pytest

from core.broker.base import Publisher, Queue
from core.broker.rabbitmq import RabbitBroker
from core.broker.rabbitmq.addresses import read_addresses
from core.broker.rabbitmq.connection_thread import ConnectionThread
from core.broker.rabbitmq.gauge import RabbitGauge
from core.broker.rabbitmq.publisher import RabbitPublisher
from core.errors import BrokerUnavailable
from tests.services.amqp import PublishResults, bodies, messages, receive_all, wait_available, wait_connected
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def node(own_rabbitmq_node: RabbitNode) -> RabbitNode:
    return own_rabbitmq_node


@pytest.fixture
def url(own_rabbitmq_url: str) -> str:
    return own_rabbitmq_url


@pytest.fixture
def memory_alarm(node: RabbitNode) -> Iterator[Callable[[bool], None]]:
    """Sets and clears the alarm at which RabbitMQ blocks publishers."""
    alarm = "{resource_limit, memory, node()}"

    def set_alarm(on: bool) -> None:
        node.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}})." if on else f"rabbit_alarm:clear_alarm({alarm}).")

    yield set_alarm
    set_alarm(False)


def send_until_blocked(publisher: Publisher, first: int = 0) -> int:
    """Send one by one until the publisher is blocked: RabbitMQ only blocks those that send. Returns the next tag."""
    tag = first

    def blocked() -> bool:
        nonlocal tag
        publisher.send(messages(1, first=tag))
        tag += 1
        return not publisher.available

    wait_until(blocked, "the alarm to be noticed")
    return tag


def test_a_blocked_publisher_reports_it_and_resumes_afterwards_while_consuming_never_stops(
    url: str, memory_alarm: Callable[[bool], None]
) -> None:
    broker = RabbitBroker([url])
    results = PublishResults()
    with broker.publisher(results) as publisher, broker.consumer(Queue.TASKS, 5) as consumer:
        wait_available(publisher)
        publisher.send(messages(5))
        results.wait(5)
        memory_alarm(True)
        sent = send_until_blocked(publisher, first=5)
        assert "accepts no messages" in publisher.trouble
        assert "memory" in publisher.trouble
        publisher.send(messages(1, first=sent))
        assert "accepts no messages" in results.reasons[sent]
        received = receive_all(consumer, 5)
        consumer.ack(received)
        assert consumer.trouble == ""
        memory_alarm(False)
        wait_available(publisher)
        results.wait(sent + 1)
        # Messages sent before the alarm was noticed are accepted when it ends.
        assert sorted(results.tags) == list(range(sent + 1))
        for tag in sorted(results.confirmed - set(range(5))):
            delivery = receive_all(consumer, 1)
            assert bodies(delivery) == [str(tag).encode()]
            consumer.ack(delivery)


def test_a_publisher_that_is_blocked_for_too_long_gives_up_what_it_sent(
    url: str, memory_alarm: Callable[[bool], None]
) -> None:
    results = PublishResults()
    with RabbitBroker([url], blocked_timeout=1.0).publisher(results) as publisher:
        wait_available(publisher)
        memory_alarm(True)
        sent = send_until_blocked(publisher)
        results.wait(sent)
        assert sorted(results.tags) == list(range(sent))
        assert any("too long" in reason for reason in results.reasons.values())
        memory_alarm(False)
        wait_available(publisher)


def test_a_blocked_publisher_closes_in_time(url: str, memory_alarm: Callable[[bool], None]) -> None:
    results = PublishResults()
    publisher = RabbitBroker([url]).publisher(results)
    wait_available(publisher)
    memory_alarm(True)
    sent = send_until_blocked(publisher)
    publisher.close(0.5)
    assert sorted(results.tags) == list(range(sent))
    assert any("closed" in reason for reason in results.reasons.values())


@pytest.fixture
def short_consumer_timeout(node: RabbitNode) -> Iterator[None]:
    """Lets RabbitMQ wait one second for an acknowledgement, instead of half an hour."""
    node.eval("application:set_env(rabbit, consumer_timeout, 1000).")
    node.eval("application:set_env(rabbit, channel_tick_interval, 500).")
    yield
    node.eval("application:set_env(rabbit, consumer_timeout, 1800000).")
    node.eval("application:set_env(rabbit, channel_tick_interval, 60000).")


@pytest.mark.usefixtures("short_consumer_timeout")
def test_a_consumer_that_held_a_message_for_too_long_consumes_again(url: str) -> None:
    broker = RabbitBroker([url])
    results = PublishResults()
    with broker.publisher(results) as publisher, broker.consumer(Queue.TASKS, 2) as consumer:
        wait_available(publisher)
        publisher.send(messages(1))
        stale = receive_all(consumer, 1)
        wait_until(lambda: bool(consumer.trouble), "the closed channel to be noticed")
        assert "timed out" in consumer.trouble
        again = receive_all(consumer, 1)
        # On a busy machine its second second may have passed as well.
        assert again[0].redeliveries >= 1
        consumer.ack(stale)
        consumer.ack(again)
    with broker.gauge() as gauge:
        assert gauge.read().ready == 0


def test_an_unexpected_error_of_pika_costs_only_a_connection(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cauce.broker")

    def fail() -> None:
        raise ValueError("Timeout closed before call")

    RabbitBroker([url]).prepare()
    with RabbitGauge(read_addresses([url], 15, 60.0)) as gauge:
        gauge.read()
        thread = next(value for value in vars(gauge).values() if isinstance(value, ConnectionThread))
        for _ in range(3):
            thread.call(fail)
            wait_until(lambda: not thread.is_ready, "the error to be noticed")
            assert "Timeout closed" in thread.trouble
            wait_until(lambda: thread.is_ready, "a new connection")
            gauge.read()
    assert len(caplog.records) == 6


def test_a_broker_that_hangs_is_disconnected_and_used_again_when_it_resumes(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url], heartbeat=1)
    results = PublishResults()
    with broker.publisher(results) as publisher, broker.consumer(Queue.TASKS, 5) as consumer, broker.gauge() as gauge:
        wait_available(publisher)
        wait_connected(consumer)
        gauge.read()
        node.suspend()
        try:
            publisher.send(messages(100))
            with pytest.raises(BrokerUnavailable):
                gauge.read()
            results.wait(100)
            assert not results.confirmed
            assert publisher.trouble
            wait_until(lambda: bool(consumer.trouble), "the consumer to notice")
        finally:
            node.resume()
        wait_available(publisher)
        publisher.send(messages(1, first=100))
        results.wait(101)
        assert results.confirmed == {100}
        # The unconfirmed messages may have arrived as well: delivery is at least once.
        received: list[bytes] = []

        def last_arrived() -> bool:
            deliveries = consumer.receive(10, 0.1)
            consumer.ack(deliveries)
            received.extend(bodies(deliveries))
            return b"100" in received

        wait_until(last_arrived, "the message that was sent afterwards")


def test_what_was_confirmed_outlives_the_power_cut_of_a_broker(
    node: RabbitNode, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cauce.broker")
    broker = RabbitBroker([url])
    results = PublishResults()
    with broker.publisher(results) as publisher, broker.consumer(Queue.DEAD, 5) as consumer:
        wait_available(publisher)
        wait_connected(consumer)
        node.sync_queues()
        sent = 0
        while len(results.confirmed) < 1_000:
            publisher.send(messages(100, first=sent))
            sent += 100
            results.wait(sent - 500)
        node.kill()
        results.wait(sent)
        wait_until(lambda: bool(publisher.trouble and consumer.trouble), "the loss to be noticed")
        node.start()
        wait_available(publisher, 30)
        wait_connected(consumer, 30)
    assert sorted(results.tags) == list(range(sent))
    with broker.gauge() as gauge:
        # RabbitMQ reports 0 while it reads a quorum queue from the disk.
        wait_until(lambda: gauge.read().ready >= len(results.confirmed), "the confirmed messages to be there")
        kept = gauge.read().ready
    with broker.consumer(Queue.TASKS, kept) as consumer:
        received = receive_all(consumer, kept)
    assert {int(body) for body in bodies(received)} >= results.confirmed
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "publisher" in line]) == 2, lines
    assert len([line for line in lines if "consumer" in line]) == 2, lines


def test_a_queue_made_just_before_a_crash_that_has_no_leader_is_recreated(
    node: RabbitNode, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    RabbitBroker([url]).prepare()
    # RabbitMQ stores the place of a new queue within a second; a queue lost before that returns without a leader.
    node.restart()
    broker = RabbitBroker([url])
    with broker.consumer(Queue.TASKS, 5) as consumer:
        wait_until(lambda: not consumer.trouble, "the queue to serve again", 90)
        if "does not respond" in caplog.text:
            assert broker.recreations == 1
        results = PublishResults()
        with broker.publisher(results) as publisher:
            wait_available(publisher)
            publisher.send(messages(3))
            results.wait(3)
            assert results.confirmed == {0, 1, 2}
        assert sorted(bodies(receive_all(consumer, 3))) == [b"0", b"1", b"2"]


def test_a_publisher_whose_messages_are_never_confirmed_reconnects(node: RabbitNode, url: str) -> None:
    RabbitBroker([url]).prepare()
    node.restart()
    results = PublishResults()
    with RabbitPublisher(read_addresses([url], 15, 60.0), results, lambda: None, confirm_timeout=1.0) as publisher:
        wait_available(publisher)
        publisher.send(messages(1))
        results.wait(1, 30)
        assert results.confirmed or "confirmed nothing" in results.reasons[0]
