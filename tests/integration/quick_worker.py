"""The worker's program with a short lease or heartbeat, so that a test of what happens then doesn't take long."""

import sys
from pathlib import Path

from core import config
from core.broker.base import Broker
from core.broker.embedded import EmbeddedBroker
from core.broker.factory import EMBEDDED_FILE
from core.broker.rabbitmq import RabbitBroker
from core.config import Settings
from core.launch import launch
from core.repository.journal import Journal
from core.tasks import builtin_registry, load
from core.worker import options
from core.worker.program import Worker

LEASE = 1.5
HEARTBEAT = 2


def run(settings: Settings) -> int:
    """Put a worker together and run it; the exit code."""
    directory = settings[config.DIRECTORY]
    registry = builtin_registry(settings[options.LAB], [load(name) for name in settings[options.TASKS]])
    return Worker(
        settings,
        registry,
        open_quick_broker(settings[config.BROKER], directory),
        Journal(settings[config.DATABASE], directory),
    ).run()


def open_quick_broker(url: str, directory: Path) -> Broker:
    """A broker that soon notices when somebody is gone."""
    if url.startswith("amqp:"):
        return RabbitBroker([url], heartbeat=HEARTBEAT)
    return EmbeddedBroker(directory / EMBEDDED_FILE, lease=LEASE)


if __name__ == "__main__":
    sys.exit(launch("core.worker", "A worker with a short lease or heartbeat.", options.OPTIONS, run))
