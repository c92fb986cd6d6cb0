"""The publisher to the tasks queue, with pipelined publisher confirms."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice

from pika import BasicProperties
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from core.broker.base import Message, OnPublishResults, Publisher, PublishResult, Queue
from core.broker.rabbitmq.addresses import BrokerAddress
from core.broker.rabbitmq.confirms import UnconfirmedMessages
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.connection_thread import CLOSE_TIMEOUT, ChannelHandler, ConnectionThread
from core.broker.rabbitmq.publish_encoder import PublishEncoder, properties_of
from core.broker.rabbitmq.topology import EXCHANGE
from core.errors import BrokerError, BrokerUnavailable

logger = logging.getLogger("cauce.broker")

MAX_UNCONFIRMED = 20_000
"""Messages that may be unconfirmed at once. More are refused, so that memory stays bounded."""

CONFIRM_TIMEOUT = 30.0
"""Seconds without any confirm, while messages wait for one, after which the publisher reconnects."""

_MAX_MESSAGES_PER_WRITE = 256
"""Messages that are sent by one system call."""


class RabbitPublisher(Publisher):
    """A publisher to RabbitMQ, which counts unconfirmed messages, and hands batches over to the connection's thread.

    Args:
        addresses: the addresses to connect to, in turn.
        on_settled: called with the results of messages.
        on_queue_recreated: called, in another thread, when the missing tasks queue was made.
        limit: the number of messages that may be unconfirmed at once.
        confirm_timeout: seconds without any confirm after which it reconnects.
    """

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        on_settled: OnPublishResults,
        on_queue_recreated: Callable[[], None],
        limit: int = MAX_UNCONFIRMED,
        confirm_timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        self._handler = _PublisherChannel(on_settled, self._on_stuck, confirm_timeout)
        self._thread = ConnectionThread(addresses, self._handler, "publisher", on_queue_recreated)
        self._limit = limit
        self._sent = 0
        self._closed = False
        self._thread.start()

    @property
    def available(self) -> bool:
        """Whether messages can be sent now."""
        return self._thread.is_ready and not self._closed

    @property
    def trouble(self) -> str:
        """The reason why it is not available."""
        return "the publisher is closed" if self._closed else self._thread.trouble

    def send(self, messages: Sequence[Message]) -> None:
        """Hand a batch over to the connection's thread. Messages beyond the limit are refused at once."""
        if not self.available:
            self._refuse(messages, self.trouble or "RabbitMQ is not connected")
            return
        free = max(0, self._limit - (self._sent - self._handler.settled))
        if len(messages) > free:
            self._refuse(messages[free:], f"{self._limit} messages are waiting for a confirm of RabbitMQ")
        accepted = tuple(messages[:free])
        if accepted:
            self._sent += len(accepted)
            self._thread.call(partial(self._handler.publish, accepted))

    def close(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for the outstanding confirms, and disconnect."""
        self._closed = True
        idle = threading.Event()
        self._thread.call(partial(self._handler.notify_when_idle, idle))
        idle.wait(timeout)
        self._thread.close(2 * CLOSE_TIMEOUT + 1)

    def _on_stuck(self, error: BrokerError) -> None:
        # A broker that blocks publishers has reported it, and has its own timeout.
        if self._thread.is_ready:
            self._thread.reconnect(error)

    def _refuse(self, messages: Iterable[Message], reason: str) -> None:
        settled = [PublishResult(message.tag, confirmed=False, reason=reason) for message in messages]
        if settled:
            self._handler.report(settled)


class _PublisherChannel(ChannelHandler):
    """The handler that publishes and collects confirms, in the connection's thread."""

    def __init__(
        self,
        on_settled: OnPublishResults,
        on_stuck: Callable[[BrokerError], None],
        confirm_timeout: float,
    ) -> None:
        self._on_settled = on_settled
        self._on_stuck = on_stuck
        self._confirm_timeout = confirm_timeout
        self._progress_at = 0.0
        self._connection: RabbitConnection | None = None
        self._channel: Channel | None = None
        self._encoder: PublishEncoder
        self._reconnecting = False
        self._unconfirmed = UnconfirmedMessages()
        self._settled: list[PublishResult] = []
        self._idle: threading.Event | None = None
        self._reason = ""
        self.settled = 0
        """The number of messages handed over that are settled."""

    def set_up(self, connection: RabbitConnection, channel: Channel, on_ready: Callable[[], None]) -> None:
        def on_confirms_enabled(_frame: Method) -> None:
            self._connection, self._channel = connection, channel
            self._encoder = PublishEncoder(channel.channel_number)
            self._unconfirmed = UnconfirmedMessages()
            self._reconnecting = False
            on_ready()

        channel.add_on_return_callback(self._on_returned)
        # Publishing waits for the reply: broker and publisher both number messages from here.
        channel.confirm_delivery(self._on_confirm, callback=on_confirms_enabled)

    def connection_lost(self, error: BrokerError) -> None:
        self._connection = self._channel = None
        self._reason = str(error)
        self._settled += self._unconfirmed.refuse_all(self._reason)

    def flush(self) -> None:
        if self._settled:
            settled, self._settled = self._settled, []
            self.settled += len(settled)
            self.report(settled)
        if self._idle is not None and not self._unconfirmed:
            self._idle.set()
        if self._unconfirmed and time.monotonic() - self._progress_at > self._confirm_timeout:
            self._progress_at = time.monotonic()
            self._on_stuck(BrokerUnavailable(f"RabbitMQ has confirmed nothing for {self._confirm_timeout:g} seconds"))

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages; they are settled when the broker has confirmed them."""
        connection, channel = self._connection, self._channel
        if connection is None or channel is None:
            self._settled += [PublishResult(message.tag, confirmed=False, reason=self._reason) for message in messages]
            return
        if not self._unconfirmed:
            self._progress_at = time.monotonic()
        # All are numbered before the first is sent, so that a loss at any point settles each of them.
        numbered = iter([(self._unconfirmed.add(message.tag), message) for message in messages])
        while batch := list(islice(numbered, _MAX_MESSAGES_PER_WRITE)):
            with connection.batch_writes():
                for number, message in batch:
                    self._publish(connection, channel, number, message)

    def _publish(self, connection: RabbitConnection, channel: Channel, number: int, message: Message) -> None:
        frames = self._encoder.encode(number, message) if channel.is_open else None
        if frames is not None:
            connection.send_frames(frames)
        else:
            # pika encodes it, or raises an error.
            properties = properties_of(number, message)
            channel.basic_publish(EXCHANGE, Queue.TASKS.value, message.body, properties, mandatory=True)

    def notify_when_idle(self, idle: threading.Event) -> None:
        """Set `idle` when no message is unconfirmed."""
        self._idle = idle

    def report(self, settled: Sequence[PublishResult]) -> None:
        """Report results to the messages' owner, whose errors must not end this thread."""
        try:
            self._on_settled(settled)
        except Exception:
            logger.exception("the results of %d messages could not be noted", len(settled))

    def _on_confirm(self, frame: Method) -> None:
        self._progress_at = time.monotonic()
        method = frame.method
        if isinstance(method, Basic.Ack):
            self._settled += self._unconfirmed.confirm(method.delivery_tag, method.multiple)
        else:
            self._settled += self._unconfirmed.refuse(
                method.delivery_tag, method.multiple, "RabbitMQ could not accept it (basic.nack)"
            )

    def _on_returned(self, channel: Channel, method: Basic.Return, properties: BasicProperties, _body: bytes) -> None:
        reason = f"RabbitMQ has no queue for it ({method.reply_code} {method.reply_text})"
        self._unconfirmed.mark_returned(int(properties.correlation_id), reason)
        if not self._reconnecting:
            # The queue was deleted: a new connection recreates it.
            self._reconnecting = True
            self._on_stuck(BrokerUnavailable(reason))
