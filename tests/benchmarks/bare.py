"""pika and SQLite, used directly and as fast as possible: the work of `ceiling`."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import msgspec
import pika
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from core.broker.base import Reference
from core.closeable import Closeable
from core.database import Database
from core.repository.sqlite import FAULTS

QUEUE = "ceiling"
PREFETCH = 1000
BATCH = 200
"""Rows in a transaction."""

_decode = msgspec.json.Decoder(Reference).decode
_encode = msgspec.json.Encoder().encode


class ChannelWork(ABC):
    """Work on a channel.

    Attributes:
        seconds: duration of the work.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        self._finished: Callable[[], None]

    def start(self, channel: Channel, finished: Callable[[], None]) -> None:
        """Begin on a channel on which the queue is declared; call `finished` at the end."""
        self._finished = finished
        self._begin(channel)

    def _end(self) -> None:
        self.seconds = time.perf_counter() - self._began
        self._finished()

    @abstractmethod
    def _begin(self, channel: Channel) -> None:
        """Set up the channel, record the start time, and begin."""


class Publishing(ChannelWork):
    """Publishes messages, with confirms.

    Args:
        messages: number of messages.
        window: messages that may be unconfirmed.
    """

    def __init__(self, messages: int, window: int) -> None:
        super().__init__()
        self._messages = messages
        self._window = window
        self._published = 0
        self._confirmed = 0
        self._channel: Channel
        self._persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)

    def _begin(self, channel: Channel) -> None:
        self._channel = channel
        channel.confirm_delivery(self._answered, callback=self._selected)

    def _selected(self, _frame: Method) -> None:
        self._began = time.perf_counter()
        self._publish()

    def _publish(self) -> None:
        last = min(self._messages, self._confirmed + self._window)
        while self._published < last:
            self._published += 1
            body = _encode(Reference(f"ceiling-{self._published}", self._published, 0, time.time()))
            self._channel.basic_publish("", QUEUE, body, self._persistent)

    def _answered(self, frame: Method) -> None:
        # The broker confirms in order; `multiple` means all up to the tag. It has no reason to refuse a message.
        assert isinstance(frame.method, Basic.Ack)
        self._confirmed += frame.method.delivery_tag - self._confirmed if frame.method.multiple else 1
        if self._confirmed >= self._messages:
            self._end()
        elif self._published - self._confirmed <= self._window // 2:
            self._publish()


class Consuming(ChannelWork, Closeable):
    """Consumes messages, stores a row for each, and acknowledges them."""

    def __init__(self, messages: int, path: Path) -> None:
        super().__init__()
        self._messages = messages
        self._consumed = 0
        self._rows: list[tuple[int, str, float]] = []
        self._database = Database(path, FAULTS)
        self._database.execute("CREATE TABLE results (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, stored_at REAL)")

    def stored(self) -> int:
        """Return the number of rows."""
        return self._database.number("SELECT count(*) FROM results")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _begin(self, channel: Channel) -> None:
        channel.basic_qos(prefetch_count=PREFETCH)
        self._began = time.perf_counter()
        channel.basic_consume(QUEUE, self._delivered)

    def _delivered(
        self, channel: Channel, method: Basic.Deliver, _properties: pika.BasicProperties, body: bytes
    ) -> None:
        reference = _decode(body)
        self._rows.append((reference.seq, reference.id, time.time()))
        self._consumed += 1
        if len(self._rows) == BATCH or self._consumed == self._messages:
            with self._database.transaction():
                self._database.execute_many("INSERT INTO results VALUES (?, ?, ?)", self._rows)
            self._rows.clear()
            channel.basic_ack(method.delivery_tag, multiple=True)
            if self._consumed == self._messages:
                self._end()


def run_work(url: str, work: ChannelWork) -> None:
    """Connect, declare a quorum queue, do the work, and disconnect."""
    failures: list[Exception] = []

    def opened(connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=lambda channel: declare(connection, channel))

    def declare(connection: pika.SelectConnection, channel: Channel) -> None:
        channel.queue_declare(
            QUEUE,
            durable=True,
            arguments={"x-queue-type": "quorum"},
            callback=lambda _frame: work.start(channel, connection.close),
        )

    def closed(connection: pika.SelectConnection, reason: Exception) -> None:
        if not isinstance(reason, pika.exceptions.ConnectionClosedByClient):
            failures.append(reason)
        connection.ioloop.stop()

    connection = pika.SelectConnection(
        pika.URLParameters(url), on_open_callback=opened, on_open_error_callback=closed, on_close_callback=closed
    )
    connection.ioloop.start()
    connection.ioloop.close()
    if failures:
        raise failures[0]
