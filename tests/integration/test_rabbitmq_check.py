"""What a check of RabbitMQ finds out: that it is away, refuses us, hangs or is full, and how long it takes at most.

The tests share a node of their own, which they may do anything to.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import pytest

from core.broker.base import Queue
from core.broker.rabbitmq import RabbitBroker
from core.broker.rabbitmq.broker import CLOSE_WITHIN
from core.errors import BrokerMisconfigured, BrokerUnavailable
from tests.services.amqp import raw_channel
from tests.services.fixtures import MakeRabbitNode
from tests.services.ports import free_port
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq

PATIENCE = 30.0
"""Seconds for a check that is to pass."""

BRIEFLY = 1.0
"""Seconds for a check that can't."""

LEEWAY = 3.0
"""Seconds by which a busy machine may be late."""


@pytest.fixture(scope="module")
def node(make_rabbitmq_node: MakeRabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    node = make_rabbitmq_node(tmp_path_factory.mktemp("check") / "node")
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def url(node: RabbitNode) -> str:
    return node.vhost()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Where connections are made and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done in the block takes no longer, and leaves no thread behind for long."""
    before = set(threading.enumerate())
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds + CLOSE_WITHIN + LEEWAY, took
    wait_until(lambda: set(threading.enumerate()) <= before, "the threads to end", 20.0)


def count(node: RabbitNode, url: str, what: str) -> int:
    """How many of something the virtual host of `url` has, as an Erlang function lists them."""
    answer = node.eval(f'length({what}(<<"{unquote(urlsplit(url).path[1:])}">>)).')
    return int("".join(filter(str.isdigit, answer)))


def at(port: int) -> str:
    return f"amqp://somebody:pass-word@127.0.0.1:{port}/%2F"


def test_a_check_leaves_neither_a_queue_nor_a_connection_of_its_own(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url])
    broker.prepare()
    queues = count(node, url, "rabbit_amqqueue:list")
    assert queues >= len(Queue)
    with within(PATIENCE):
        for _ in range(3):
            broker.check(PATIENCE)
    wait_until(lambda: count(node, url, "rabbit_amqqueue:list") == queues, "the queue of the check to go")
    wait_until(lambda: count(node, url, "rabbit_connection_tracking:list") == 0, "the connection of the check to go")


def test_a_check_passes_when_one_of_several_nodes_is_well(url: str) -> None:
    with within(PATIENCE):
        RabbitBroker([at(free_port()), url]).check(PATIENCE)


def test_a_broker_that_is_away_is_told_at_once(silent_port: int) -> None:
    away = free_port()
    assert away != silent_port
    with within(0.0), pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{away}") as caught:
        RabbitBroker([at(away)]).check(PATIENCE)
    assert "pass-word" not in str(caught.value)


def test_each_node_that_is_away_is_told() -> None:
    ports = [free_port(), free_port()]
    with within(PATIENCE), pytest.raises(BrokerUnavailable) as caught:
        RabbitBroker([at(port) for port in ports]).check(PATIENCE)
    assert all(f":{port}" in str(caught.value) for port in ports)


def test_a_wrong_password_is_something_to_correct(node: RabbitNode) -> None:
    with within(PATIENCE), pytest.raises(BrokerMisconfigured, match="password") as caught:
        RabbitBroker([node.url.replace(node.password, "pass-word")]).check(PATIENCE)
    assert "pass-word" not in str(caught.value)


def test_a_virtual_host_that_is_not_there_is_something_to_correct(node: RabbitNode) -> None:
    with within(PATIENCE), pytest.raises(BrokerMisconfigured, match="virtual host"):
        RabbitBroker([node.url_of("nowhere")]).check(PATIENCE)


def test_a_check_needs_no_more_permissions_than_the_system_does(node: RabbitNode) -> None:
    with within(PATIENCE):
        RabbitBroker([node.vhost("^cauce")]).check(PATIENCE)


def test_a_user_who_lacks_the_permissions_is_something_to_correct(node: RabbitNode) -> None:
    with within(PATIENCE), pytest.raises(BrokerMisconfigured, match="permissions"):
        RabbitBroker([node.vhost("^other")]).check(PATIENCE)


def test_what_accepts_and_says_nothing_is_told_in_time(silent_port: int) -> None:
    with within(BRIEFLY), pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{silent_port}.*in time"):
        RabbitBroker([at(silent_port)]).check(BRIEFLY)


def test_what_speaks_another_protocol_is_told() -> None:
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
            RabbitBroker([at(listener.getsockname()[1])]).check(BRIEFLY)
        server.join(PATIENCE)


def test_a_node_that_hangs_is_told_in_time_and_passes_when_it_goes_on(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url])
    broker.check(PATIENCE)
    node.suspend()
    try:
        with within(BRIEFLY), pytest.raises(BrokerUnavailable, match="in time"):
            broker.check(BRIEFLY)
    finally:
        node.resume()
    broker.check(PATIENCE)


def test_a_node_that_takes_no_messages_for_want_of_memory_is_told_in_time(node: RabbitNode, url: str) -> None:
    broker = RabbitBroker([url])
    broker.check(PATIENCE)
    alarm = "{resource_limit, memory, node()}"
    node.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}}).")
    try:
        with within(BRIEFLY), pytest.raises(BrokerUnavailable):
            broker.check(BRIEFLY)
    finally:
        node.eval(f"rabbit_alarm:clear_alarm({alarm}).")
    broker.check(PATIENCE)


def test_queues_that_somebody_has_made_otherwise_are_something_to_correct(url: str) -> None:
    with raw_channel(url) as channel:
        channel.queue_declare(Queue.TASKS, durable=True)
    with within(PATIENCE), pytest.raises(BrokerMisconfigured, match=str(Queue.TASKS)):
        RabbitBroker([url]).check(PATIENCE)
