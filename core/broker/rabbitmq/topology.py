"""The exchanges and queues that Cauce uses, declared alike by everybody who connects.

Declaring what is there already changes nothing, and what was deleted under us comes back.
Those who only look make no queue: who makes the tasks queue has to tell that what was on it is gone.
The arguments are understood, or harmless, on every RabbitMQ from 3.10 on. A delivery limit of -1 is not:
it means none from 4.0 on, and before that it makes a dead letter of a message at its first redelivery.
"""

from collections.abc import Callable

from pika.channel import Channel
from pika.exchange_type import ExchangeType

from core.broker.base import DELIVERY_LIMIT, Queue
from core.callbacks import ignore

EXCHANGE = "cauce"
DEAD_EXCHANGE = "cauce.dead"

RECREATE_LOCK = "cauce.birth"
"""An exclusive queue: whoever has it may make the tasks queue. It ends with the connection, if not before."""

_NEVER = 1_000_000
"""A delivery limit for dead letters, which have nowhere else to go: RabbitMQ 4 would drop them after 20."""

ARGUMENTS: dict[Queue, dict[str, str | int]] = {
    Queue.DEAD: {"x-queue-type": "quorum", "x-delivery-limit": _NEVER},
    Queue.TASKS: {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        # A message stays on its queue until the dead-letter queue has it; that needs this overflow rule.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    },
}


def declare_exchanges(channel: Channel, done: Callable[[], None]) -> None:
    """Ask for the exchanges alone, for those who only look, and call `done` when they are there."""
    channel.exchange_declare(DEAD_EXCHANGE, ExchangeType.fanout, durable=True, callback=ignore)
    channel.exchange_declare(EXCHANGE, ExchangeType.direct, durable=True, callback=lambda _frame: done())


def declare(channel: Channel, done: Callable[[], None]) -> None:
    """Ask for everything at once and call `done` when it is there; a refusal closes the channel."""
    channel.exchange_declare(DEAD_EXCHANGE, ExchangeType.fanout, durable=True, callback=ignore)
    channel.exchange_declare(EXCHANGE, ExchangeType.direct, durable=True, callback=ignore)
    for queue, arguments in ARGUMENTS.items():
        channel.queue_declare(queue.value, durable=True, arguments=dict(arguments), callback=ignore)
    channel.queue_bind(Queue.DEAD.value, DEAD_EXCHANGE, callback=ignore)
    # pika keeps the order and the broker answers in it, so the last answer is the answer to all.
    channel.queue_bind(Queue.TASKS.value, EXCHANGE, routing_key=Queue.TASKS.value, callback=lambda _frame: done())
