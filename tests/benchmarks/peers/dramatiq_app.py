"""Dramatiq: confirmed publishing, acknowledgement after the result is stored, which is its default."""

import json
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Missing, ResultBackend, Results

from tests.benchmarks.peers import results
from tests.benchmarks.peers.publishing import Sent, Share, Wait, publish_in_threads
from tests.benchmarks.peers.setup import PAYLOAD, QUEUE, Setup, echo, read_setup


class SqliteBackend(ResultBackend):
    """A result backend in SQLite.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._results = results.Results(path)

    def _store(self, message_key: str, result: object, ttl: int) -> None:
        self._results.store(message_key, json.dumps(result).encode())

    def _get(self, message_key: str) -> Any:
        content = self._results.load(message_key)
        return Missing if content is None else json.loads(content)


def make_broker(setup: Setup) -> RabbitmqBroker:
    """Make the broker, which is the application."""
    made = RabbitmqBroker(url=setup.url, confirm_delivery=True)
    made.add_middleware(Results(backend=SqliteBackend(Path(setup.database)), store_results=True))
    dramatiq.set_broker(made)
    return made


broker = make_broker(read_setup())
actor = dramatiq.actor(echo, queue_name=QUEUE)


def publish(share: Share, wait: Wait) -> Sent:
    """Publish from threads, each with its connection; a call returns when the message is confirmed."""
    return publish_in_threads(lambda: actor.send(PAYLOAD), share, wait)
