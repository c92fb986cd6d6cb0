"""What Cauce declares on a real RabbitMQ, and the errors when RabbitMQ refuses."""

import logging
import socket
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from core.broker.base import Queue
from core.broker.rabbitmq import RabbitBroker
from core.broker.rabbitmq.topology import ARGUMENTS, DEAD_EXCHANGE, EXCHANGE
from core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable, ConfigurationError
from core.model import Depth
from tests.services.amqp import PublishResults, messages, raw_channel, wait_available
from tests.services.ports import free_port
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq


def test_preparing_twice_declares_durable_quorum_queues_once(rabbitmq_url: str) -> None:
    broker = RabbitBroker([rabbitmq_url])
    broker.prepare()
    broker.prepare()
    with raw_channel(rabbitmq_url) as channel:
        for exchange in (EXCHANGE, DEAD_EXCHANGE):
            channel.exchange_declare(exchange, passive=True)
        for queue in Queue:
            # Refused unless every argument is the same.
            channel.queue_declare(queue.value, durable=True, arguments=dict(ARGUMENTS[queue]))
    assert ARGUMENTS[Queue.TASKS]["x-queue-type"] == ARGUMENTS[Queue.DEAD]["x-queue-type"] == "quorum"
    assert all(int(arguments["x-delivery-limit"]) > 0 for arguments in ARGUMENTS.values())


def test_the_depth_of_both_queues_is_read_over_a_connection_that_stays(
    rabbitmq_url: str, rabbitmq_node: RabbitNode
) -> None:
    broker = RabbitBroker([rabbitmq_url])
    results = PublishResults()
    broker.prepare()
    with broker.gauge() as gauge, broker.publisher(results) as publisher:
        assert gauge.read() == Depth(ready=0, dead=0)
        wait_available(publisher)
        publisher.send(messages(5))
        results.wait(5)
        with broker.consumer(Queue.TASKS, 1) as consumer:
            consumer.reject(consumer.receive(1, 10)[0])
            wait_until(lambda: gauge.read().dead == 1, "the dead letter to arrive")
        wait_until(lambda: gauge.read() == Depth(ready=4, dead=1), "the unacknowledged messages to be requeued")
        rabbitmq_node.cut(rabbitmq_url)
        wait_until(lambda: _readable(gauge.read), "the gauge to be connected again")
        assert gauge.read() == Depth(ready=4, dead=1)


def test_a_gauge_makes_no_queue_and_reads_once_there_is_one(rabbitmq_url: str) -> None:
    with RabbitBroker([rabbitmq_url]).gauge() as gauge:
        with pytest.raises(BrokerUnavailable, match="queues of Cauce do not exist yet"):
            gauge.read()
        broker = RabbitBroker([rabbitmq_url])
        broker.prepare()
        assert broker.recreations == 1
        wait_until(lambda: _readable(gauge.read), "the queue to be seen")
        assert gauge.read() == Depth(ready=0, dead=0)


def test_the_process_that_makes_the_tasks_queue_counts_it(rabbitmq_url: str) -> None:
    first, second = RabbitBroker([rabbitmq_url]), RabbitBroker([rabbitmq_url])
    with first.consumer(Queue.TASKS, 1) as consumer:
        wait_until(lambda: not consumer.trouble, "the consumer to be connected")
        assert first.recreations == 1
        with second.publisher(PublishResults()) as publisher:
            wait_until(lambda: publisher.available, "the publisher to be connected")
        assert second.recreations == 0
        with raw_channel(rabbitmq_url) as channel:
            channel.queue_delete(Queue.TASKS.value)
        wait_until(lambda: first.recreations == 2, "the consumer to make the queue again")


def _readable(read: Callable[[], Depth]) -> bool:
    try:
        read()
    except BrokerUnavailable:
        return False
    return True


def _classic_queue(channel: BlockingChannel) -> None:
    channel.queue_declare(Queue.TASKS.value, durable=True)


def _other_limit(channel: BlockingChannel) -> None:
    arguments = {**ARGUMENTS[Queue.TASKS], "x-delivery-limit": 3}
    channel.queue_declare(Queue.TASKS.value, durable=True, arguments=arguments)


def _other_dead_queue(channel: BlockingChannel) -> None:
    channel.queue_declare(Queue.DEAD.value, durable=True, arguments={"x-max-length": 10})


def _other_exchange(channel: BlockingChannel) -> None:
    channel.exchange_declare(EXCHANGE, "topic", durable=True)


