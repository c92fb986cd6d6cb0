"""The consumer of one queue: receives and acknowledges messages in batches."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty

from core.broker.base import Consumer, Delivery, Queue
from core.broker.rabbitmq.addresses import BrokerAddress
from core.broker.rabbitmq.connection_thread import ConnectionThread
from core.broker.rabbitmq.consumer_channel import ConsumerChannel, receipt_of

CLOSE_TIMEOUT = 5.0
"""Seconds for the broker to read the acknowledgements made before, and to close the connection."""


class RabbitConsumer(Consumer):
    """A consumer of RabbitMQ, which takes batches from the connection's thread, and passes acknowledgements to it.

    Args:
        addresses: the addresses to connect to, in turn.
        queue: the queue to consume.
        prefetch: the number of messages that may be held.
        on_queue_recreated: called, in another thread, when the missing tasks queue was made.
    """

    def __init__(
        self, addresses: Sequence[BrokerAddress], queue: Queue, prefetch: int, on_queue_recreated: Callable[[], None]
    ) -> None:
        self._handler = ConsumerChannel(queue, prefetch)
        self._thread = ConnectionThread(addresses, self._handler, f"consumer of {queue.value}", on_queue_recreated)
        self._handler.reconnect = self._thread.reconnect
        self._received: deque[Delivery] = deque()
        self._closed = False
        self._thread.start()

    @property
    def trouble(self) -> str:
        """The reason why nothing can be received now."""
        return self._thread.trouble

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first."""
        taken = self._take(limit)
        deadline = time.monotonic() + timeout
        while not taken and not self._closed:
            try:
                self._received.extend(self._handler.batches.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
            taken = self._take(limit)
        return taken

    def holds(self, delivery: Delivery) -> bool:
        """Return whether the connection that delivered it still exists."""
        return receipt_of(delivery).session.is_open

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge deliveries, with as few frames as is safe."""
        if deliveries:
            self._thread.call(partial(self._handler.ack, tuple(deliveries)))

    def reject(self, delivery: Delivery) -> None:
        """Make this a dead letter at once."""
        self._thread.call(partial(self._handler.reject, delivery))

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on; those already received are kept."""
        self._thread.call(partial(self._handler.resize, prefetch))

    def renew(self) -> None:
        """Consume over a new connection. What this one has delivered is not held from now on."""
        self._handler.disown()
        self._thread.call(self._handler.renew)

    def close(self) -> None:
        """Send the acknowledgements made before and disconnect, which requeues everything else."""
        self._closed = True
        # Wakes a thread that waits in `receive`.
        self._handler.batches.put([])
        self._thread.close(CLOSE_TIMEOUT)

    def _take(self, limit: int) -> list[Delivery]:
        """Take messages without waiting. Those of a lost connection are skipped: they are delivered again."""
        taken: list[Delivery] = []
        while len(taken) < limit:
            if not self._received:
                try:
                    self._received.extend(self._handler.batches.get_nowait())
                except Empty:
                    break
                continue
            delivery = self._received.popleft()
            if receipt_of(delivery).session.is_open:
                taken.append(delivery)
        return taken
