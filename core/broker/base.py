"""What a message broker can do for Cauce, and the messages it carries.

The broker is only transport: the journal is the truth, so a message is a reference to a task in the journal,
and may be delivered twice, late, or after the task has ended. It must not be lost silently once it is confirmed.
Nothing here knows which broker is behind it.
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
"""Between tries at a broker that can't be reached or doesn't confirm."""

DELIVERY_LIMIT = 20
"""How often a message is delivered again before it becomes a dead letter."""


class Queue(enum.StrEnum):
    """The two queues of the system."""

    TASKS = "cauce.tasks"
    DEAD = "cauce.dead"


class Reference(msgspec.Struct, frozen=True):
    """The body of a message: which task, and which attempt at it."""

    id: str
    seq: int
    attempt: int
    at: float
    """When it was published, seconds since the epoch. It tells one message for an attempt from another."""
    generation: int | None = None
    """Of the queue, as far as its publisher knew it, as the journal counts them; None in a message that doesn't tell.

    What was published before the present one began is, or will be, published again: a journal's redispatch sees to it.
    """

    def is_outdated(self, generation: int) -> bool:
        """Whether it was published before this generation of the queue began."""
        return self.generation is not None and self.generation < generation


class Message(msgspec.Struct, frozen=True):
    """One message to publish."""

    tag: int
    """The caller's own number, given back in `PublishResult`; unique among the messages that are not settled."""
    id: str
    kind: str
    body: bytes


class PublishResult(msgspec.Struct, frozen=True):
    """What became of one published message."""

    tag: int
    confirmed: bool
    """The broker has it and will keep it. False: it may or may not have it, and must be asked again."""
    reason: str = ""
    """Why it is not confirmed."""


OnPublishResults = Callable[[Sequence[PublishResult]], None]


class Delivery(msgspec.Struct, frozen=True):
    """One message that a consumer holds until it is acknowledged."""

    body: bytes
    redeliveries: int
    """How often it was delivered before, as far as the broker tells: 0 the first time."""
    receipt: object
    """What the consumer that delivered it needs to acknowledge it; nothing to anybody else."""


class Publisher(Closeable):
    """Publishes to the tasks queue, with publisher confirms.

    It connects by itself, in the background, again and again.
    `send` belongs to one thread. Every message that was sent is settled exactly once, by a call of `on_settled`,
    from a thread of the publisher's or from within `send`.
    """

    @property
    @abstractmethod
    def available(self) -> bool:
        """Whether messages can be sent now: connected, and not blocked by the broker."""

    @property
    @abstractmethod
    def trouble(self) -> str:
        """Why it is not available, as a sentence for people; empty when it is."""

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> None:
        """Hand over messages; never waits for the broker. When it is away they are settled as not confirmed."""

    @abstractmethod
    def close(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for what was sent to settle, settle the rest as not confirmed, disconnect."""


class Consumer(Closeable):
    """Takes messages from one queue and holds each until it is acknowledged.

    It connects by itself, in the background, again and again; what it held when a connection was lost
    will be delivered again, perhaps to another consumer, and its acknowledgement is then ignored.
    `receive` belongs to one thread; all the others but `close` may be called from any.
    """

    @property
    @abstractmethod
    def trouble(self) -> str:
        """Why nothing can be received now, as a sentence for people; empty when it can."""

    @abstractmethod
    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first; empty when none came."""

    @abstractmethod
    def holds(self, delivery: Delivery) -> bool:
        """Whether this is still held here, as far as is known: what is not is, or will be, delivered again."""

    @abstractmethod
    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker to forget these. Those of a former connection are ignored."""

    @abstractmethod
    def reject(self, delivery: Delivery) -> None:
        """Make this a dead letter at once (on the dead-letter queue: drop it)."""

    @abstractmethod
    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on."""

    def renew(self) -> None:
        """Leave what may be a connection to a queue that is gone for a new one; what was held is held no more.

        A broker that can't leave anybody with such a connection has nothing to do.
        """

    @abstractmethod
    def close(self) -> None:
        """Carry out the acknowledgements made before, give back everything else, disconnect."""


class DepthGauge(Closeable):
    """Reads the depth of the queues. Belongs to one thread."""

    @abstractmethod
    def read(self) -> Depth:
        """Count the messages.

        Raises:
            BrokerUnavailable: the broker can't be asked now.
        """


class Broker(ABC):
    """A message broker, as it is configured: makes the things above. It holds no connection itself.

    Attributes:
        on_birth: called, from any thread, each time the tasks queue was missing and was made by this process.
            What was on it is gone: the journal has to have its queued tasks published again, at once,
            before much has come to the new queue.
    """

    def __init__(self) -> None:
        self.on_queue_recreated: Callable[[], None] = ignore
        self._counting = threading.Lock()
        self._births = 0

    @property
    def recreations(self) -> int:
        """How often this process has found the tasks queue missing, and made it."""
        return self._births

    @property
    @abstractmethod
    def description(self) -> str:
        """What and where it is, for people, without a password."""

    @abstractmethod
    def prepare(self) -> None:
        """Reach the broker once and make sure that the queues exist as they should.

        Raises:
            BrokerUnavailable: it can't be reached.
            BrokerMisconfigured: it refuses us or our queues.
        """

    @abstractmethod
    def check(self, timeout: float) -> None:
        """Have the broker take a message and give it back, on a queue that nobody else sees.

        Args:
            timeout: seconds that it has for that.

        Raises:
            BrokerUnavailable: it doesn't, or can't be reached.
            BrokerMisconfigured: it refuses us or our queues.
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
        with self._counting:
            self._births += 1
        self.on_queue_recreated()
