"""A RabbitMQ node for a case, and operations on its tasks queue."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from pika.exceptions import AMQPError

from core.broker.base import Queue
from core.broker.rabbitmq import quiet_pika
from tests.services.amqp import raw_channel
from tests.services.rabbitmq import RabbitNode

ALARM = "{{resource_limit, {resource}, node()}}"


@contextlib.contextmanager
def rabbitmq_node(directory: Path, *, started: bool = True) -> Iterator[RabbitNode]:
    """Provide a node that is stopped at the end of the block."""
    quiet_pika()
    node = RabbitNode(directory)
    try:
        if started:
            node.start()
        yield node
    finally:
        node.stop()


def consumers(node: RabbitNode) -> int:
    """Return the number of consumers of the tasks queue; 0 when the node does not answer."""
    try:
        with raw_channel(node.url) as channel:
            return int(channel.queue_declare(Queue.TASKS, passive=True).method.consumer_count)
    except (AMQPError, OSError):
        return 0


def delete_queue(node: RabbitNode) -> None:
    """Delete the tasks queue and its messages."""
    with raw_channel(node.url) as channel:
        channel.queue_delete(Queue.TASKS)


def set_alarm(node: RabbitNode, resource: str, *, on: bool) -> None:
    """Set or clear the alarm for `memory` or `disk`, which makes RabbitMQ block publishers."""
    alarm = ALARM.format(resource=resource)
    node.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}})." if on else f"rabbit_alarm:clear_alarm({alarm}).")


def set_consumer_timeout(node: RabbitNode, milliseconds: int) -> None:
    """Set the consumer timeout, for which a consumer may hold a message."""
    node.eval(f"application:set_env(rabbit, consumer_timeout, {milliseconds}).")
    node.eval(f"application:set_env(rabbit, channel_tick_interval, {min(60_000, milliseconds // 2)}).")


def wipe(node: RabbitNode, directory: Path) -> None:
    """Kill a node and delete its data."""
    node.kill()
    shutil.rmtree(directory / "mnesia")
