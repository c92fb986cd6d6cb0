"""Consumes one queue: takes many at once, acknowledges many at once."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty

from core.broker.base import Consumer, Delivery, Queue
from core.broker.rabbitmq.addresses import BrokerAddress
from core.broker.rabbitmq.connection_thread import ConnectionThread
from core.broker.rabbitmq.consumer_channel import ConsumerChannel, receipt_of

CLOSE_SECONDS = 5.0
"""How long closing may take: until the broker has read the acknowledgements made before."""


class RabbitConsumer(Consumer):
    """What the callers see: takes what the thread of the link has put down, and hands acknowledgements over.

    Args:
        addresses: where to connect to, in turn.
        queue: which one.
        prefetch: how many messages may be held.
        on_birth: called, in another thread, when the tasks queue was missing and is made.
    """

    def __init__(
        self, addresses: Sequence[BrokerAddress], queue: Queue, prefetch: int, on_queue_recreated: Callable[[], None]
    ) -> None:
        self._intake = ConsumerChannel(queue, prefetch)
        self._link = ConnectionThread(addresses, self._intake, f"consumer of {queue.value}", on_queue_recreated)
        self._intake.restart = self._link.restart
        self._held: deque[Delivery] = deque()
        self._closed = False
        self._link.start()

    @property
    def trouble(self) -> str:
        """Why nothing can be received now."""
        return self._link.trouble

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first."""
        taken = self._take(limit)
        deadline = time.monotonic() + timeout
        while not taken and not self._closed:
            try:
                self._held.extend(self._intake.arrived.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
            taken = self._take(limit)
        return taken

    def holds(self, delivery: Delivery) -> bool:
        """Whether the connection that delivered it is still there."""
        return receipt_of(delivery).session.alive

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Hand these over to be acknowledged, in as few words as is safe."""
        if deliveries:
            self._link.call(partial(self._intake.ack, tuple(deliveries)))

    def reject(self, delivery: Delivery) -> None:
        """Make this a dead letter at once."""
        self._link.call(partial(self._intake.reject, delivery))

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on; none that is in hand is given back for it."""
        self._link.call(partial(self._intake.resize, prefetch))

    def renew(self) -> None:
        """Consume by a new connection."""
        self._link.call(self._intake.renew)

    def close(self) -> None:
        """Send the acknowledgements made before and disconnect, which gives back everything else."""
        self._closed = True
        # Wakes who waits in `receive`.
        self._intake.arrived.put([])
        self._link.close(CLOSE_SECONDS)

    def _take(self, limit: int) -> list[Delivery]:
        """Take what is there. What a lost connection delivered is passed over: it will come again."""
        taken: list[Delivery] = []
        while len(taken) < limit:
            if not self._held:
                try:
                    self._held.extend(self._intake.arrived.get_nowait())
                except Empty:
                    break
                continue
            delivery = self._held.popleft()
            if receipt_of(delivery).session.alive:
                taken.append(delivery)
        return taken