@pytest.mark.parametrize(
    ("prepare", "named"),
    [
        (_classic_queue, "queue cauce.tasks"),
        (_other_limit, "queue cauce.tasks"),
        (_other_dead_queue, "queue cauce.dead"),
        (_other_exchange, "exchange cauce "),
    ],
)
def test_other_settings_are_refused_with_an_error_that_names_them(
    prepare: Callable[[BlockingChannel], None], named: str, rabbitmq_url: str
) -> None:
    with raw_channel(rabbitmq_url) as channel:
        prepare(channel)
    with pytest.raises(BrokerMisconfigured, match=f"has a {named}.*other settings.*delete it") as raised:
        RabbitBroker([rabbitmq_url]).prepare()
    _assert_no_secret(str(raised.value), rabbitmq_url)


def test_a_running_publisher_reports_the_problem_and_resumes_when_it_is_solved(rabbitmq_url: str) -> None:
    with raw_channel(rabbitmq_url) as channel:
        _classic_queue(channel)
        with RabbitBroker([rabbitmq_url]).publisher(PublishResults()) as publisher:
            wait_until(lambda: "other settings" in publisher.trouble, "the refusal")
            assert not publisher.available
            channel.queue_delete(Queue.TASKS.value)
            wait_available(publisher)
            assert publisher.trouble == ""


def test_missing_permissions_are_reported(rabbitmq_node: RabbitNode) -> None:
    url = rabbitmq_node.vhost(permissions="^other")
    with pytest.raises(BrokerMisconfigured, match=r"permissions configure, write and read.*cauce"):
        RabbitBroker([url]).prepare()


def test_a_missing_virtual_host_is_reported(rabbitmq_node: RabbitNode) -> None:
    with pytest.raises(BrokerMisconfigured, match="virtual host does not exist") as raised:
        RabbitBroker([rabbitmq_node.url_of("no/such host")]).prepare()
    assert "no/such host" in str(raised.value)


def test_a_wrong_password_is_reported_and_shown_nowhere(
    rabbitmq_node: RabbitNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cauce")
    url = f"amqp://{rabbitmq_node.user}:hunter2@127.0.0.1:{rabbitmq_node.port}/"
    broker = RabbitBroker([url])
    with pytest.raises(BrokerMisconfigured, match="user name or the password") as raised:
        broker.prepare()
    shown = [repr(broker), broker.description, str(raised.value), repr(raised.value), caplog.text]
    with (
        broker.publisher(PublishResults()) as publisher,
        broker.consumer(Queue.TASKS, 1) as consumer,
        broker.gauge() as gauge,
    ):
        wait_until(lambda: "password" in publisher.trouble and "password" in consumer.trouble, "the refusals")
        wait_until(lambda: not _readable(gauge.read), "the gauge to be refused")
        shown += [publisher.trouble, consumer.trouble, repr(vars(broker)), *_error_of(gauge.read)]
    assert not [text for text in shown if "hunter2" in text]


def _error_of(read: Callable[[], Depth]) -> list[str]:
    with pytest.raises(BrokerError) as raised:
        read()
    return [str(raised.value), repr(raised.value)]


def _assert_no_secret(text: str, url: str) -> None:
    assert url.split("@")[0].split(":")[-1] not in text


@pytest.mark.parametrize(
    "url", ["", "http://user:hunter2@localhost/", "amqp://user:hunter2@localhost:port/", "user:hunter2@localhost"]
)
def test_an_invalid_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="amqp://USER:PASSWORD@HOST:PORT/VHOST") as raised:
        RabbitBroker([url])
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_an_empty_list_of_urls_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        RabbitBroker([])


def test_the_nodes_of_a_cluster_are_tried_in_turn(rabbitmq_url: str) -> None:
    closed_port = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    broker = RabbitBroker([closed_port, rabbitmq_url])
    broker.prepare()
    with broker.publisher(PublishResults()) as publisher:
        wait_available(publisher)


def test_when_no_node_responds_the_error_names_each_and_why() -> None:
    ports = [free_port(), free_port()]
    broker = RabbitBroker([f"amqp://guest:guest@127.0.0.1:{port}/" for port in ports])
    with pytest.raises(BrokerUnavailable, match=f"{ports[0]}.*refused.*{ports[1]}.*refused"):
        broker.prepare()
    with broker.gauge() as gauge:
        wait_until(lambda: not _readable(gauge.read), "the gauge to give up")


def test_a_broker_that_accepts_and_never_responds_costs_a_few_seconds_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = RabbitBroker([f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}/"])
        with pytest.raises(BrokerUnavailable):
            broker.prepare()
        results = PublishResults()
        with broker.publisher(results) as publisher:
            publisher.send(messages(1))
            assert "connect" in results.reasons[0]
