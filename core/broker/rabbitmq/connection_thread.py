"""The thread that owns one connection to RabbitMQ, for the lifetime of a publisher, consumer or gauge.

A pika connection may be used by one thread only, so all work is done in this one: other threads hand over functions
by `call`. The thread reconnects after every loss until it is closed. A `ChannelHandler` uses the connection.
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

from core.broker.base import RECONNECT_BACKOFF, Queue
from core.broker.rabbitmq.addresses import BrokerAddress
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.error_translation import translate
from core.broker.rabbitmq.topology_setup import SetupOwner, TopologySetup
from core.callbacks import ignore
from core.errors import BrokerError, BrokerUnavailable

logger = logging.getLogger("cauce.broker")

SETUP_TIMEOUT = 10.0
"""Seconds from the first packet within which the handler must be set up."""

CLOSE_TIMEOUT = 2.0
"""Seconds for the broker to confirm that a connection is closed."""

BACKOFF_RESET_AFTER = 10.0
"""Seconds that a connection must last for the back-off to start over after its loss."""

MAX_STALLS = 2
"""Setups in a row that may time out at the handler's queue before the queue is recreated."""


class ChannelHandler(ABC):
    """The user of a connection. Every method is called in the thread that owns the connection, and must not block.

    Attributes:
        queue: the queue that it needs.
    """

    queue = Queue.TASKS

    @abstractmethod
    def set_up(self, connection: RabbitConnection, channel: Channel, on_ready: Callable[[], None]) -> None:
        """Begin with a new channel, on which the queues were declared; call `on_ready` when ready."""

    @abstractmethod
    def connection_lost(self, error: BrokerError) -> None:
        """Forget the channel, if there is one. Also called when an attempt to connect has failed."""

    @abstractmethod
    def flush(self) -> None:
        """Process what has come in together. Called once per turn of the event loop."""


