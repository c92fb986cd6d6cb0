"""What a consumer does in its connection's thread: it collects deliveries and sends acknowledgements."""

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

_MAX_PREFETCH = 65_535
"""The largest prefetch in AMQP. 0 would mean no limit."""


class ChannelSession:
    """One channel, from its opening to its loss. Its delivery tags are not valid on any other channel.

    Attributes:
        last_tag: the tag of the last delivery.
        cancelled_up_to: the last tag of deliveries to cancelled consumers.
        is_open: whether the connection still exists.
    """

    def __init__(self, connection: RabbitConnection, channel: Channel, prefetch: int) -> None:
        self.connection = connection
        self.channel = channel
        self.ack_window = AckWindow()
        self.shares = PrefetchShares(prefetch)
        self.last_tag = 0
        self.cancelled_up_to = 0
        self.is_open = True


class ChannelReceipt(msgspec.Struct, frozen=True):
    """Identifies a delivery: its channel, and its tag there."""

    session: ChannelSession
    tag: int


class ConsumerChannel(ChannelHandler):
    """The handler of a consumer's channel, in the connection's thread."""

    def __init__(self, queue: Queue, prefetch: int) -> None:
        self.queue = queue
        self._prefetch = _clamp(prefetch)
        self._session: ChannelSession | None = None
        self._batch: list[Delivery] = []
        self.batches: SimpleQueue[list[Delivery]] = SimpleQueue()
        """The deliveries in order, in batches that came in together."""
        self.reconnect: Callable[[BrokerError], None]
        """Leaves the connection for a new one; set by the owner."""

    def set_up(self, connection: RabbitConnection, channel: Channel, on_ready: Callable[[], None]) -> None:
        """Begin to consume."""
        session = ChannelSession(connection, channel, self._prefetch)

        def on_consuming(_frame: Method) -> None:
            self._session = session
            on_ready()
            # The prefetch may have changed meanwhile.
            self.resize(self._prefetch)

        channel.add_on_cancel_callback(self._on_cancelled_by_broker)
        self._consume(session, self._prefetch, on_consuming)

    def connection_lost(self, error: BrokerError) -> None:
        """Forget the channel: what it delivered will be delivered again."""
        if self._session is not None:
            self._session.is_open = False
            self._session = None
        self._batch = []

    def flush(self) -> None:
        """Pass on the deliveries that came in together."""
        if self._batch:
            self.batches.put(self._batch)
            self._batch = []

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge deliveries of the current channel."""
        session = self._session
        if session is None:
            return
        receipts = [delivery.receipt for delivery in deliveries]
        tags = [
            receipt.tag for receipt in receipts if isinstance(receipt, ChannelReceipt) and receipt.session is session
        ]
        with session.connection.batch_writes():
            for tag, multiple in session.ack_window.ack(tags):
                session.channel.basic_ack(tag, multiple)
        self._add_consumer(session)

    def reject(self, delivery: Delivery) -> None:
        """Make a message a dead letter, if it was delivered on the current channel."""
        receipt = receipt_of(delivery)
        session = self._session
        if session is not None and receipt.session is session and session.ack_window.settle(receipt.tag):
            session.channel.basic_reject(receipt.tag, requeue=False)
            self._add_consumer(session)

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on.

        When the prefetch shrinks, RabbitMQ requeues the few messages that are on their way, which counts as a delivery.
        """
        self._prefetch = _clamp(prefetch)
        session = self._session
        if session is None:
            return
        session.shares.prefetch = self._prefetch
        for consumer_tag in session.shares.cancel_excess():
            _cancel(session.channel, consumer_tag, partial(self._on_cancelled, session, consumer_tag))
        self._add_consumer(session)

    def disown(self) -> None:
        """Hold nothing of the present channel any more. Any thread may call this."""
        session = self._session
        if session is not None:
            session.is_open = False

    def renew(self) -> None:
        """Leave a connection on which RabbitMQ may not have reported the end of its queue."""
        if self._session is not None:
            self.reconnect(BrokerUnavailable(f"{self.queue.value} was recreated, and RabbitMQ did not report it"))

    def _on_cancelled(self, session: ChannelSession, consumer_tag: str, _frame: Method) -> None:
        session.shares.mark_cancelled(consumer_tag)
        if not session.shares.is_cancelling:
            session.cancelled_up_to = session.last_tag
        self._add_consumer(session)

    def _add_consumer(self, session: ChannelSession) -> None:
        """Add a consumer if the prefetch leaves room for one."""
        if session.shares.is_below_prefetch and (
            share := session.shares.next_share(session.ack_window.count_up_to(session.cancelled_up_to))
        ):
            self._consume(session, share, ignore)

    def _consume(self, session: ChannelSession, share: int, on_consuming: Callable[[Method], None]) -> None:
        session.channel.basic_qos(prefetch_count=share, callback=ignore)
        consumer_tag = session.channel.basic_consume(
            self.queue.value, partial(self._on_message, session), callback=on_consuming
        )
        session.connection.set_delivery_callback(session.channel, consumer_tag, partial(self._on_delivery, session))
        session.shares.add(consumer_tag, share)

    def _on_message(
        self,
        session: ChannelSession,
        _channel: Channel,
        method: Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        self._on_delivery(
            session, method.delivery_tag, count_redeliveries(properties.headers, method.redelivered), body
        )

    def _on_delivery(self, session: ChannelSession, tag: int, redeliveries: int, body: bytes) -> None:
        session.last_tag = tag
        session.ack_window.add(tag)
        self._batch.append(Delivery(body, redeliveries, ChannelReceipt(session, tag)))

    def _on_cancelled_by_broker(self, _frame: Method) -> None:
        self.reconnect(
            BrokerUnavailable(f"RabbitMQ cancelled the consumer of {self.queue.value}: was the queue deleted?")
        )


def count_redeliveries(headers: Mapping[str, object] | None, redelivered: bool) -> int:
    """Return the number of earlier deliveries by this queue.

    A message that the queue delivers for the first time may have a count all the same: its publisher's. Some versions
    omit the count the first time.
    """
    if not redelivered:
        return 0
    count = (headers or {}).get("x-delivery-count")
    if isinstance(count, int) and count >= 0:
        return int(count)  # pika returns a subclass of int
    return 1


def _cancel(channel: Channel, consumer_tag: str, on_cancelled: Callable[[Method], None]) -> None:
    # Not by basic_cancel: pika would reject everything on its way to the former consumer, up to its whole prefetch,
    # and each rejection counts as a redelivery. Sent like this, RabbitMQ itself requeues a few at most.
    channel._rpc(  # noqa: SLF001  pika has no public method that sends it alone
        Basic.Cancel(consumer_tag=consumer_tag, nowait=False),
        on_cancelled,
        [(Basic.CancelOk, {"consumer_tag": consumer_tag})],
    )


def receipt_of(delivery: Delivery) -> ChannelReceipt:
    """Return the receipt of a delivery that a consumer of RabbitMQ made."""
    receipt = delivery.receipt
    assert isinstance(receipt, ChannelReceipt), "a delivery of another broker"
    return receipt


def _clamp(prefetch: int) -> int:
    return max(1, min(prefetch, _MAX_PREFETCH))
