"""What the bare libraries can do: pika and SQLite with nothing of ours around them, each task's way in two steps.

Published: persistent messages to a quorum queue, with pipelined confirms. Worked off: consumed, their JSON read, a row
each stored in batches with `synchronous=FULL`, then acknowledged. That is the least that has to be done
for *accepted means stored*. One step follows the other, in one process; the whole is both together.
"""

import os
from pathlib import Path

from tests.benchmarks.bare import Consuming, Publishing, drive
from tests.benchmarks.case import Case, Group, Lost, Measured, Order, Result, Stage
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
        """Publish everything, then work it off."""
        with virtual_host(self._node) as url:
            meter = Meter({Group.CLIENT: [os.getpid()], Group.RABBITMQ: [self._node.pid]})
            publishing = Publishing(order.tasks, order.connections * order.window)
            drive(url, publishing)
            accepted = Measured(tasks=order.tasks, seconds=publishing.seconds, cpu=meter.read())
            meter = Meter({Group.WORKERS: [os.getpid()], Group.RABBITMQ: [self._node.pid]})
            with Consuming(order.tasks, directory / "ceiling.db") as consuming:
                drive(url, consuming)
                if consuming.stored() != order.tasks:
                    raise Lost(f"{order.tasks} messages were confirmed, and {consuming.stored()} are stored")
            worked = Measured(tasks=order.tasks, seconds=consuming.seconds, cpu=meter.read())
        return in_turn(accepted, worked)


def in_turn(accepted: Measured, worked: Measured) -> Result:
    """The result of a case that has done one half after the other with the same tasks: the whole is both together."""
    groups = {*accepted.cpu, *worked.cpu}
    cpu = {group: accepted.cpu.get(group, 0.0) + worked.cpu.get(group, 0.0) for group in groups}
    whole = Measured(tasks=accepted.tasks, seconds=accepted.seconds + worked.seconds, cpu=cpu)
    return {Stage.WHOLE: whole, Stage.ACCEPT: accepted, Stage.WORK: worked}
