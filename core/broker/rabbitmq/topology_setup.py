"""From a connection that is open to queues that are there: looks for them, and makes what is missing.

Of all who find the tasks queue missing, one makes it, and tells: what was on it is gone.
A queue that answers nobody is made anew. All this is done in the thread that owns the connection.
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

RENEWAL_SECONDS = 30.0
"""How long it may take to make a queue anew: RabbitMQ itself waits some seconds for one that can't answer."""

RECREATE_DELAY = 0.5
"""So long it is waited before a queue is made that was missing, so that all who had consumed it learn of its end.

A channel of RabbitMQ's that learns of it only when the queue is there again says nothing to its client. It goes on with
the new queue, and takes acknowledgements of the former one's messages for some of the new one's, which are lost then.
"""

RECREATE_TIMEOUT = 0.1
"""After so long it is looked again whether another of us has made the queue."""

_NOT_FOUND = 404
_LOCKED = 405

_log = logging.getLogger("cauce.broker")


class SetupOwner(ABC):
    """What an arrival needs of the one who owns the connection."""

    @abstractmethod
    def arrived(self, channel: Channel) -> None:
        """The queues are there; go on with this channel."""

    @abstractmethod
    def closed(self, channel: Channel, reason: Exception) -> None:
        """A channel was closed, before or after the arrival, and that means nothing to it."""

    @abstractmethod
    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function after so many seconds."""

    @abstractmethod
    def allow(self, seconds: float) -> None:
        """Wait so long for the arrival from now on."""


class TopologySetup:
    """The way of one connection.

    Args:
        connection: which is open.
        host: owns it.
        queue: what the host can't do without.
        place: of the broker, for people.
        on_birth: called when the tasks queue was missing and is made; None for those who only look, and make none.
        silent: whether `queue` has answered nobody for a while: it is made anew if it seems to hold and serve nobody.
    """

    def __init__(
        self,
        connection: RabbitConnection,
        host: SetupOwner,
        queue: Queue,
        place: str,
        on_queue_recreated: Callable[[], None] | None,
        *,
        silent: bool,
    ) -> None:
        self._connection = connection
        self._host = host
        self._queue = queue
        self._place = place
        self._on_queue_recreated = on_queue_recreated
        self._silent = silent
        self._scouting = False
        self._locking = False
        self._locked = False

    def begin(self) -> None:
        """Look whether the tasks queue is there, which has no answer but a closed channel when it is not."""
        self._open(self._scout)

    def _open(self, begin: Callable[[Channel], None]) -> None:
        def opened(channel: Channel) -> None:
            channel.add_on_close_callback(self._closed)
            begin(channel)

        if self._connection.is_open:
            self._connection.channel(on_open_callback=opened)

    def _closed(self, channel: Channel, reason: Exception) -> None:
        code = reason.reply_code if isinstance(reason, ChannelClosedByBroker) else 0
        if self._scouting and code == _NOT_FOUND:
            self._scouting = False
            self._go_on_without()
        elif self._locking and code == _LOCKED:
            # Another of us makes the queue at this moment.
            self._locking = False
            self._host.later(RECREATE_TIMEOUT, self.begin)
        else:
            self._host.closed(channel, reason)

    def _scout(self, channel: Channel) -> None:
        if channel.is_open:
            self._scouting = True
            channel.queue_declare(Queue.TASKS.value, passive=True, callback=lambda _frame: self._found(channel))

    def _found(self, channel: Channel) -> None:
        self._scouting = False
        if self._locked:
            # Another of us has made it just before.
            self._unlock(channel, lambda: self._found(channel))
        elif self._silent:
            channel.queue_declare(self._queue.value, passive=True, callback=lambda frame: self._examine(channel, frame))
        else:
            self._declare(channel)

    def _declare(self, channel: Channel) -> None:
        declare(channel, lambda: self._host.arrived(channel))

    # The tasks queue is missing.

    def _go_on_without(self) -> None:
        if self._on_queue_recreated is None:
            self._open(lambda channel: declare_exchanges(channel, lambda: self._host.arrived(channel)))
        elif self._locked:
            self._open(self._bear)
        else:
            self._open(self._lock)

    def _lock(self, channel: Channel) -> None:
        """Be the only one who makes the queue, or be refused: each birth has everything published again, once."""
        self._locking = True
        channel.queue_declare(RECREATE_LOCK, exclusive=True, callback=lambda _frame: self._have_lock(channel))

    def _have_lock(self, channel: Channel) -> None:
        self._locking = False
        self._locked = True
        self._host.later(RECREATE_DELAY, lambda: self._scout(channel))

    def _unlock(self, channel: Channel, done: Callable[[], None]) -> None:
        self._locked = False
        channel.queue_delete(RECREATE_LOCK, callback=lambda _frame: done())

    def _bear(self, channel: Channel) -> None:
        declare(channel, lambda: self._born(channel))

    def _born(self, channel: Channel) -> None:
        if self._on_queue_recreated is not None:
            self._on_queue_recreated()
        if self._locked:
            self._unlock(channel, lambda: self._host.arrived(channel))
        else:
            self._host.arrived(channel)

    # The queue is there, and silent.

    def _examine(self, channel: Channel, frame: Method) -> None:
        """Make it anew, if it seems to hold nothing and to serve nobody.

        RabbitMQ 3.10 leaves such a one behind when it is killed within a second after the queue was made: it has no
        leader, and never gets one.
        """
        if frame.method.message_count or frame.method.consumer_count:
            self._declare(channel)
            return
        _log.warning("%s: the queue %s answers nobody: making it anew", self._place, self._queue.value)
        self._silent = False
        self._host.allow(RENEWAL_SECONDS)
        channel.queue_delete(self._queue.value, callback=lambda _frame: self._deleted(channel))

    def _deleted(self, channel: Channel) -> None:
        if self._queue is Queue.TASKS:
            # Looked for anew: another of us may have done the same, and made it by now.
            self._scout(channel)
        else:
            self._bear(channel)
