"""What a check of RabbitMQ reports: it is unavailable, refuses us, hangs or is full. It keeps to its timeout.

The tests may break their node.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import pytest

from core.broker.base import Queue
from core.broker.rabbitmq import RabbitBroker
from core.errors import BrokerMisconfigured, BrokerUnavailable
from tests.services.amqp import raw_channel
from tests.services.ports import free_port
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq

TIMEOUT = 60.0
"""Seconds for a check that should pass."""

SHORT_TIMEOUT = 1.0
"""Seconds for a check that can't pass."""


@pytest.fixture
def node(own_rabbitmq_node: RabbitNode) -> RabbitNode:
    return own_rabbitmq_node


@pytest.fixture
def url(own_rabbitmq_url: str) -> str:
    return own_rabbitmq_url


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never responds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Check that the block leaves no thread behind for long."""
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before, "the threads to end")


def count(node: RabbitNode, url: str, function: str) -> int:
    """Count what an Erlang function lists for the virtual host of `url`."""
    answer = node.eval(f'length({function}(<<"{unquote(urlsplit(url).path[1:])}">>)).')
    return int("".join(filter(str.isdigit, answer)))


def url_at(port: int) -> str:
    return f"amqp://somebody:pass-word@127.0.0.1:{port}/%2F"


def test_a_check_leaves_neither_a_queue_nor_a_connection_behind(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url])
    broker.prepare()
    queues = count(node, url, "rabbit_amqqueue:list")
    assert queues >= len(Queue)
    with no_thread_left():
        for _ in range(3):
            broker.check(TIMEOUT)
    wait_until(lambda: count(node, url, "rabbit_amqqueue:list") == queues, "the queue of the check to go")
    wait_until(lambda: count(node, url, "rabbit_connection_tracking:list") == 0, "the connection of the check to go")


def test_a_check_passes_when_one_of_several_nodes_does(url: str) -> None:
    with no_thread_left():
        RabbitBroker([url_at(free_port()), url]).check(TIMEOUT)


def test_an_unavailable_broker_is_reported_at_once(silent_port: int) -> None:
    closed_port = free_port()
    assert closed_port != silent_port
    with no_thread_left(), pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{closed_port}") as caught:
        RabbitBroker([url_at(closed_port)]).check(TIMEOUT)
    assert "pass-word" not in str(caught.value)


def test_each_unavailable_node_is_reported() -> None:
    ports = [free_port(), free_port()]
    with no_thread_left(), pytest.raises(BrokerUnavailable) as caught:
        RabbitBroker([url_at(port) for port in ports]).check(TIMEOUT)
    assert all(f":{port}" in str(caught.value) for port in ports)


def test_a_wrong_password_is_misconfigured(node: RabbitNode) -> None:
    with no_thread_left(), pytest.raises(BrokerMisconfigured, match="password") as caught:
        RabbitBroker([node.url.replace(node.password, "pass-word")]).check(TIMEOUT)
    assert "pass-word" not in str(caught.value)


def test_a_virtual_host_that_is_not_there_is_misconfigured(node: RabbitNode) -> None:
    with no_thread_left(), pytest.raises(BrokerMisconfigured, match="virtual host"):
        RabbitBroker([node.url_of("nowhere")]).check(TIMEOUT)


def test_a_check_needs_no_more_permissions_than_the_system_does(node: RabbitNode) -> None:
    with no_thread_left():
        RabbitBroker([node.vhost("^cauce")]).check(TIMEOUT)


def test_a_user_without_the_permissions_is_misconfigured(node: RabbitNode) -> None:
    with no_thread_left(), pytest.raises(BrokerMisconfigured, match="permissions"):
        RabbitBroker([node.vhost("^other")]).check(TIMEOUT)


def test_a_port_that_never_responds_is_reported_in_time(silent_port: int) -> None:
    with no_thread_left(), pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{silent_port}.*in time"):
        RabbitBroker([url_at(silent_port)]).check(SHORT_TIMEOUT)


def test_a_server_of_another_protocol_is_reported() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(100)
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = threading.Thread(target=answer, daemon=True)
        server.start()
        with pytest.raises(BrokerUnavailable):
            RabbitBroker([url_at(listener.getsockname()[1])]).check(SHORT_TIMEOUT)
        server.join(TIMEOUT)


def test_a_node_that_hangs_is_reported_in_time_and_passes_when_it_resumes(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url])
    broker.check(TIMEOUT)
    node.suspend()
    try:
        with no_thread_left(), pytest.raises(BrokerUnavailable, match="in time"):
            broker.check(SHORT_TIMEOUT)
    finally:
        node.resume()
    broker.check(TIMEOUT)


def test_a_node_that_blocks_publishers_is_reported_in_time(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url])
    broker.check(TIMEOUT)
    alarm = "{resource_limit, memory, node()}"
    node.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}}).")
    try:
        with no_thread_left(), pytest.raises(BrokerUnavailable):
            broker.check(SHORT_TIMEOUT)
    finally:
        node.eval(f"rabbit_alarm:clear_alarm({alarm}).")
    broker.check(TIMEOUT)


def test_queues_with_other_settings_are_misconfigured(url: str) -> None:
    with raw_channel(url) as channel:
        channel.queue_declare(Queue.TASKS, durable=True)
    with no_thread_left(), pytest.raises(BrokerMisconfigured, match=str(Queue.TASKS)):
        RabbitBroker([url]).check(TIMEOUT)
