"""Reads the depth of the queues, over its own connection, which stays open."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from pika.channel import Channel
from pika.frame import Method

from core.broker.base import DepthGauge, Queue
from core.broker.rabbitmq.addresses import BrokerAddress
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.connection_thread import ChannelHandler, ConnectionThread
from core.errors import BrokerError, BrokerUnavailable
from core.model import Depth

READ_TIMEOUT = 3.0
"""Seconds that a read may take."""


class RabbitGauge(DepthGauge):
    """A gauge that counts messages by passive declarations, which need no plugin."""

    def __init__(self, addresses: Sequence[BrokerAddress]) -> None:
        self._handler = _DepthChannel()
        self._thread = ConnectionThread(addresses, self._handler, "gauge")
        self._closed = False
        self._thread.start()

    def read(self) -> Depth:
        """Count the messages of both queues. Raises at once when the broker is known to be unavailable."""
        if self._closed:
            raise BrokerUnavailable("the gauge is closed")
        if self._thread.failure is not None:
            raise BrokerUnavailable(str(self._thread.failure))
        depth: Future[Depth] = Future()
        self._thread.call(partial(self._handler.request, depth))
        try:
            return depth.result(READ_TIMEOUT)
        except TimeoutError as error:
            raise BrokerUnavailable(
                self._thread.trouble or "RabbitMQ did not return its message counts in time"
            ) from error

    def close(self) -> None:
        """Disconnect."""
        self._closed = True
        self._thread.close()


class _DepthChannel(ChannelHandler):
    """The handler that reads the depth, in the connection's thread."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._pending: list[Future[Depth]] = []

    def set_up(self, connection: RabbitConnection, channel: Channel, on_ready: Callable[[], None]) -> None:
        self._channel = channel
        on_ready()
        for depth in self._pending:
            _count(channel, depth)

    def connection_lost(self, error: BrokerError) -> None:
        self._channel = None
        pending, self._pending = self._pending, []
        for depth in pending:
            if not depth.done():
                depth.set_exception(BrokerUnavailable(str(error)))

    def flush(self) -> None:
        self._pending = [depth for depth in self._pending if not depth.done()]

    def request(self, depth: Future[Depth]) -> None:
        """Set the result of `depth` as soon as there is a channel."""
        self._pending.append(depth)
        if self._channel is not None:
            _count(self._channel, depth)


def _count(channel: Channel, depth: Future[Depth]) -> None:
    counts: list[int] = []

    def on_count(frame: Method) -> None:
        counts.append(frame.method.message_count)
        if len(counts) == 2 and not depth.done():
            depth.set_result(Depth(ready=counts[0], dead=counts[1]))

    # pika keeps the order of requests, so the first count is of the first queue.
    for queue in (Queue.TASKS, Queue.DEAD):
        channel.queue_declare(queue.value, passive=True, callback=on_count)
