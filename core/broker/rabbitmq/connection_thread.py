"""One connection to RabbitMQ and the thread that owns it, for as long as a publisher, consumer or gauge lives.

pika's connections may be touched by one thread only, so everything is done in this one: others hand over functions
by `call`. When the connection is lost, for whatever reason, it is made again, for ever.
What is done with the connection is the business of a `ChannelHandler`.
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

SETUP_SECONDS = 10.0
"""How long it may take from the first packet until the duty is set up."""

CLOSE_SECONDS = 2.0
"""How long the broker may take to answer that a connection is to be closed."""

STEADY_SECONDS = 10.0
"""How long a connection has to last for its loss to be a first failure again."""

STALLS = 2
"""So many times in a row a duty may find its queue silent before the queue is made anew."""


class ChannelHandler(ABC):
    """What is done with a connection. Every method is called in the thread that owns it, and must not wait.

    Attributes:
        queue: what it can't do without.
    """

    queue = Queue.TASKS

    @abstractmethod
    def set_up(self, connection: RabbitConnection, channel: Channel, done: Callable[[], None]) -> None:
        """Begin with a new channel, on which the queues have been declared; call `done` when ready."""

    @abstractmethod
    def lost(self, error: BrokerError) -> None:
        """Forget the channel, if there is one. Also called when a try at a connection has failed."""

    @abstractmethod
    def turned(self) -> None:
        """Do what is done once for everything that came in together."""


class ConnectionThread(SetupOwner):
    """Owns the thread and the connection. `call`, `close` and the properties are for any thread.

    Args:
        addresses: where to connect to, in turn.
        duty: what is done with the connection.
        role: for logs, and for people who look at RabbitMQ's connections.
        on_birth: called when the tasks queue was missing and is made; None for those who only look, and make none.
    """

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        duty: ChannelHandler,
        role: str,
        on_queue_recreated: Callable[[], None] | None = None,
    ) -> None:
        self._addresses = addresses
        self._address = addresses[0]
        self._duty = duty
        self._role = role
        self._on_queue_recreated = on_queue_recreated
        self._setting_up = False
        self._stalls = 0
        self._inbox: deque[Callable[[], None]] = deque()
        self._woken = False
        self._loop = IOLoop()
        self._connection: RabbitConnection | None = None
        self._tries = 0
        self._failures = 0
        self._connected = False
        self._connected_at = 0.0
        self._failure: BrokerError | None = None
        self._blocked = ""
        self._watch: object = None
        self._stopped = False
        self._given_up = False
        self._closing = False
        self._ended = False
        self._over = False
        self._last_words = threading.Lock()
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
            self._loop.add_callback_threadsafe(ignore)
        if self._over:
            self._finish()

    def restart(self, error: BrokerError) -> None:
        """Leave this connection for a new one. For the duty, in the owner's thread."""
        self._stop_duty(error)
        if self._connection is not None:
            self._close_connection(self._connection)

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
        self._over = True
        self._finish()
        self._loop.close()

    def _turn(self) -> None:
        self._loop.poll()
        self._loop.process_timeouts()
        self._empty_inbox()
        self._duty.turned()

    def _empty_inbox(self) -> None:
        # First this and then the look into the inbox: what is put down meanwhile wakes the loop again.
        self._woken = False
        while self._inbox:
            self._inbox.popleft()()

    def _finish(self) -> None:
        """Do what was handed over at the last moment, or later. The duty has no channel any more."""
        with self._last_words:
            self._duty.lost(BrokerUnavailable("the connection was closed"))
            self._empty_inbox()
            self._duty.turned()

    def _connect(self) -> None:
        if self._closing:
            return
        self._address = self._addresses[self._tries % len(self._addresses)]
        self._tries += 1
        self._stopped = False
        self._given_up = False
        self._setting_up = False
        self._set_watch(SETUP_SECONDS)
        self._connection = RabbitConnection(
            self._address.parameters(self._role),
            on_open_callback=self._opened,
            on_open_error_callback=self._disconnected,
            on_close_callback=self._disconnected,
            custom_ioloop=self._loop,
        )

    def _opened(self, connection: RabbitConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        silent = self._stalls >= STALLS
        TopologySetup(
            connection, self, self._duty.queue, self._address.place, self._on_queue_recreated, silent=silent
        ).begin()

    def arrived(self, channel: Channel) -> None:
        """The queues are there: have the duty set up."""
        connection = self._connection
        if connection is not None and channel.connection is connection:
            self._setting_up = True
            self._duty.set_up(connection, channel, self._set_up)

    def closed(self, channel: Channel, reason: Exception) -> None:
        """A channel that fails takes its connection with it: one way back serves for every loss."""
        if channel.connection is self._connection:
            self.restart(translate(reason, self._address.place))

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function after so many seconds."""
        self._loop.call_later(seconds, function)

    def allow(self, seconds: float) -> None:
        """Wait so long until the duty is set up."""
        self._stalls = 0
        self._set_watch(seconds)

    def _set_up(self) -> None:
        self._clear_watch()
        self._setting_up = False
        self._stalls = 0
        self._connected_at = time.monotonic()
        self._connected = True
        if self._failure is not None:
            logger.info("%s: the %s is connected again", self._address.place, self._role)
            self._failure = None

    def _on_blocked(self, _connection: RabbitConnection, frame: Method) -> None:
        self._blocked = f"{self._address.place} accepts no messages for now: {frame.method.reason}"
        logger.warning("%s", self._blocked)

    def _on_unblocked(self, _connection: RabbitConnection, _frame: Method) -> None:
        self._blocked = ""
        logger.info("%s accepts messages again", self._address.place)

    def _disconnected(self, connection: RabbitConnection, reason: Exception) -> None:
        if connection is self._connection:
            self._connection = None
            self._stop_duty(translate(reason, self._address.place))
            self._plan_next()

    def _stop_duty(self, error: BrokerError) -> None:
        """Note the loss of this connection, once: what follows from it would hide the cause."""
        if self._stopped:
            return
        self._stopped = True
        steady = self._connected and time.monotonic() - self._connected_at > STEADY_SECONDS
        self._failures = 1 if steady else self._failures + 1
        if not self._closing:
            if type(error) is not type(self._failure):
                logger.warning("%s (%s)", error, self._role)
            self._failure = error
        self._connected = False
        self._blocked = ""
        self._duty.lost(error)

    def _plan_next(self) -> None:
        self._clear_watch()
        if self._closing:
            self._ended = True
            return
        wait = RECONNECT_BACKOFF.delay(self._failures - 1, random.random())  # noqa: S311  it spreads clients, it hides nothing
        self._loop.call_later(wait, self._connect)

    def _begin_to_close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._stop_duty(BrokerUnavailable("the connection was closed"))
        if self._connection is None:
            self._ended = True
        else:
            self._close_connection(self._connection)

    def _close_connection(self, connection: RabbitConnection) -> None:
        if not (connection.is_closing or connection.is_closed):
            self._set_watch(CLOSE_SECONDS)
            connection.close()

    def _set_watch(self, seconds: float) -> None:
        self._clear_watch()
        self._watch = self._loop.call_later(seconds, self._give_up)

    def _clear_watch(self) -> None:
        if self._watch is not None:
            self._loop.remove_timeout(self._watch)
            self._watch = None

    def _give_up(self) -> None:
        """Drop a connection that takes too long, and the second time not even wait for that."""
        self._watch = None
        connection = self._connection
        if connection is None:
            return
        error = TimeoutError("it did not answer in time")
        self._stalls += self._setting_up
        self._setting_up = False
        self._stop_duty(translate(error, self._address.place))
        if self._given_up:
            self._disconnected(connection, error)
            return
        self._given_up = True
        self._set_watch(CLOSE_SECONDS)
        connection.drop(error)

    def _start_over(self, error: Exception) -> None:
        """Leave everything of pika's behind after an error that it should not have raised."""
        logger.debug("unexpected", exc_info=error)
        connection, self._connection = self._connection, None
        self._stop_duty(translate(error, self._address.place))
        with contextlib.suppress(Exception):
            if connection is not None:
                connection.drop(error)
                # The socket is closed by a callback that this has put into the loop.
                self._loop.process_timeouts()
        self._watch = None
        former, self._loop = self._loop, IOLoop()
        self._loop.activate_poller()
        with contextlib.suppress(Exception):
            former.close()
        self._plan_next()
