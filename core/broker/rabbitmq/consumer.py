"""Consumes one queue: takes many at once, acknowledges many at once."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

from pika import BasicProperties
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from core.broker.base import Consumer, Delivery, Queue
from core.broker.rabbitmq.acks import AckWindow
from core.broker.rabbitmq.addresses import Address
from core.broker.rabbitmq.connection import Connection
from core.broker.rabbitmq.link import Duty, Link
from core.errors import BrokerError, BrokerUnavailable

CLOSE_SECONDS = 5.0
"""How long closing may take: until the broker has read the acknowledgements made before."""

_MOST = 65_535
"""The largest prefetch that the protocol can say. 0 would mean no limit."""


class _Session:
    """One channel's life. Its tags mean nothing, or another message, on any other channel."""

    def __init__(self, connection: Connection, channel: Channel) -> None:
        self.connection = connection
        self.channel = channel
        self.window = AckWindow()
        self.alive = True


class _Receipt(NamedTuple):
    session: _Session
    tag: int


class RabbitConsumer(Consumer):
    """What the callers see: takes what the thread of the link has put down, and hands acknowledgements over."""

    def __init__(self, addresses: Sequence[Address], queue: Queue, prefetch: int) -> None:
        self._intake = _Intake(queue, prefetch)
        self._link = Link(addresses, self._intake, f"consumer of {queue.value}")
        self._intake.restart = self._link.restart
        self._held: deque[Delivery] = deque()
        self._link.start()

    @property
    def trouble(self) -> str:
        """Why nothing can be received now."""
        return self._link.trouble

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first."""
        taken = self._take(limit)
        deadline = time.monotonic() + timeout
        while not taken:
            try:
                self._held.extend(self._intake.arrived.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
            taken = self._take(limit)
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Hand these over to be acknowledged, in as few words as is safe."""
        if deliveries:
            self._link.call(partial(self._intake.ack, tuple(deliveries)))

    def reject(self, delivery: Delivery) -> None:
        """Make this a dead letter at once."""
        self._link.call(partial(self._intake.reject, delivery))

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages, beside those that are in hand now."""
        self._link.call(partial(self._intake.resize, prefetch))

    def close(self) -> None:
        """Send the acknowledgements made before and disconnect, which gives back everything else."""
        self._link.close(CLOSE_SECONDS)

    def _take(self, limit: int) -> list[Delivery]:
        """Take what is there. What a lost connection delivered is passed over: it will come again."""
        taken: list[Delivery] = []
        while len(taken) < limit:
            if not self._held:
                try:
                    self._held.extend(self._intake.arrived.get_nowait())
                except Empty:
                    break
                continue
            delivery = self._held.popleft()
            if _receipt(delivery).session.alive:
                taken.append(delivery)
        return taken


class _Intake(Duty):
    """What is done in the thread of the link."""

    def __init__(self, queue: Queue, prefetch: int) -> None:
        self._queue = queue
        self._prefetch = _within(prefetch)
        self._session: _Session | None = None
        self._consumer_tag = ""
        self._batch: list[Delivery] = []
        self.arrived: SimpleQueue[list[Delivery]] = SimpleQueue()
        """What came in together, in the order of its coming."""
        self.restart: Callable[[BrokerError], None]
        """Leaves the connection for a new one; set by who makes this."""

    def set_up(self, connection: Connection, channel: Channel, done: Callable[[], None]) -> None:
        session = _Session(connection, channel)

        def consuming(_frame: Method) -> None:
            self._session = session
            done()

        channel.add_on_cancel_callback(self._cancelled)
        self._consume(session, consuming)

    def lost(self, error: BrokerError) -> None:
        if self._session is not None:
            self._session.alive = False
            self._session = None
        self._batch = []

    def turned(self) -> None:
        if self._batch:
            self.arrived.put(self._batch)
            self._batch = []

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge those that were delivered on this very channel."""
        session = self._session
        if session is None:
            return
        receipts = map(_receipt, deliveries)
        tags = [receipt.tag for receipt in receipts if receipt.session is session]
        with session.connection.gather():
            for tag, multiple in session.window.ack(tags):
                session.channel.basic_ack(tag, multiple)

    def reject(self, delivery: Delivery) -> None:
        """Make a dead letter of a message, if it was delivered on this very channel."""
        receipt = _receipt(delivery)
        session = self._session
        if session is not None and receipt.session is session and session.window.settle(receipt.tag):
            session.channel.basic_reject(receipt.tag, requeue=False)

    def resize(self, prefetch: int) -> None:
        """Consume anew: the prefetch of a consumer is fixed, and quorum queues know no other.

        RabbitMQ takes back some of what is on its way to the former consumer, which counts as a delivery.
        """
        self._prefetch = _within(prefetch)
        if self._session is not None:
            former = self._consumer_tag
            self._consume(self._session, _nothing)
            _cancel(self._session.channel, former)

    def _consume(self, session: _Session, done: Callable[[Method], None]) -> None:
        session.channel.basic_qos(prefetch_count=self._prefetch, callback=_nothing)
        self._consumer_tag = session.channel.basic_consume(
            self._queue.value, partial(self._delivered, session), callback=done
        )

    def _delivered(
        self,
        session: _Session,
        _channel: Channel,
        method: Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        tag = method.delivery_tag
        session.window.add(tag)
        times = redeliveries(properties.headers, method.redelivered)
        self._batch.append(Delivery(body, times, _Receipt(session, tag)))

    def _cancelled(self, _frame: Method) -> None:
        self.restart(BrokerUnavailable(f"RabbitMQ ended the consuming of {self._queue.value}: was the queue deleted?"))


def redeliveries(headers: Mapping[str, object] | None, redelivered: bool) -> int:
    """How often a message was delivered before: quorum queues count it, save for some versions the first time."""
    count = (headers or {}).get("x-delivery-count")
    if isinstance(count, int) and count >= 0:
        return int(count)  # pika reads a class of its own
    return int(redelivered)


def _cancel(channel: Channel, consumer_tag: str) -> None:
    # Not by basic_cancel: pika would reject all that is under way to the former consumer, up to its whole prefetch,
    # and each rejection counts as a redelivery. Sent like this, RabbitMQ itself takes back a few at most.
    channel._rpc(  # noqa: SLF001  there is no other way to send it
        Basic.Cancel(consumer_tag=consumer_tag, nowait=False),
        _nothing,
        [(Basic.CancelOk, {"consumer_tag": consumer_tag})],
    )


def _receipt(delivery: Delivery) -> _Receipt:
    receipt = delivery.receipt
    assert isinstance(receipt, _Receipt), "a delivery of another kind of consumer"
    return receipt


def _within(prefetch: int) -> int:
    return max(1, min(prefetch, _MOST))


def _nothing(_frame: Method) -> None:
    """Wait for an answer, so that pika asks one thing after the other."""
