"""Publishes to the tasks queue with pipelined confirms."""

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
from core.broker.rabbitmq.connection_thread import CLOSE_SECONDS, ChannelHandler, ConnectionThread
from core.broker.rabbitmq.publish_encoder import PublishEncoder, properties_of
from core.broker.rabbitmq.topology import EXCHANGE
from core.errors import BrokerError, BrokerUnavailable

logger = logging.getLogger("cauce.broker")

OUTSTANDING = 20_000
"""How many messages may be unconfirmed at once; more are refused, so that nothing grows without end."""

CONFIRM_SECONDS = 30.0
"""For so long RabbitMQ may confirm nothing of what it was given, before another connection is tried."""

_TOGETHER = 256
"""How many messages are sent by one system call."""


class RabbitPublisher(Publisher):
    """What the callers see: counts what is under way and hands batches over to the thread of the link.

    Args:
        addresses: where to connect to, in turn.
        on_settled: told what became of messages.
        on_birth: called, in another thread, when the tasks queue was missing and is made.
        limit: how many messages may be unconfirmed at once.
        confirm_seconds: for how long nothing may be confirmed before the connection is given up.
    """

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        on_settled: OnPublishResults,
        on_queue_recreated: Callable[[], None],
        limit: int = OUTSTANDING,
        confirm_seconds: float = CONFIRM_SECONDS,
    ) -> None:
        self._desk = _PublisherChannel(on_settled, self._stuck, confirm_seconds)
        self._link = ConnectionThread(addresses, self._desk, "publisher", on_queue_recreated)
        self._limit = limit
        self._sent = 0
        self._closed = False
        self._link.start()

    @property
    def available(self) -> bool:
        """Whether messages can be sent now."""
        return self._link.ready and not self._closed

    @property
    def trouble(self) -> str:
        """Why it is not available."""
        return "the publisher is closed" if self._closed else self._link.trouble

    def send(self, messages: Sequence[Message]) -> None:
        """Hand a batch over to the thread of the link; what there is no room for is refused at once."""
        if not self.available:
            self._refuse(messages, self.trouble or "RabbitMQ is not connected")
            return
        free = max(0, self._limit - (self._sent - self._desk.settled))
        if len(messages) > free:
            self._refuse(messages[free:], f"{self._limit} messages are waiting for RabbitMQ's confirmation")
        taken = tuple(messages[:free])
        if taken:
            self._sent += len(taken)
            self._link.call(partial(self._desk.publish, taken))

    def close(self, timeout: float = 5.0) -> None:
        """Wait for what is under way, and disconnect."""
        self._closed = True
        idle = threading.Event()
        self._link.call(partial(self._desk.tell_when_idle, idle))
        idle.wait(timeout)
        self._link.close(2 * CLOSE_SECONDS + 1)

    def _stuck(self, error: BrokerError) -> None:
        # One that takes nothing for now says so, and has a time limit of its own.
        if self._link.ready:
            self._link.restart(error)

    def _refuse(self, messages: Iterable[Message], reason: str) -> None:
        settled = [PublishResult(message.tag, confirmed=False, reason=reason) for message in messages]
        if settled:
            self._desk.report(settled)


class _PublisherChannel(ChannelHandler):
    """What is done in the thread of the link."""

    def __init__(
        self,
        on_settled: OnPublishResults,
        on_stuck: Callable[[BrokerError], None],
        confirm_seconds: float,
    ) -> None:
        self._on_settled = on_settled
        self._on_stuck = on_stuck
        self._confirm_seconds = confirm_seconds
        self._moved_at = 0.0
        self._connection: RabbitConnection | None = None
        self._channel: Channel | None = None
        self._stencil: PublishEncoder
        self._leaving = False
        self._unconfirmed = UnconfirmedMessages()
        self._settled: list[PublishResult] = []
        self._idle: threading.Event | None = None
        self._reason = ""
        self.settled = 0
        """How many of the messages that were handed over are settled."""

    def set_up(self, connection: RabbitConnection, channel: Channel, done: Callable[[], None]) -> None:
        def selected(_frame: Method) -> None:
            self._connection, self._channel = connection, channel
            self._stencil = PublishEncoder(channel.channel_number)
            self._unconfirmed = UnconfirmedMessages()
            self._leaving = False
            done()

        channel.add_on_return_callback(self._returned)
        # Publishing waits for the answer: the broker counts from here, and so do we.
        channel.confirm_delivery(self._answered, callback=selected)

    def lost(self, error: BrokerError) -> None:
        self._connection = self._channel = None
        self._reason = str(error)
        self._settled += self._unconfirmed.refuse_all(self._reason)

    def turned(self) -> None:
        if self._settled:
            settled, self._settled = self._settled, []
            self.settled += len(settled)
            self.report(settled)
        if self._idle is not None and not self._unconfirmed:
            self._idle.set()
        if self._unconfirmed and time.monotonic() - self._moved_at > self._confirm_seconds:
            self._moved_at = time.monotonic()
            self._on_stuck(BrokerUnavailable(f"RabbitMQ has confirmed nothing for {self._confirm_seconds:g} seconds"))

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages; they are settled when the broker has answered."""
        connection, channel = self._connection, self._channel
        if connection is None or channel is None:
            self._settled += [PublishResult(message.tag, confirmed=False, reason=self._reason) for message in messages]
            return
        if not self._unconfirmed:
            self._moved_at = time.monotonic()
        # All are noted before the first is sent, so that a loss at any point settles each of them.
        numbered = iter([(self._unconfirmed.add(message.tag), message) for message in messages])
        while part := list(islice(numbered, _TOGETHER)):
            with connection.gather():
                for number, message in part:
                    self._publish(connection, channel, number, message)

    def _publish(self, connection: RabbitConnection, channel: Channel, number: int, message: Message) -> None:
        frames = self._stencil.draw(number, message) if channel.is_open else None
        if frames is not None:
            connection.emit(frames)
        else:
            # pika knows what to do, or says why it can't be done.
            properties = properties_of(number, message)
            channel.basic_publish(EXCHANGE, Queue.TASKS.value, message.body, properties, mandatory=True)

    def tell_when_idle(self, idle: threading.Event) -> None:
        """Set `idle` when nothing is unconfirmed any more."""
        self._idle = idle

    def report(self, settled: Sequence[PublishResult]) -> None:
        """Tell the owner of the messages; its failure must not end the thread that serves all others."""
        try:
            self._on_settled(settled)
        except Exception:
            logger.exception("what became of %d messages could not be noted", len(settled))

    def _answered(self, frame: Method) -> None:
        self._moved_at = time.monotonic()
        answer = frame.method
        if isinstance(answer, Basic.Ack):
            self._settled += self._unconfirmed.confirm(answer.delivery_tag, answer.multiple)
        else:
            self._settled += self._unconfirmed.refuse(
                answer.delivery_tag, answer.multiple, "RabbitMQ could not take it (basic.nack)"
            )

    def _returned(self, channel: Channel, method: Basic.Return, properties: BasicProperties, _body: bytes) -> None:
        reason = f"RabbitMQ has no queue for it ({method.reply_code} {method.reply_text})"
        self._unconfirmed.returned(int(properties.correlation_id), reason)
        if not self._leaving:
            # The queue was deleted under us: it is looked for, and made, with a new connection.
            self._leaving = True
            self._on_stuck(BrokerUnavailable(reason))
