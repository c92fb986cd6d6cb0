"""A RabbitMQ node for a case: its own, started when it is entered, and what can be asked of its tasks queue."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from pika.exceptions import AMQPError

from core.broker.base import Queue
from core.broker.rabbitmq import quiet_pika
from tests.services.amqp import raw_channel
from tests.services.rabbitmq import RabbitNode

ALARM = "{{resource_limit, {what}, node()}}"


@contextlib.contextmanager
def node_in(directory: Path, *, started: bool = True) -> Iterator[RabbitNode]:
    """A node that is ended with the block, whatever was done to it."""
    quiet_pika()
    node = RabbitNode(directory)
    try:
        if started:
            node.start()
        yield node
    finally:
        node.stop()


def consumers(node: RabbitNode) -> int:
    """How many consume the tasks queue; 0 when that can't be asked."""
    try:
        with raw_channel(node.url) as channel:
            return int(channel.queue_declare(Queue.TASKS, passive=True).method.consumer_count)
    except (AMQPError, OSError):
        return 0


def delete_queue(node: RabbitNode) -> None:
    """Delete the tasks queue, with all that is on it."""
    with raw_channel(node.url) as channel:
        channel.queue_delete(Queue.TASKS)


def ring(node: RabbitNode, what: str, *, on: bool) -> None:
    """Set or clear the alarm for `memory` or `disk`, at which RabbitMQ takes no more messages."""
    alarm = ALARM.format(what=what)
    node.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}})." if on else f"rabbit_alarm:clear_alarm({alarm}).")


def limit_holding(node: RabbitNode, milliseconds: int) -> None:
    """Say how long a consumer may hold a message."""
    node.eval(f"application:set_env(rabbit, consumer_timeout, {milliseconds}).")
    node.eval(f"application:set_env(rabbit, channel_tick_interval, {min(60_000, milliseconds // 2)}).")


def wipe(node: RabbitNode, directory: Path) -> None:
    """Take from a node everything that it knows; it is down afterwards."""
    node.kill()
    shutil.rmtree(directory / "mnesia")
