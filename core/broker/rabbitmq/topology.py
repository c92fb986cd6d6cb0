"""The exchanges and queues that Cauce uses, declared in the same way by all its processes.

A declaration changes nothing that exists, and restores what was deleted. A process that only reads makes no queue:
the one that makes the tasks queue must report that the former messages are lost.
The arguments are understood, or harmless, on every RabbitMQ from 3.10 on. A delivery limit of -1 is not: it means no
limit from 4.0 on, and before that it makes a message a dead letter at its first redelivery.
"""

from collections.abc import Callable

from pika.channel import Channel
from pika.exchange_type import ExchangeType

from core.broker.base import DELIVERY_LIMIT, Queue
from core.callbacks import ignore

EXCHANGE = "cauce"
DEAD_EXCHANGE = "cauce.dead"

RECREATE_LOCK = "cauce.birth"
"""An exclusive queue that serves as a lock: its owner may recreate the tasks queue. It ends with the connection."""

_UNLIMITED = 1_000_000
"""The delivery limit of dead letters, which have no other queue to go to: RabbitMQ 4 would drop them after 20."""

ARGUMENTS: dict[Queue, dict[str, str | int]] = {
    Queue.DEAD: {"x-queue-type": "quorum", "x-delivery-limit": _UNLIMITED},
    Queue.TASKS: {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        # A message stays on its queue until the dead-letter queue has it; that requires the overflow rule below.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    },
}


def declare_exchanges(channel: Channel, on_declared: Callable[[], None]) -> None:
    """Declare only the exchanges, for a process that only reads, and call `on_declared` when they exist."""
    channel.exchange_declare(DEAD_EXCHANGE, ExchangeType.fanout, durable=True, callback=ignore)
    channel.exchange_declare(EXCHANGE, ExchangeType.direct, durable=True, callback=lambda _frame: on_declared())


def declare(channel: Channel, on_declared: Callable[[], None]) -> None:
    """Declare everything and call `on_declared` when it exists; a refusal closes the channel."""
    channel.exchange_declare(DEAD_EXCHANGE, ExchangeType.fanout, durable=True, callback=ignore)
    channel.exchange_declare(EXCHANGE, ExchangeType.direct, durable=True, callback=ignore)
    for queue, arguments in ARGUMENTS.items():
        channel.queue_declare(queue.value, durable=True, arguments=dict(arguments), callback=ignore)
    channel.queue_bind(Queue.DEAD.value, DEAD_EXCHANGE, callback=ignore)
    # pika and the broker keep the order, so the last reply means that all are declared.
    channel.queue_bind(
        Queue.TASKS.value, EXCHANGE, routing_key=Queue.TASKS.value, callback=lambda _frame: on_declared()
    )
