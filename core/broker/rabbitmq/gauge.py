"""Reads how many messages the queues hold, over a connection of its own that stays open."""

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

READ_SECONDS = 3.0
"""How long a read may take."""


class RabbitGauge(DepthGauge):
    """Asks by passive declaration, which needs no plugin."""

    def __init__(self, addresses: Sequence[BrokerAddress]) -> None:
        self._meter = _DepthChannel()
        self._link = ConnectionThread(addresses, self._meter, "gauge")
        self._link.start()

    def read(self) -> Depth:
        """Ask for both counts; in vain and at once when the broker is known to be away."""
        if self._link.failure is not None:
            raise BrokerUnavailable(str(self._link.failure))
        answer: Future[Depth] = Future()
        self._link.call(partial(self._meter.ask, answer))
        try:
            return answer.result(READ_SECONDS)
        except TimeoutError as error:
            raise BrokerUnavailable(self._link.trouble or "RabbitMQ did not say how many messages it holds") from error

    def close(self) -> None:
        """Disconnect."""
        self._link.close()


class _DepthChannel(ChannelHandler):
    """What is done in the thread of the link."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._waiting: list[Future[Depth]] = []
        self._closed = False

    def set_up(self, connection: RabbitConnection, channel: Channel, done: Callable[[], None]) -> None:
        self._channel = channel
        done()
        for answer in self._waiting:
            _ask(channel, answer)

    def lost(self, error: BrokerError) -> None:
        self._channel = None
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            if not answer.done():
                answer.set_exception(BrokerUnavailable(str(error)))

    def turned(self) -> None:
        self._waiting = [answer for answer in self._waiting if not answer.done()]

    def ask(self, answer: Future[Depth]) -> None:
        """Have `answer` filled in as soon as there is a channel."""
        self._waiting.append(answer)
        if self._channel is not None:
            _ask(self._channel, answer)


def _ask(channel: Channel, answer: Future[Depth]) -> None:
    counts: list[int] = []

    def counted(frame: Method) -> None:
        counts.append(frame.method.message_count)
        if len(counts) == 2 and not answer.done():
            answer.set_result(Depth(ready=counts[0], dead=counts[1]))

    # pika keeps the order of the questions, so the first count is of the first queue.
    for queue in (Queue.TASKS, Queue.DEAD):
        channel.queue_declare(queue.value, passive=True, callback=counted)
