"""A message that goes to RabbitMQ and comes back, on its own queue, which ends with the connection.

An open port proves little: a node opens it before it can take messages, and keeps it open when its disk is full.
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

QUEUE_PREFIX = "cauce.canary."
"""The beginning of the names of canary queues."""


class Canary(ChannelHandler):
    """A handler that sends the message as soon as there is a connection, and reports the result.

    Attributes:
        results: an error for each failed attempt to connect, and the message's result: an error, or None for success.
    """

    def __init__(self) -> None:
        self.results: SimpleQueue[BrokerError | None] = SimpleQueue()
        self._queue = ""

    def set_up(self, connection: RabbitConnection, channel: Channel, on_ready: Callable[[], None]) -> None:
        """Enable publisher confirms, and send the message."""
        on_ready()
        channel.confirm_delivery(
            ack_nack_callback=partial(self._on_confirm, channel), callback=partial(self._send, channel)
        )

    def connection_lost(self, error: BrokerError) -> None:
        """Report that there is no connection."""
        self.results.put(error)

    def flush(self) -> None:
        """Do nothing."""

    def _send(self, channel: Channel, _frame: Method) -> None:
        # Our user may lack permissions for queue names chosen by RabbitMQ and for the default exchange.
        self._queue = f"{QUEUE_PREFIX}{secrets.token_hex(8)}"
        channel.queue_declare(self._queue, exclusive=True, auto_delete=True, callback=ignore)
        channel.queue_bind(self._queue, EXCHANGE, routing_key=self._queue, callback=partial(self._on_bound, channel))

    def _on_bound(self, channel: Channel, _frame: Method) -> None:
        channel.basic_publish(EXCHANGE, self._queue, BODY, mandatory=True)

    def _on_confirm(self, channel: Channel, frame: Method) -> None:
        if not isinstance(frame.method, Basic.Ack):
            self.results.put(BrokerUnavailable("RabbitMQ accepts no messages"))
            return
        channel.add_callback(self._on_missing, [Basic.GetEmpty])
        channel.basic_get(self._queue, callback=self._on_received, auto_ack=True)

    def _on_missing(self, _frame: object) -> None:
        self.results.put(BrokerUnavailable("RabbitMQ confirmed a message but does not deliver it"))

    def _on_received(self, _channel: Channel, _method: object, _properties: object, _body: bytes) -> None:
        self.results.put(None)
