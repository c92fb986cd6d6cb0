"""The ceilings without RabbitMQ: SQLite alone, and the embedded queue without a journal.

In both, a task has two steps that follow each other, each in transactions of 200 with `synchronous=FULL`.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from core.broker.base import Message, PublishResult, Queue, Reference
from core.broker.embedded import EmbeddedBroker
from core.database import Database
from core.repository.sqlite import FAULTS
from tests.benchmarks.bare import BATCH, PREFETCH
from tests.benchmarks.case import Case, Group, Measured, Order, Result, TasksLost
from tests.benchmarks.ceiling import combine
from tests.benchmarks.processor import Meter

SIDES = 2
"""Number of publishers, and of consumers."""

PATIENCE = 60.0
"""Seconds after which messages count as lost."""


class SqliteCeiling(Case):
    """Rows of a minimal table: inserted, then given a result."""

    name = "sqlite"
    description = "one process with SQLite alone: rows inserted in batches, then a result written to each in batches"

    def run(self, directory: Path, order: Order) -> Result:
        """Insert all rows, then write the results."""
        with Database(directory / "ceiling.db", FAULTS) as database:
            database.execute("CREATE TABLE tasks (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, result TEXT, at REAL)")

            def write(statement: str, row: Callable[[int], Sequence[str | int | float]]) -> None:
                for batch in _batches(order.tasks):
                    with database.transaction():
                        database.execute_many(statement, [row(number) for number in batch])

            accepted = _measure(
                Group.SERVERS,
                order.tasks,
                lambda: write("INSERT INTO tasks VALUES (?, ?, NULL, ?)", lambda seq: (seq, f"t-{seq}", time.time())),
            )
            worked = _measure(
                Group.WORKERS,
                order.tasks,
                lambda: write("UPDATE tasks SET result = ?, at = ? WHERE seq = ?", lambda seq: ('"', time.time(), seq)),
            )
            stored = database.number("SELECT count(*) FROM tasks WHERE result IS NOT NULL")
        if stored != order.tasks:
            raise TasksLost(f"{order.tasks} rows were written, and {stored} have a result")
        return combine(accepted, worked)


class QueueCeiling(Case):
    """The embedded queue: two threads publish, then two consume and acknowledge."""

    name = "queue"
    description = "one process with the embedded queue alone: two publishers, then two consumers that acknowledge"

    def run(self, directory: Path, order: Order) -> Result:
        """Publish all messages, then consume them."""
        broker = EmbeddedBroker(directory / "queue.db")
        broker.prepare()
        with ThreadPoolExecutor(SIDES) as threads:

            def both(work: Callable[[int], None]) -> None:
                list(threads.map(work, range(SIDES)))

            consumed: list[int] = []
            accepted = _measure(Group.SERVERS, order.tasks, lambda: both(lambda side: _publish(broker, side, order)))
            worked = _measure(Group.WORKERS, order.tasks, lambda: both(lambda _side: _consume(broker, consumed, order)))
        if len(set(consumed)) != order.tasks:
            raise TasksLost(f"{order.tasks} messages were published, and {len(set(consumed))} were consumed")
        return combine(accepted, worked)


def _publish(broker: EmbeddedBroker, side: int, order: Order) -> None:
    """Publish the messages of one publisher."""
    confirmed = 0

    def settled(results: Sequence[PublishResult]) -> None:
        nonlocal confirmed
        confirmed += sum(result.confirmed for result in results)

    published = 0
    with broker.publisher(settled) as publisher:
        for batch in _batches(order.tasks):
            share = [number for number in batch if number % SIDES == side]
            publisher.send([_message(number) for number in share])
            published += len(share)
    if confirmed != published:
        raise TasksLost(f"{published} messages were published, and {confirmed} confirmed")


def _consume(broker: EmbeddedBroker, consumed: list[int], order: Order) -> None:
    """Consume until both consumers together have all messages; appending to a list is thread-safe."""
    decode = msgspec.json.Decoder(Reference).decode
    deadline = time.monotonic() + PATIENCE
    with broker.consumer(Queue.TASKS, PREFETCH) as consumer:
        while len(consumed) < order.tasks and time.monotonic() < deadline:
            deliveries = consumer.receive(BATCH, 0.01)
            consumed.extend(decode(delivery.body).seq for delivery in deliveries)
            consumer.ack(deliveries)


def _message(number: int) -> Message:
    body = msgspec.json.encode(Reference(f"ceiling-{number}", number, 0, time.time()))
    return Message(number, f"ceiling-{number}", "echo", body)


def _batches(number: int) -> list[range]:
    return [range(first, min(first + BATCH, number)) for first in range(0, number, BATCH)]


def _measure(group: Group, tasks: int, work: Callable[[], None]) -> Measured:
    meter = Meter({group: [os.getpid()]})
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return Measured(tasks=tasks, seconds=seconds, cpu=meter.read())
