"""RabbitMQ as it is configured: makes publishers, consumers and gauges."""

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from pika.channel import Channel

from core.broker.base import Broker, Consumer, DepthGauge, OnPublishResults, Publisher, Queue
from core.broker.rabbitmq.addresses import BrokerAddress, read_addresses
from core.broker.rabbitmq.canary import Canary
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.connection_thread import SETUP_SECONDS, ChannelHandler, ConnectionThread
from core.broker.rabbitmq.consumer import RabbitConsumer
from core.broker.rabbitmq.gauge import RabbitGauge
from core.broker.rabbitmq.publisher import RabbitPublisher
from core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable

HEARTBEAT = 15
"""Seconds. A connection on which nothing came for about twice as long is given up."""

CLOSE_WITHIN = 1.0
"""Seconds that the end of a check's connection is waited for; the rest of it happens by itself."""

BLOCKED_SECONDS = 60.0
"""How long the broker may refuse to take messages before what it did not confirm is given up."""


class RabbitBroker(Broker):
    """One RabbitMQ, or the nodes of one cluster, which are tried in turn.

    Args:
        urls: amqp:// or amqps://, each with name, password and virtual host.
        heartbeat: seconds between signs of life.
        blocked_timeout: how long the broker may take no messages before the connection is given up.

    Raises:
        ConfigurationError: a URL can't be read; the message does not repeat it.
    """

    def __init__(
        self, urls: Sequence[str], heartbeat: int = HEARTBEAT, blocked_timeout: float = BLOCKED_SECONDS
    ) -> None:
        super().__init__()
        self._addresses = read_addresses(urls, heartbeat, blocked_timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.description}>"

    @property
    def description(self) -> str:
        """Which RabbitMQ, without user name and password."""
        return " or ".join(address.place for address in self._addresses)

    def prepare(self) -> None:
        """Connect to the first of the addresses that answers and declare the queues."""
        knock = _ConnectionCheck()
        link = ConnectionThread(self._addresses, knock, "check", self._count_recreation)
        link.start()
        try:
            _await_answer(knock.answers, self._addresses, 2 * SETUP_SECONDS * len(self._addresses))
        finally:
            link.close()

    def check(self, timeout: float) -> None:
        """Send a canary to the first of the addresses that answers, and get it back."""
        canary = Canary()
        link = ConnectionThread(self._addresses, canary, "canary")
        link.start()
        try:
            _await_answer(canary.answers, self._addresses, timeout)
        finally:
            link.close(CLOSE_WITHIN)

    def publisher(self, on_settled: OnPublishResults) -> Publisher:
        """Make a publisher, with a connection and a thread of its own."""
        return RabbitPublisher(self._addresses, on_settled, self._count_recreation)

    def consumer(self, queue: Queue, prefetch: int) -> Consumer:
        """Make a consumer, with a connection and a thread of its own."""
        return RabbitConsumer(self._addresses, queue, prefetch, self._count_recreation)

    def gauge(self) -> DepthGauge:
        """Make a gauge, with a connection and a thread of its own."""
        return RabbitGauge(self._addresses)


class _ConnectionCheck(ChannelHandler):
    """Does nothing with a connection but tell how each try at one went: None for well."""

    def __init__(self) -> None:
        self.answers: SimpleQueue[BrokerError | None] = SimpleQueue()

    def set_up(self, connection: RabbitConnection, channel: Channel, done: Callable[[], None]) -> None:
        done()
        self.answers.put(None)

    def lost(self, error: BrokerError) -> None:
        self.answers.put(error)

    def turned(self) -> None:
        pass


def _await_answer(answers: SimpleQueue[BrokerError | None], addresses: Sequence[BrokerAddress], timeout: float) -> None:
    """Return when one of the addresses answers well; raise when one refuses, or when none answers."""
    failures: list[BrokerError] = []
    deadline = time.monotonic() + timeout
    for address in addresses:
        try:
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            answer = BrokerUnavailable(f"{address.place}: it did not answer in time")
        if answer is None:
            return
        if isinstance(answer, BrokerMisconfigured):
            raise answer
        failures.append(answer)
    raise BrokerUnavailable("; ".join(str(failure) for failure in failures))
