"""Prepares an open connection: checks that the queues exist, and makes what is missing.

Of all processes that find the tasks queue missing, one makes it and reports it: the former messages are lost.
A queue that does not respond is recreated. All this runs in the thread that owns the connection.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from core.broker.base import Queue
from core.broker.rabbitmq.connection import RabbitConnection
from core.broker.rabbitmq.topology import RECREATE_LOCK, declare, declare_exchanges

RECREATE_TIMEOUT = 30.0
"""Seconds to recreate a queue: RabbitMQ itself waits some seconds for one that does not respond."""

RECREATE_DELAY = 0.5
"""Seconds before a missing queue is recreated, so that its former consumers are notified first.

A channel of RabbitMQ that notices the deletion only when the queue is back does not notify its client. It consumes
from the new queue, and applies acknowledgements for messages of the former queue to messages of the new one, which are
then lost.
"""

RECREATE_POLL_INTERVAL = 0.1
"""Seconds between checks whether another process has recreated the queue."""

_NOT_FOUND = 404
_RESOURCE_LOCKED = 405

_log = logging.getLogger("cauce.broker")


class SetupOwner(ABC):
    """The owner of the connection, as a setup sees it."""

    @abstractmethod
    def topology_ready(self, channel: Channel) -> None:
        """Continue with this channel: the queues exist."""

    @abstractmethod
    def channel_closed(self, channel: Channel, reason: Exception) -> None:
        """Handle a closed channel, during or after the setup, that the setup did not expect."""

    @abstractmethod
    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        """Call a function after `delay` seconds."""

    @abstractmethod
    def extend_timeout(self, timeout: float) -> None:
        """Wait `timeout` seconds from now for the setup to finish."""


class TopologySetup:
    """The sequence of requests that prepares one connection, from the first check to the declared queues.

    Args:
        connection: an open connection.
        owner: the connection's owner.
        queue: the queue that the owner needs.
        place: the broker's address, for people.
        on_queue_recreated: called when the missing tasks queue was made. None for an owner that only reads: then no
            queue is made.
        unresponsive: whether earlier setups timed out at `queue`, which is then recreated if it seems to have neither
            messages nor consumers.
    """

    def __init__(
        self,
        connection: RabbitConnection,
        owner: SetupOwner,
        queue: Queue,
        place: str,
        on_queue_recreated: Callable[[], None] | None,
        *,
        unresponsive: bool,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._queue = queue
        self._place = place
        self._on_queue_recreated = on_queue_recreated
        self._unresponsive = unresponsive
        self._checking = False
        self._locking = False
        self._locked = False

    def start(self) -> None:
        """Check for the tasks queue. RabbitMQ closes the channel when the queue is missing."""
        self._open_channel(self._check_tasks_queue)

    def _open_channel(self, on_open: Callable[[Channel], None]) -> None:
        def opened(channel: Channel) -> None:
            channel.add_on_close_callback(self._on_channel_closed)
            on_open(channel)

        if self._connection.is_open:
            self._connection.channel(on_open_callback=opened)

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        code = reason.reply_code if isinstance(reason, ChannelClosedByBroker) else 0
        if self._checking and code == _NOT_FOUND:
            self._checking = False
            self._on_tasks_queue_missing()
        elif self._locking and code == _RESOURCE_LOCKED:
            # Another process is recreating the queue.
            self._locking = False
            self._owner.call_later(RECREATE_POLL_INTERVAL, self.start)
        else:
            self._owner.channel_closed(channel, reason)

    def _check_tasks_queue(self, channel: Channel) -> None:
        if channel.is_open:
            self._checking = True
            channel.queue_declare(
                Queue.TASKS.value, passive=True, callback=lambda _frame: self._on_tasks_queue_found(channel)
            )

    def _on_tasks_queue_found(self, channel: Channel) -> None:
        self._checking = False
        if self._locked:
            # Another process has just made it.
            self._release_lock(channel, lambda: self._on_tasks_queue_found(channel))
        elif self._unresponsive:
            channel.queue_declare(
                self._queue.value, passive=True, callback=lambda frame: self._delete_if_unused(channel, frame)
            )
        else:
            self._declare(channel)

    def _declare(self, channel: Channel) -> None:
        declare(channel, lambda: self._owner.topology_ready(channel))

    # The tasks queue is missing.

    def _on_tasks_queue_missing(self) -> None:
        if self._on_queue_recreated is None:
            self._open_channel(lambda channel: declare_exchanges(channel, lambda: self._owner.topology_ready(channel)))
        elif self._locked:
            self._open_channel(self._recreate)
        else:
            self._open_channel(self._acquire_lock)

    def _acquire_lock(self, channel: Channel) -> None:
        """Become the only process that makes the queue, or be refused: each recreation causes one redispatch."""
        self._locking = True
        channel.queue_declare(RECREATE_LOCK, exclusive=True, callback=lambda _frame: self._on_lock_acquired(channel))

    def _on_lock_acquired(self, channel: Channel) -> None:
        self._locking = False
        self._locked = True
        self._owner.call_later(RECREATE_DELAY, lambda: self._check_tasks_queue(channel))

    def _release_lock(self, channel: Channel, on_released: Callable[[], None]) -> None:
        self._locked = False
        channel.queue_delete(RECREATE_LOCK, callback=lambda _frame: on_released())

    def _recreate(self, channel: Channel) -> None:
        declare(channel, lambda: self._on_recreated(channel))

    def _on_recreated(self, channel: Channel) -> None:
        if self._on_queue_recreated is not None:
            self._on_queue_recreated()
        if self._locked:
            self._release_lock(channel, lambda: self._owner.topology_ready(channel))
        else:
            self._owner.topology_ready(channel)

    # The queue exists, and does not respond.

    def _delete_if_unused(self, channel: Channel, frame: Method) -> None:
        """Delete the queue, to recreate it, if it seems to have neither messages nor consumers.

        RabbitMQ 3.10 leaves such a queue behind when it is killed within a second after the queue was made: the queue
        has no leader, and never gets one.
        """
        if frame.method.message_count or frame.method.consumer_count:
            self._declare(channel)
            return
        _log.warning("%s: the queue %s does not respond; recreating it", self._place, self._queue.value)
        self._unresponsive = False
        self._owner.extend_timeout(RECREATE_TIMEOUT)
        channel.queue_delete(self._queue.value, callback=lambda _frame: self._on_deleted(channel))

    def _on_deleted(self, channel: Channel) -> None:
        if self._queue is Queue.TASKS:
            # Check again: another process may have deleted and recreated it meanwhile.
            self._check_tasks_queue(channel)
        else:
            self._recreate(channel)
