"""The embedded queue as a broker: makes its publishers, consumers and gauges."""

from pathlib import Path

from core.broker.base import DELIVERY_LIMIT, Broker, Gauge, OnSettled, Publisher, Queue
from core.broker.embedded.consumer import EmbeddedConsumer
from core.broker.embedded.publisher import EmbeddedPublisher
from core.broker.embedded.queuefile import QueueFile
from core.errors import BrokerError, BrokerUnavailable
from core.model import Depth

LEASE = 10.0
"""Seconds after which the messages of a consumer that gives no sign of life go to others."""


class EmbeddedBroker(Broker):
    """A message queue in one file, for the processes of one machine.

    Args:
        path: the file; it is created when missing.
        lease: after how many seconds without a sign of life a consumer's messages go to others.
        delivery_limit: how often a message is delivered again before it becomes a dead letter.
    """

    def __init__(self, path: Path, *, lease: float = LEASE, delivery_limit: int = DELIVERY_LIMIT) -> None:
        self._path = path
        self._lease = lease
        self._delivery_limit = delivery_limit

    @property
    def description(self) -> str:
        """What and where it is."""
        return f"embedded queue in {self._path}"

    def prepare(self) -> None:
        """Make sure that the file exists and can be written."""
        with self._open() as file:
            file.probe()

    def publisher(self, on_settled: OnSettled) -> Publisher:
        """Make a publisher."""
        return EmbeddedPublisher(self._open, on_settled)

    def consumer(self, queue: Queue, prefetch: int) -> EmbeddedConsumer:
        """Make a consumer; it begins to claim at once."""
        return EmbeddedConsumer(self._open, queue, prefetch, self._lease)

    def gauge(self) -> Gauge:
        """Make a gauge."""
        return EmbeddedGauge(self)

    def _open(self) -> QueueFile:
        return QueueFile(self._path, self._delivery_limit)

    def open_file(self) -> QueueFile:
        """Open a connection of its own for whoever calls it, to be used in that thread."""
        return QueueFile(self._path, self._delivery_limit)
