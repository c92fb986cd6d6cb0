"""The embedded queue as a broker: makes its publishers, consumers and gauges."""

from collections.abc import Callable
from pathlib import Path

from core.broker.base import DELIVERY_LIMIT, Broker, Consumer, DepthGauge, OnPublishResults, Publisher, Queue
from core.broker.embedded.consumer import EmbeddedConsumer
from core.broker.embedded.liveness_lock import LivenessLocks
from core.broker.embedded.publisher import EmbeddedPublisher
from core.broker.embedded.queue_file import PATIENCE, QueueFile
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
        super().__init__()
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

    def check(self, timeout: float) -> None:
        """Make sure that the file can be written; whoever needs one makes it, so that one which is missing is fine."""
        if self._path.exists():
            with self._open(min(timeout, PATIENCE)) as file:
                file.probe()

    def publisher(self, on_settled: OnPublishResults) -> Publisher:
        """Make a publisher."""
        return EmbeddedPublisher(self._open, on_settled)

    def consumer(self, queue: Queue, prefetch: int) -> Consumer:
        """Make a consumer; it begins to claim at once."""
        return EmbeddedConsumer(self._open, queue, prefetch, self._lease, LivenessLocks(self._path))

    def gauge(self) -> DepthGauge:
        """Make a gauge."""
        return EmbeddedGauge(self._open_what_is_there)

    def _open_what_is_there(self) -> QueueFile:
        """Open the file for somebody who only looks, and makes none."""
        if not self._path.exists():
            raise BrokerUnavailable(f"there is no queue in {self._path} yet")
        return self._open()

    def _open(self, patience: float = PATIENCE) -> QueueFile:
        file = QueueFile(self._path, self._delivery_limit, patience=patience)
        if file.born:
            self._count_recreation()
        return file


class EmbeddedGauge(DepthGauge):
    """Reads the running totals.

    Args:
        open_file: opens a connection.
    """

    def __init__(self, open_file: Callable[[], QueueFile]) -> None:
        self._open_file = open_file
        self._file: QueueFile | None = None

    def read(self) -> Depth:
        """Read how many messages are ready."""
        try:
            if self._file is None:
                self._file = self._open_file()
            self._file.check_place()
            return self._file.depth()
        except BrokerError as error:
            self.close()
            raise BrokerUnavailable(str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
