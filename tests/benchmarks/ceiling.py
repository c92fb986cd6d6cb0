"""The ceiling: pika and SQLite alone, with two steps for each task.

First, persistent messages are published to a quorum queue, with pipelined confirms. Then they are consumed, their JSON
is parsed, a row for each is stored in batches with `synchronous=FULL`, and they are acknowledged. That is the least
work for *accepted means stored*. One step follows the other, in one process; the whole is both together.
"""

import os
from pathlib import Path

from tests.benchmarks.bare import Consuming, Publishing, run_work
from tests.benchmarks.case import Case, Group, Measured, Order, Result, Stage, TasksLost
from tests.benchmarks.processor import Meter
from tests.benchmarks.virtual_host import virtual_host
from tests.services.rabbitmq import RabbitNode


class Ceiling(Case):
    """pika and SQLite.

    Args:
        node: the RabbitMQ to use.
    """

    name = "pika"
    description = "one process with pika and SQLite alone: publish with confirms, then consume, store and acknowledge"

    def __init__(self, node: RabbitNode) -> None:
        self._node = node

    def run(self, directory: Path, order: Order) -> Result:
        """Publish all messages, then consume them."""
        with virtual_host(self._node) as url:
            meter = Meter({Group.CLIENT: [os.getpid()], Group.RABBITMQ: [self._node.pid]})
            publishing = Publishing(order.tasks, order.connections * order.window)
            run_work(url, publishing)
            accepted = Measured(tasks=order.tasks, seconds=publishing.seconds, cpu=meter.read())
            meter = Meter({Group.WORKERS: [os.getpid()], Group.RABBITMQ: [self._node.pid]})
            with Consuming(order.tasks, directory / "ceiling.db") as consuming:
                run_work(url, consuming)
                if consuming.stored() != order.tasks:
                    raise TasksLost(f"{order.tasks} messages were confirmed, and {consuming.stored()} are stored")
            worked = Measured(tasks=order.tasks, seconds=consuming.seconds, cpu=meter.read())
        return combine(accepted, worked)


def combine(accepted: Measured, worked: Measured) -> Result:
    """Return the result of a case that did both halves one after the other: the whole is their sum."""
    groups = {*accepted.cpu, *worked.cpu}
    cpu = {group: accepted.cpu.get(group, 0.0) + worked.cpu.get(group, 0.0) for group in groups}
    whole = Measured(tasks=accepted.tasks, seconds=accepted.seconds + worked.seconds, cpu=cpu)
    return {Stage.WHOLE: whole, Stage.ACCEPT: accepted, Stage.WORK: worked}
