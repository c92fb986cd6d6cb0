"""One connection to RabbitMQ and the thread that owns it, for as long as a publisher, consumer or gauge lives.

pika's connections may be touched by one thread only, so everything is done in this one: others hand over functions
by `call`. When the connection is lost, for whatever reason, it is made again, for ever.
What is done with the connection is the business of a `Duty`.
"""

import contextlib
import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.frame import Method

from core.broker import backoff
from core.broker.rabbitmq.addresses import Address
from core.broker.rabbitmq.connection import Connection
from core.broker.rabbitmq.refusals import explain
from core.broker.rabbitmq.topology import declare
from core.errors import BrokerError, BrokerUnavailable

logger = logging.getLogger("cauce.broker")

SETUP_SECONDS = 10.0
"""How long it may take from the first packet until the duty is set up."""

CLOSE_SECONDS = 2.0
"""How long the broker may take to answer that a connection is to be closed."""

STEADY_SECONDS = 10.0
"""How long a connection has to last for its loss to be a first failure again."""


class Duty(ABC):
    """What is done with a connection. Every method is called in the thread that owns it, and must not wait."""

    @abstractmethod
    def set_up(self, connection: Connection, channel: Channel, done: Callable[[], None]) -> None:
        """Begin with a new channel, on which the queues have been declared; call `done` when ready."""

    @abstractmethod
    def lost(self, error: BrokerError) -> None:
        """Forget the channel, if there is one. Also called when a try at a connection has failed."""

    @abstractmethod
    def turned(self) -> None:
        """Do what is done once for everything that came in together."""


class Link:
    """Owns the thread and the connection. `call`, `close` and the properties are for any thread."""

    def __init__(self, addresses: Sequence[Address], duty: Duty, role: str) -> None:
        self._addresses = addresses
        self._address = addresses[0]
        self._duty = duty
        self._role = role
        self._inbox: deque[Callable[[], None]] = deque()
        self._woken = False
        self._loop = IOLoop()
        self._connection: Connection | None = None
        self._tries = 0
        self._failures = 0
        self._connected = False
        self._connected_at = 0.0
        self._failure: BrokerError | None = None
        self._blocked = ""
        self._watch: object = None
        self._closing = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"cauce {role}", daemon=True)

    @property
    def ready(self) -> bool:
        """Whether the duty is at work and the broker does not block it."""
        return self._connected and not self._blocked

    @property
    def failure(self) -> BrokerError | None:
        """Why there is no connection; None when there is one, or none was tried yet."""
        return self._failure

    @property
    def trouble(self) -> str:
        """Why it is not ready, as a sentence; empty when it is."""
        if self._connected:
            return self._blocked
        return str(self._failure or f"{self._address.place}: connecting")

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the owner's thread, in the order of the calls; after the end, in this one."""
        self._inbox.append(function)
        if not self._woken:
            self._woken = True
            # The loop is read after the function was put down: whoever replaces the loop looks there afterwards.
            self._loop.add_callback_threadsafe(_nothing)
        if self._ended:
            self._empty_inbox()

    def restart(self, error: BrokerError) -> None:
        """Leave this connection for a new one. For the duty, in the owner's thread."""
        self._stop_duty(error)
        self._close_connection()

    def close(self, timeout: float = 5.0) -> None:
        """Do what was handed over before, disconnect, and end the thread; takes `timeout` seconds at most."""
        self.call(self._begin_to_close)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    # Everything below is done in the owner's thread.

    def _run(self) -> None:
        self._loop.activate_poller()
        self._loop.call_later(0, self._connect)
        while not self._ended:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  pika raises ValueError, AssertionError and others at a loss
                self._start_over(error)
        self._duty.lost(BrokerUnavailable("the connection was closed"))
        self._empty_inbox()
        self._turn_duty_last()
        self._loop.close()

    def _turn(self) -> None:
        self._loop.poll()
        self._loop.process_timeouts()
        self._empty_inbox()
        self._duty.turned()

    def _empty_inbox(self) -> None:
        self._woken = False
        while self._inbox:
            try:
                function = self._inbox.popleft()
            except IndexError:  # after the end another thread may look here too
                return
            function()

    def _connect(self) -> None:
        if self._closing:
            return
        self._address = self._addresses[self._tries % len(self._addresses)]
        self._tries += 1
        self._set_watch(SETUP_SECONDS)
        self._connection = Connection(
            self._address.parameters(self._role),
            on_open_callback=self._opened,
            on_open_error_callback=self._disconnected,
            on_close_callback=self._disconnected,
            custom_ioloop=self._loop,
        )

    def _opened(self, connection: Connection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._channel_closed)
        declare(channel, lambda: self._declared(channel))

    def _declared(self, channel: Channel) -> None:
        if channel.connection is self._connection:
            self._duty.set_up(self._connection, channel, self._set_up)

    def _set_up(self) -> None:
        self._clear_watch()
        self._connected_at = time.monotonic()
        self._connected = True
        if self._failure is not None:
            logger.info("%s: the %s is connected again", self._address.place, self._role)
            self._failure = None

    def _on_blocked(self, _connection: Connection, frame: Method) -> None:
        self._blocked = f"{self._address.place} accepts no messages for now: {frame.method.reason}"
        logger.warning("%s", self._blocked)

    def _on_unblocked(self, _connection: Connection, _frame: Method) -> None:
        self._blocked = ""
        logger.info("%s accepts messages again", self._address.place)

    def _channel_closed(self, channel: Channel, reason: Exception) -> None:
        # A channel that fails takes its connection with it: one way back serves for every loss.
        if channel.connection is self._connection:
            self.restart(explain(reason, self._address.place))

    def _disconnected(self, connection: Connection, reason: Exception) -> None:
        if connection is self._connection:
            self._connection = None
            self._stop_duty(explain(reason, self._address.place))
            self._plan_next()

    def _stop_duty(self, error: BrokerError) -> None:
        """Note the loss, once for each connection: what follows from it would hide the cause."""
        if self._stopped_for is not self._tries_marker():
            pass

    def _close_connection(self) -> None:
        connection = self._connection
        if connection is None:
            return
        self._set_watch(CLOSE_SECONDS)
        if not connection.is_closing:
            connection.close()
