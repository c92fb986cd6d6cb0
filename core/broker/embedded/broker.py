"""The embedded queue as a broker: makes its publishers, consumers and gauges."""

from collections.abc import Callable
from pathlib import Path

from core.broker.base import DELIVERY_LIMIT, Broker, Consumer, DepthGauge, OnPublishResults, Publisher, Queue
from core.broker.embedded.consumer import EmbeddedConsumer
from core.broker.embedded.liveness_lock import LivenessLocks
from core.broker.embedded.publisher import EmbeddedPublisher
from core.broker.embedded.queue_file import LOCK_TIMEOUT, QueueFile
from core.errors import BrokerError, BrokerUnavailable
from core.model import Depth

LEASE_DURATION = 10.0
"""Seconds without a renewal after which a consumer's messages go to other consumers."""


class EmbeddedBroker(Broker):
    """A message queue in one file, for the processes of one machine.

    Args:
        path: the file; created when missing.
        lease: seconds without a renewal after which a consumer's messages go to others.
        delivery_limit: the redeliveries of a message before it becomes a dead letter.
    """

    def __init__(self, path: Path, *, lease: float = LEASE_DURATION, delivery_limit: int = DELIVERY_LIMIT) -> None:
        super().__init__()
        self._path = path
        self._lease = lease
        self._delivery_limit = delivery_limit

    @property
    def description(self) -> str:
        """The kind and path of the queue."""
        return f"embedded queue in {self._path}"

    def prepare(self) -> None:
        """Make sure that the file exists and can be written."""
        with self._open() as file:
            file.probe()

    def check(self, timeout: float) -> None:
        """Make sure that the file can be written. A missing file is fine: its first user creates it."""
        if self._path.exists():
            with self._open(min(timeout, LOCK_TIMEOUT)) as file:
                file.probe()

    def publisher(self, on_settled: OnPublishResults) -> Publisher:
        """Make a publisher."""
        return EmbeddedPublisher(self._open, on_settled)

    def consumer(self, queue: Queue, prefetch: int) -> Consumer:
        """Make a consumer; it begins to claim at once."""
        return EmbeddedConsumer(self._open, queue, prefetch, self._lease, LivenessLocks(self._path))

    def gauge(self) -> DepthGauge:
        """Make a gauge."""
        return EmbeddedGauge(self._open_existing)

    def _open_existing(self) -> QueueFile:
        """Open the file for a reader, which must not create it."""
        if not self._path.exists():
            raise BrokerUnavailable(f"there is no queue in {self._path} yet")
        return self._open()

    def _open(self, lock_timeout: float = LOCK_TIMEOUT) -> QueueFile:
        file = QueueFile(self._path, self._delivery_limit, lock_timeout=lock_timeout)
        if file.created:
            self._count_recreation()
        return file


class EmbeddedGauge(DepthGauge):
    """A gauge that reads the running totals in the file.

    Args:
        open_file: opens a connection to the file.
    """

    def __init__(self, open_file: Callable[[], QueueFile]) -> None:
        self._open_file = open_file
        self._file: QueueFile | None = None
        self._closed = False

    def read(self) -> Depth:
        """Read how many messages are ready."""
        if self._closed:
            raise BrokerUnavailable("the gauge is closed")
        try:
            if self._file is None:
                self._file = self._open_file()
            self._file.check_identity()
            return self._file.depth()
        except BrokerError as error:
            self._close_file()
            raise BrokerUnavailable(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
