"""What a consumer does in the thread of its link: takes deliveries in and tells the broker of those that are done."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from queue import SimpleQueue

import msgspec
from pika import BasicProperties
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from core.broker.base import Delivery, Queue
from core.broker.rabbitmq.acks import AckWindow
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.connection_thread import ChannelHandler
from core.broker.rabbitmq.prefetch_shares import PrefetchShares
from core.callbacks import ignore
from core.errors import BrokerError, BrokerUnavailable

_MOST = 65_535
"""The largest prefetch that the protocol can say. 0 would mean no limit."""


class ChannelSession:
    """One channel's life. Its tags mean nothing, or another message, on any other channel.

    Attributes:
        last: the tag of the last delivery.
        older: the tag up to which deliveries are of consumers that have ended.
    """

    def __init__(self, connection: RabbitConnection, channel: Channel, prefetch: int) -> None:
        self.connection = connection
        self.channel = channel
        self.window = AckWindow()
        self.shares = PrefetchShares(prefetch)
        self.last = 0
        self.older = 0
        self.alive = True


class ChannelReceipt(msgspec.Struct, frozen=True):
    """What it takes to settle a delivery: the channel it came by, and its tag there."""

    session: ChannelSession
    tag: int


class ConsumerChannel(ChannelHandler):
    """What is done in the thread of the link."""

    def __init__(self, queue: Queue, prefetch: int) -> None:
        self.queue = queue
        self._prefetch = _within(prefetch)
        self._session: ChannelSession | None = None
        self._batch: list[Delivery] = []
        self.arrived: SimpleQueue[list[Delivery]] = SimpleQueue()
        """What came in together, in the order of its coming."""
        self.restart: Callable[[BrokerError], None]
        """Leaves the connection for a new one; set by who makes this."""

    def set_up(self, connection: RabbitConnection, channel: Channel, done: Callable[[], None]) -> None:
        """Begin to consume."""
        session = ChannelSession(connection, channel, self._prefetch)

        def consuming(_frame: Method) -> None:
            self._session = session
            done()
            # It may have changed meanwhile.
            self.resize(self._prefetch)

        channel.add_on_cancel_callback(self._cancelled)
        self._consume(session, self._prefetch, consuming)

    def lost(self, error: BrokerError) -> None:
        """Forget the channel: what it delivered will come again."""
        if self._session is not None:
            self._session.alive = False
            self._session = None
        self._batch = []

    def turned(self) -> None:
        """Put down what came in together."""
        if self._batch:
            self.arrived.put(self._batch)
            self._batch = []

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge those that were delivered on this very channel."""
        session = self._session
        if session is None:
            return
        receipts = [delivery.receipt for delivery in deliveries]
        tags = [
            receipt.tag for receipt in receipts if isinstance(receipt, ChannelReceipt) and receipt.session is session
        ]
        with session.connection.gather():
            for tag, multiple in session.window.ack(tags):
                session.channel.basic_ack(tag, multiple)
        self._fill(session)

    def reject(self, delivery: Delivery) -> None:
        """Make a dead letter of a message, if it was delivered on this very channel."""
        receipt = receipt_of(delivery)
        session = self._session
        if session is not None and receipt.session is session and session.window.settle(receipt.tag):
            session.channel.basic_reject(receipt.tag, requeue=False)
            self._fill(session)

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` from now on.

        When it is made smaller, RabbitMQ takes back a few that are on their way, which counts as a delivery.
        """
        self._prefetch = _within(prefetch)
        session = self._session
        if session is None:
            return
        session.shares.wanted = self._prefetch
        for consumer in session.shares.end():
            _cancel(session.channel, consumer, partial(self._ended, session, consumer))
        self._fill(session)

    def renew(self) -> None:
        """Leave a connection on which RabbitMQ may have said nothing of the end of its queue."""
        if self._session is not None:
            self.restart(BrokerUnavailable(f"{self.queue.value} was made anew, and RabbitMQ did not say so"))

    def _ended(self, session: ChannelSession, consumer: str, _frame: Method) -> None:
        session.shares.ended(consumer)
        if not session.shares.leaving:
            session.older = session.last
        self._fill(session)

    def _fill(self, session: ChannelSession) -> None:
        """Add a consumer if there is room for one."""
        if session.shares.short and (room := session.shares.room(session.window.open_up_to(session.older))):
            self._consume(session, room, ignore)

    def _consume(self, session: ChannelSession, share: int, done: Callable[[Method], None]) -> None:
        session.channel.basic_qos(prefetch_count=share, callback=ignore)
        consumer = session.channel.basic_consume(self.queue.value, partial(self._delivered, session), callback=done)
        session.connection.deliver(session.channel, consumer, partial(self._arrived, session))
        session.shares.add(consumer, share)

    def _delivered(
        self,
        session: ChannelSession,
        _channel: Channel,
        method: Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        self._arrived(session, method.delivery_tag, redeliveries(properties.headers, method.redelivered), body)

    def _arrived(self, session: ChannelSession, tag: int, times: int, body: bytes) -> None:
        session.last = tag
        session.window.add(tag)
        self._batch.append(Delivery(body, times, ChannelReceipt(session, tag)))

    def _cancelled(self, _frame: Method) -> None:
        self.restart(BrokerUnavailable(f"RabbitMQ ended the consuming of {self.queue.value}: was the queue deleted?"))


def redeliveries(headers: Mapping[str, object] | None, redelivered: bool) -> int:
    """How often a message was delivered before: quorum queues count it, save for some versions the first time."""
    count = (headers or {}).get("x-delivery-count")
    if isinstance(count, int) and count >= 0:
        return int(count)  # pika reads a class of its own
    return int(redelivered)


def _cancel(channel: Channel, consumer_tag: str, done: Callable[[Method], None]) -> None:
    # Not by basic_cancel: pika would reject all that is under way to the former consumer, up to its whole prefetch,
    # and each rejection counts as a redelivery. Sent like this, RabbitMQ itself takes back a few at most.
    channel._rpc(  # noqa: SLF001  there is no other way to send it
        Basic.Cancel(consumer_tag=consumer_tag, nowait=False),
        done,
        [(Basic.CancelOk, {"consumer_tag": consumer_tag})],
    )


def receipt_of(delivery: Delivery) -> ChannelReceipt:
    """The receipt of a delivery, which only a consumer of this kind can have made."""
    receipt = delivery.receipt
    assert isinstance(receipt, ChannelReceipt), "a delivery of another kind of consumer"
    return receipt


def _within(prefetch: int) -> int:
    return max(1, min(prefetch, _MOST))
