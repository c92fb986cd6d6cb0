"""RabbitMQ as a broker: makes its publishers, consumers and gauges."""

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from pika.channel import Channel

from core.broker.base import Broker, Consumer, DepthGauge, OnPublishResults, Publisher, Queue
from core.broker.rabbitmq.addresses import BrokerAddress, read_addresses
from core.broker.rabbitmq.canary import Canary
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.connection_thread import SETUP_TIMEOUT, ChannelHandler, ConnectionThread
from core.broker.rabbitmq.consumer import RabbitConsumer
from core.broker.rabbitmq.gauge import RabbitGauge
from core.broker.rabbitmq.publisher import RabbitPublisher
from core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable

HEARTBEAT = 15
"""Seconds. A connection that is silent for about twice as long is closed."""

CHECK_CLOSE_TIMEOUT = 1.0
"""Seconds that a check waits for its connection to close. Its thread completes the closing."""

BLOCKED_TIMEOUT = 60.0
"""Seconds for which the broker may block publishers before the connection is closed."""


class RabbitBroker(Broker):
    """A RabbitMQ node, or the nodes of one cluster, which are tried in turn.

    Args:
        urls: amqp:// or amqps:// URLs, each with user name, password and virtual host.
        heartbeat: the heartbeat interval of AMQP, in seconds.
        blocked_timeout: seconds for which the broker may block publishers before the connection is closed.

    Raises:
        ConfigurationError: a URL is invalid; the message does not repeat it.
    """

    def __init__(
        self, urls: Sequence[str], heartbeat: int = HEARTBEAT, blocked_timeout: float = BLOCKED_TIMEOUT
    ) -> None:
        super().__init__()
        self._addresses = read_addresses(urls, heartbeat, blocked_timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.description}>"

    @property
    def description(self) -> str:
        """The addresses, without user name and password."""
        return " or ".join(address.place for address in self._addresses)

    def prepare(self) -> None:
        """Connect to the first address that responds, and declare the queues."""
        check = _ConnectionCheck()
        thread = ConnectionThread(self._addresses, check, "check", self._count_recreation)
        thread.start()
        try:
            _wait_for_success(check.results, self._addresses, 2 * SETUP_TIMEOUT * len(self._addresses))
        finally:
            thread.close()

    def check(self, timeout: float) -> None:
        """Send a canary to the first address that responds, and receive it."""
        canary = Canary()
        thread = ConnectionThread(self._addresses, canary, "canary")
        thread.start()
        try:
            _wait_for_success(canary.results, self._addresses, timeout)
        finally:
            thread.close(CHECK_CLOSE_TIMEOUT)

    def publisher(self, on_settled: OnPublishResults) -> Publisher:
        """Make a publisher, with its own connection and thread."""
        return RabbitPublisher(self._addresses, on_settled, self._count_recreation)

    def consumer(self, queue: Queue, prefetch: int) -> Consumer:
        """Make a consumer, with its own connection and thread."""
        return RabbitConsumer(self._addresses, queue, prefetch, self._count_recreation)

    def gauge(self) -> DepthGauge:
        """Make a gauge, with its own connection and thread."""
        return RabbitGauge(self._addresses)


class _ConnectionCheck(ChannelHandler):
    """A handler that reports the result of each attempt to connect: an error, or None for success."""

    def __init__(self) -> None:
        self.results: SimpleQueue[BrokerError | None] = SimpleQueue()

    def set_up(self, connection: RabbitConnection, channel: Channel, on_ready: Callable[[], None]) -> None:
        on_ready()
        self.results.put(None)

    def connection_lost(self, error: BrokerError) -> None:
        self.results.put(error)

    def flush(self) -> None:
        pass


def _wait_for_success(
    results: SimpleQueue[BrokerError | None], addresses: Sequence[BrokerAddress], timeout: float
) -> None:
    """Return when an address succeeds; raise when one refuses, or when none succeeds in time."""
    failures: list[BrokerError] = []
    deadline = time.monotonic() + timeout
    for address in addresses:
        try:
            error = results.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            error = BrokerUnavailable(f"{address.place}: it did not respond in time")
        if error is None:
            return
        if isinstance(error, BrokerMisconfigured):
            raise error
        failures.append(error)
    raise BrokerUnavailable("; ".join(str(failure) for failure in failures))