class ConnectionThread(SetupOwner):
    """A thread and its connection. `call`, `close` and the properties are for any thread.

    Args:
        addresses: the addresses to connect to, in turn.
        handler: uses the connection.
        role: names the connection in logs and in RabbitMQ.
        on_queue_recreated: called when the missing tasks queue was made. None for a handler that only reads: then no
            queue is made.
    """

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        handler: ChannelHandler,
        role: str,
        on_queue_recreated: Callable[[], None] | None = None,
    ) -> None:
        self._addresses = addresses
        self._address = addresses[0]
        self._handler = handler
        self._role = role
        self._on_queue_recreated = on_queue_recreated
        self._setting_up = False
        self._stalls = 0
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False
        self._loop = IOLoop()
        self._connection: RabbitConnection | None = None
        self._tries = 0
        self._failures = 0
        self._connected = False
        self._connected_at = 0.0
        self._failure: BrokerError | None = None
        self._blocked_reason = ""
        self._timeout: object = None
        self._handler_stopped = False
        self._aborted = False
        self._closing = False
        self._should_end = False
        self._loop_ended = False
        self._drain_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"cauce {role}", daemon=True)

    @property
    def is_ready(self) -> bool:
        """Whether the handler is set up and the broker does not block it."""
        return self._connected and not self._blocked_reason

    @property
    def failure(self) -> BrokerError | None:
        """The error of the last attempt to connect; None while connected, and before the first attempt has ended."""
        return self._failure

    @property
    def trouble(self) -> str:
        """The reason why it is not ready, as a sentence, or an empty string when it is."""
        if self._connected:
            return self._blocked_reason
        return str(self._failure or f"{self._address.place}: connecting")

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Run a function in the thread, in the order of the calls. Once that has ended, the caller's thread runs it."""
        self._calls.append(function)
        if not self._woken:
            self._woken = True
            # The loop is read after the function was added: code that replaces the loop runs the calls afterwards.
            self._loop.add_callback_threadsafe(ignore)
        if self._loop_ended:
            self._drain()

    def reconnect(self, error: BrokerError) -> None:
        """Leave this connection for a new one. Called by the handler, in this thread."""
        self._stop_handler(error)
        if self._connection is not None:
            self._close_connection(self._connection)

    def close(self, timeout: float = 5.0) -> None:
        """Run the calls made before, disconnect, and end the thread, waiting up to `timeout` seconds for it."""
        self.call(self._start_closing)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    # Everything below runs in this thread.

    def _run(self) -> None:
        self._loop.activate_poller()
        self._loop.call_later(0, self._connect)
        while not self._should_end:
            try:
                self._run_once()
            except Exception as error:  # noqa: BLE001  pika raises ValueError, AssertionError and others when a connection is lost
                self._recover(error)
        self._loop_ended = True
        self._drain()
        self._loop.close()

    def _run_once(self) -> None:
        self._loop.poll()
        self._loop.process_timeouts()
        self._run_calls()
        self._handler.flush()

    def _run_calls(self) -> None:
        # Cleared before the calls are read: a call that is added meanwhile wakes the loop again.
        self._woken = False
        while self._calls:
            self._calls.popleft()()

    def _drain(self) -> None:
        """Run the calls that came at the end, or later. The handler has no channel then."""
        with self._drain_lock:
            self._handler.connection_lost(BrokerUnavailable("the connection was closed"))
            self._run_calls()
            self._handler.flush()

    def _connect(self) -> None:
        if self._closing:
            return
        self._address = self._addresses[self._tries % len(self._addresses)]
        self._tries += 1
        self._handler_stopped = False
        self._aborted = False
        self._setting_up = False
        self._set_timeout(SETUP_TIMEOUT)
        self._connection = RabbitConnection(
            self._address.parameters(self._role),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_disconnected,
            on_close_callback=self._on_disconnected,
            custom_ioloop=self._loop,
        )

    def _on_open(self, connection: RabbitConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        unresponsive = self._stalls >= MAX_STALLS
        TopologySetup(
            connection,
            self,
            self._handler.queue,
            self._address.place,
            self._on_queue_recreated,
            unresponsive=unresponsive,
        ).start()

    def topology_ready(self, channel: Channel) -> None:
        """Set up the handler: the queues exist."""
        connection = self._connection
        if connection is not None and channel.connection is connection:
            self._setting_up = True
            self._handler.set_up(connection, channel, self._on_handler_ready)

    def channel_closed(self, channel: Channel, reason: Exception) -> None:
        """Reconnect after a channel has failed, so that every loss is handled in the same way."""
        if channel.connection is self._connection:
            self.reconnect(translate(reason, self._address.place))

    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        """Call a function after `delay` seconds."""
        self._loop.call_later(delay, function)

    def extend_timeout(self, timeout: float) -> None:
        """Wait `timeout` seconds from now for the setup to finish."""
        self._stalls = 0
        self._set_timeout(timeout)

    def _on_handler_ready(self) -> None:
        self._clear_timeout()
        self._setting_up = False
        self._stalls = 0
        self._connected_at = time.monotonic()
        failed = self._failure is not None
        # Before others see that it is connected.
        self._failure = None
        self._connected = True
        if failed:
            logger.info("%s: the %s is connected again", self._address.place, self._role)

    def _on_blocked(self, _connection: RabbitConnection, frame: Method) -> None:
        self._blocked_reason = f"{self._address.place} accepts no messages for now: {frame.method.reason}"
        logger.warning("%s", self._blocked_reason)

    def _on_unblocked(self, _connection: RabbitConnection, _frame: Method) -> None:
        self._blocked_reason = ""
        logger.info("%s accepts messages again", self._address.place)

    def _on_disconnected(self, connection: RabbitConnection, reason: Exception) -> None:
        if connection is self._connection:
            self._connection = None
            self._stop_handler(translate(reason, self._address.place))
            self._schedule_reconnect()

    def _stop_handler(self, error: BrokerError) -> None:
        """Report the loss of this connection to the handler, once: later errors would hide the cause."""
        if self._handler_stopped:
            return
        self._handler_stopped = True
        was_stable = self._connected and time.monotonic() - self._connected_at > BACKOFF_RESET_AFTER
        self._failures = 1 if was_stable else self._failures + 1
        if not self._closing:
            if type(error) is not type(self._failure):
                logger.warning("%s (%s)", error, self._role)
            self._failure = error
        self._connected = False
        self._blocked_reason = ""
        self._handler.connection_lost(error)

    def _schedule_reconnect(self) -> None:
        self._clear_timeout()
        if self._closing:
            self._should_end = True
            return
        delay = RECONNECT_BACKOFF.delay(self._failures - 1, random.random())  # noqa: S311  it spreads clients, it is not a secret
        self._loop.call_later(delay, self._connect)

    def _start_closing(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._stop_handler(BrokerUnavailable("the connection was closed"))
        if self._connection is None:
            self._should_end = True
        else:
            self._close_connection(self._connection)

    def _close_connection(self, connection: RabbitConnection) -> None:
        if not (connection.is_closing or connection.is_closed):
            self._set_timeout(CLOSE_TIMEOUT)
            connection.close()

    def _set_timeout(self, timeout: float) -> None:
        self._clear_timeout()
        self._timeout = self._loop.call_later(timeout, self._on_timeout)

    def _clear_timeout(self) -> None:
        if self._timeout is not None:
            self._loop.remove_timeout(self._timeout)
            self._timeout = None

    def _on_timeout(self) -> None:
        """Abort a connection that takes too long. The second time, do not wait for it to close."""
        self._timeout = None
        connection = self._connection
        if connection is None:
            return
        error = TimeoutError("it did not respond in time")
        self._stalls += self._setting_up
        self._setting_up = False
        self._stop_handler(translate(error, self._address.place))
        if self._aborted:
            self._on_disconnected(connection, error)
            return
        self._aborted = True
        self._set_timeout(CLOSE_TIMEOUT)
        connection.abort(error)

    def _recover(self, error: Exception) -> None:
        """Replace the connection and the event loop after an unexpected error of pika."""
        logger.debug("unexpected error of pika", exc_info=error)
        connection, self._connection = self._connection, None
        self._stop_handler(translate(error, self._address.place))
        with contextlib.suppress(Exception):
            if connection is not None:
                connection.abort(error)
                # A callback in the loop closes the socket.
                self._loop.process_timeouts()
        self._timeout = None
        former, self._loop = self._loop, IOLoop()
        self._loop.activate_poller()
        with contextlib.suppress(Exception):
            former.close()
        self._schedule_reconnect()
