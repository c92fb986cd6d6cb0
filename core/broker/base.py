"""The interface of a message broker, and the messages it carries.

The broker is only transport and the journal is the truth. A message is a reference to a task in the journal:
it may be delivered twice, late, or after the task has ended, but once confirmed it must not be lost silently.
This module must not know which broker is in use.
"""

import enum
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import msgspec

from core.backoff import Backoff
from core.callbacks import ignore
from core.closeable import Closeable
from core.model import Depth

RECONNECT_BACKOFF = Backoff(first=0.2, longest=5.0, low=0.0)
"""The delays between attempts to reach a broker that is unavailable or does not confirm."""

DELIVERY_LIMIT = 20
"""Redeliveries of a message before it becomes a dead letter."""


class Queue(enum.StrEnum):
    """The two queues of the system."""

    TASKS = "cauce.tasks"
    DEAD = "cauce.dead"


class Reference(msgspec.Struct, frozen=True):
    """The body of a message: a task and one attempt at it."""

    id: str
    seq: int
    attempt: int
    at: float
    """When it was published, in seconds since the epoch. It distinguishes two messages for the same attempt."""
    generation: int | None = None
    """The queue's generation in the journal, as its publisher knew it. None in a message that does not carry one.

    A message of an earlier generation is superseded: the journal's redispatch publishes its task again.
    """

    def is_outdated(self, generation: int) -> bool:
        """Return whether the message was published before this generation of the queue began."""
        return self.generation is not None and self.generation < generation


_decode_reference = msgspec.json.Decoder(Reference).decode


def parse_reference(body: bytes) -> Reference:
    """Parse the body of a message.

    Raises:
        ValueError: it is not a message of Cauce.
    """
    try:
        return _decode_reference(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


class Message(msgspec.Struct, frozen=True):
    """One message to publish."""

    tag: int
    """The caller's number for it, returned in `PublishResult`; unique among the messages that are not settled."""
    id: str
    kind: str
    body: bytes


class PublishResult(msgspec.Struct, frozen=True):
    """Whether one published message was confirmed."""

    tag: int
    confirmed: bool
    """Whether the broker has the message and will keep it. If False, the broker may still have it: publish it again."""
    reason: str = ""
    """The reason why it is not confirmed."""


OnPublishResults = Callable[[Sequence[PublishResult]], None]


class Delivery(msgspec.Struct, frozen=True):
    """One message that a consumer holds until it is acknowledged."""

    body: bytes
    redeliveries: int
    """The number of earlier deliveries, as far as the broker reports them: 0 the first time.

    RabbitMQ 4 counts those of the tasks queue for a dead letter too.
    """
    receipt: object
    """What the consumer that delivered it needs to acknowledge it; opaque to all others."""


class Publisher(Closeable):
    """A publisher to the tasks queue, with publisher confirms.

    It connects in the background and reconnects after every loss.
    `send` belongs to one thread. Each message sent is settled exactly once, by a call of `on_settled`,
    either from a thread of the publisher or from within `send`.
    """

    @property
    @abstractmethod
    def available(self) -> bool:
        """Whether messages can be sent now: it is connected, and the broker does not block it."""

    @property
    @abstractmethod
    def trouble(self) -> str:
        """The reason why it is not available, as a sentence for people, or an empty string when it is."""

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages without waiting. While the broker is unavailable they are settled as not confirmed."""

    @abstractmethod
    def close(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for confirms, settle the rest as not confirmed, and disconnect."""


class Consumer(Closeable):
    """A consumer of one queue, which holds each message until it is acknowledged.

    It connects in the background and reconnects after every loss. What it held when a connection was lost
    is delivered again, perhaps to another consumer; its earlier acknowledgement is then ignored.
    `receive` belongs to one thread; the other methods except `close` may be called from any.
    """

    @property
    @abstractmethod
    def trouble(self) -> str:
        """The reason why no message can be received now, as a sentence for people, or an empty string when one can."""

    @abstractmethod
    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first. Returns [] when none came."""

    @abstractmethod
    def holds(self, delivery: Delivery) -> bool:
        """Return whether this consumer still holds the message, as far as it knows. If not, it is delivered again."""

    @abstractmethod
    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge deliveries. Those of a former connection are ignored."""

    @abstractmethod
    def reject(self, delivery: Delivery) -> None:
        """Make this a dead letter at once. On the dead-letter queue, drop it."""

    @abstractmethod
    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on."""

    def renew(self) -> None:
        """Reconnect, because the queue was recreated and the connection may not have noticed.

        Nothing is held afterwards. Does nothing for a broker whose connections always notice.
        """

    @abstractmethod
    def close(self) -> None:
        """Write the acknowledgements made before, requeue everything else, and disconnect."""


class DepthGauge(Closeable):
    """A reader of the depth of the queues. It belongs to one thread."""

    @abstractmethod
    def read(self) -> Depth:
        """Count the messages.

        Raises:
            BrokerUnavailable: the broker does not answer now, or the gauge is closed.
        """


class Broker(ABC):
    """A configured message broker: makes publishers, consumers and gauges. It holds no connection itself.

    Attributes:
        on_queue_recreated: called, from any thread, each time this process has made the missing tasks queue.
            The former queue's messages are lost: the journal must redispatch its queued tasks at once,
            before many messages are on the new queue.
    """

    def __init__(self) -> None:
        self.on_queue_recreated: Callable[[], None] = ignore
        self._lock = threading.Lock()
        self._recreations = 0

    @property
    def recreations(self) -> int:
        """The number of times this process has made the missing tasks queue."""
        return self._recreations

    @property
    @abstractmethod
    def description(self) -> str:
        """The kind and address of the broker, for people, without a password."""

    @abstractmethod
    def prepare(self) -> None:
        """Connect to the broker once and make sure that the queues exist as they should.

        Raises:
            BrokerUnavailable: it can't be reached.
            BrokerMisconfigured: it refuses the connection or the queues.
        """

    @abstractmethod
    def check(self, timeout: float) -> None:
        """Have the broker take a message and return it, on a queue that no other client sees.

        Args:
            timeout: seconds after which the check fails.

        Raises:
            BrokerUnavailable: it can't be reached, or fails the check.
            BrokerMisconfigured: it refuses the connection or the queues.
        """

    @abstractmethod
    def publisher(self, on_settled: OnPublishResults) -> Publisher:
        """Make a publisher; it begins to connect at once."""

    @abstractmethod
    def consumer(self, queue: Queue, prefetch: int) -> Consumer:
        """Make a consumer of `queue` that holds at most `prefetch` messages; it begins to connect at once."""

    @abstractmethod
    def gauge(self) -> DepthGauge:
        """Make a gauge."""

    def _count_recreation(self) -> None:
        with self._lock:
            self._recreations += 1
        self.on_queue_recreated()
