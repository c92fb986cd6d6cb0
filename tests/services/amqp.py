"""Helpers for the tests of RabbitMQ, around our publishers and consumers."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import pika
from pika.adapters.blocking_connection import BlockingChannel

from core.broker.base import Consumer, Delivery, Message, Publisher, PublishResult
from tests.services.waiting import wait_until


class PublishResults:
    """Collects the results of messages; given to a publisher as its `on_settled`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.settled: list[PublishResult] = []
        self.batches = 0

    def __call__(self, settled: Sequence[PublishResult]) -> None:
        """Collect a batch."""
        with self._lock:
            self.settled.extend(settled)
            self.batches += 1

    @property
    def tags(self) -> list[int]:
        """The tags in the order in which they were settled, with repetitions."""
        return [each.tag for each in self.settled]

    @property
    def confirmed(self) -> set[int]:
        """The tags that the broker has confirmed."""
        return {each.tag for each in self.settled if each.confirmed}

    @property
    def reasons(self) -> dict[int, str]:
        """The reason why each of the others is not confirmed."""
        return {each.tag: each.reason for each in self.settled if not each.confirmed}

    def wait(self, count: int, seconds: float = 60.0) -> None:
        """Wait until `count` messages are settled."""
        wait_until(lambda: len(self.settled) >= count, f"{count} messages to be settled", seconds)


CONNECT_SECONDS = 60.0
"""Seconds for RabbitMQ to accept a connection, which is slow on a busy machine."""


@contextlib.contextmanager
def raw_channel(url: str) -> Iterator[BlockingChannel]:
    """A plain channel of pika, for what our classes never do."""
    parameters = pika.URLParameters(url)
    parameters.stack_timeout = CONNECT_SECONDS
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def messages(count: int, first: int = 0, body: bytes = b"") -> list[Message]:
    """Make messages tagged from `first` on, each with its tag as its body unless one is given."""
    tags = range(first, first + count)
    return [Message(tag, f"task-{tag}", "echo", body or str(tag).encode()) for tag in tags]


def wait_available(publisher: Publisher, seconds: float = 60.0) -> None:
    """Wait until a publisher can send."""
    wait_until(lambda: publisher.available, "the publisher to be available", seconds)


def wait_connected(consumer: Consumer, seconds: float = 60.0) -> None:
    """Wait until a consumer consumes."""
    wait_until(lambda: not consumer.trouble, "the consumer to be connected", seconds)


def receive_all(consumer: Consumer, count: int, seconds: float = 60.0) -> list[Delivery]:
    """Receive exactly `count` messages."""
    received: list[Delivery] = []

    def complete() -> bool:
        received.extend(consumer.receive(count - len(received), 0.05))
        return len(received) >= count

    wait_until(complete, f"{count} messages to be delivered", seconds)
    return received


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    """Return the bodies of deliveries, in their order."""
    return [delivery.body for delivery in deliveries]
