"""A message that goes to RabbitMQ and comes back, on a queue of its own that ends with the connection.

A port that is open proves little: a node opens it before it can take messages, and one that is full keeps it open.
"""

import secrets
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.connection_thread import ChannelHandler
from core.broker.rabbitmq.topology import EXCHANGE
from core.callbacks import ignore
from core.errors import BrokerError, BrokerUnavailable

BODY = b"canary"

PREFIX = "cauce.canary."
"""What the names of the queues begin with."""


class Canary(ChannelHandler):
    """Sends the message as soon as there is a connection, and tells how it went: None for well.

    Attributes:
        answers: one for each try at a connection, or for the message's way.
    """

    def __init__(self) -> None:
        self.answers: SimpleQueue[BrokerError | None] = SimpleQueue()
        self._queue = ""

    def set_up(self, connection: RabbitConnection, channel: Channel, done: Callable[[], None]) -> None:
        """Have messages confirmed, and send one."""
        done()
        channel.confirm_delivery(
            ack_nack_callback=partial(self._confirmed, channel), callback=partial(self._send, channel)
        )

    def lost(self, error: BrokerError) -> None:
        """Tell that there is no connection."""
        self.answers.put(error)

    def turned(self) -> None:
        """There is nothing to do for many at once."""

    def _send(self, channel: Channel, _frame: Method) -> None:
        # RabbitMQ's own names for queues, and its default exchange, need not be allowed to a user of ours.
        self._queue = f"{PREFIX}{secrets.token_hex(8)}"
        channel.queue_declare(self._queue, exclusive=True, auto_delete=True, callback=ignore)
        channel.queue_bind(self._queue, EXCHANGE, routing_key=self._queue, callback=partial(self._bound, channel))

    def _bound(self, channel: Channel, _frame: Method) -> None:
        channel.basic_publish(EXCHANGE, self._queue, BODY, mandatory=True)

    def _confirmed(self, channel: Channel, frame: Method) -> None:
        if not isinstance(frame.method, Basic.Ack):
            self.answers.put(BrokerUnavailable("RabbitMQ does not take messages"))
            return
        channel.add_callback(self._missing, [Basic.GetEmpty])
        channel.basic_get(self._queue, callback=self._back, auto_ack=True)

    def _missing(self, _frame: object) -> None:
        self.answers.put(BrokerUnavailable("RabbitMQ has confirmed a message and does not give it back"))

    def _back(self, _channel: Channel, _method: object, _properties: object, _body: bytes) -> None:
        self.answers.put(None)
