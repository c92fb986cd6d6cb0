"""Another process at the embedded queue, for tests: publishes, or consumes on command, and prints the results.

Run as `python -m tests.unit.embedded_peer publish FILE COUNT PREFIX` or `… consume FILE LEASE`.
A consumer reads commands from its input, one a line: `take N`, `ack`, `drain`, `trouble`, `burn SECONDS`, `close`.
"""

import sys
import time
from pathlib import Path

from core.broker.base import Delivery, Message, PublishResult, Queue
from core.broker.embedded import EmbeddedBroker

BATCH = 50
DRAINED = 1.0
"""Seconds without a message after which the queue counts as empty."""


def _publish(path: Path, count: int, prefix: str) -> None:
    settled: list[PublishResult] = []
    with EmbeddedBroker(path).publisher(settled.extend) as publisher:
        for start in range(0, count, BATCH):
            tags = range(start, min(count, start + BATCH))
            publisher.send([Message(tag, f"{prefix}{tag}", "echo", f"{prefix}{tag}".encode()) for tag in tags])
    _print(sum(each.confirmed for each in settled))


class _Peer:
    """A consumer that runs commands."""

    def __init__(self, path: Path, lease: float) -> None:
        self._consumer = EmbeddedBroker(path, lease=lease).consumer(Queue.TASKS, 100)
        self._deliveries: list[Delivery] = []

    def run(self, command: str, argument: str) -> None:
        """Run one command, and print one line."""
        if command == "take":
            self._take(int(argument))
        elif command == "ack":
            self._consumer.ack(self._deliveries)
            _print("acknowledged")
        elif command == "drain":
            self._drain()
        elif command == "trouble":
            _print(self._consumer.trouble)
        elif command == "burn":
            self._burn(float(argument))
        else:
            self._consumer.close()
            _print("closed")

    def _take(self, count: int) -> None:
        while len(self._deliveries) < count:
            self._deliveries += self._consumer.receive(count - len(self._deliveries), 5.0)
        _print(*(delivery.body.decode() for delivery in self._deliveries))

    def _drain(self) -> None:
        bodies: list[str] = []
        while deliveries := self._consumer.receive(BATCH, DRAINED):
            self._consumer.ack(deliveries)
            bodies += [delivery.body.decode() for delivery in deliveries]
        _print(*bodies)

    def _burn(self, seconds: float) -> None:
        """Keep the interpreter busy without a pause, as a pure Python task does."""
        until = time.monotonic() + seconds
        rounds = 0
        while time.monotonic() < until:
            rounds += 1
        _print("burnt", rounds)


def _print(*values: object) -> None:
    print(*values, flush=True)  # noqa: T201 - this is the program's output


def main(arguments: list[str]) -> None:
    """Publish, or run the commands of the input."""
    if arguments[0] == "publish":
        _publish(Path(arguments[1]), int(arguments[2]), arguments[3])
        return
    peer = _Peer(Path(arguments[1]), float(arguments[2]))
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        peer.run(command, argument)
        if command == "close":
            return


if __name__ == "__main__":
    main(sys.argv[1:])
