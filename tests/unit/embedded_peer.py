"""Another process at the embedded queue, for tests: publishes, or receives as it is told, and prints what it did.

Run as `python -m tests.unit.embedded_peer publish FILE COUNT PREFIX` or `… consume FILE LEASE`.
A consumer obeys one line of its input after the other: `take N`, `ack`, `drain`, `trouble`, `burn SECONDS`, `close`.
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
    _say(sum(each.confirmed for each in settled))


class _Peer:
    """A consumer that obeys."""

    def __init__(self, path: Path, lease: float) -> None:
        self._consumer = EmbeddedBroker(path, lease=lease).consumer(Queue.TASKS, 100)
        self._held: list[Delivery] = []

    def obey(self, order: str, argument: str) -> None:
        """Carry out one order, and answer with one line."""
        if order == "take":
            self._take(int(argument))
        elif order == "ack":
            self._consumer.ack(self._held)
            _say("acknowledged")
        elif order == "drain":
            self._drain()
        elif order == "trouble":
            _say(self._consumer.trouble)
        elif order == "burn":
            self._burn(float(argument))
        else:
            self._consumer.close()
            _say("closed")

    def _take(self, count: int) -> None:
        while len(self._held) < count:
            self._held += self._consumer.receive(count - len(self._held), 5.0)
        _say(*(delivery.body.decode() for delivery in self._held))

    def _drain(self) -> None:
        came: list[str] = []
        while deliveries := self._consumer.receive(BATCH, DRAINED):
            self._consumer.ack(deliveries)
            came += [delivery.body.decode() for delivery in deliveries]
        _say(*came)

    def _burn(self, seconds: float) -> None:
        """Keep the interpreter busy without a pause, as a task function in pure Python does."""
        until = time.monotonic() + seconds
        turns = 0
        while time.monotonic() < until:
            turns += 1
        _say("burnt", turns)


def _say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the answer is this program's output


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    if arguments[0] == "publish":
        _publish(Path(arguments[1]), int(arguments[2]), arguments[3])
        return
    peer = _Peer(Path(arguments[1]), float(arguments[2]))
    for line in sys.stdin:
        order, _, argument = line.strip().partition(" ")
        peer.obey(order, argument)
        if order == "close":
            return


if __name__ == "__main__":
    main(sys.argv[1:])
