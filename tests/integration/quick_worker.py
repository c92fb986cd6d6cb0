"""The worker with a short lease or heartbeat, so that tests of their expiry are quick."""

import os
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
from core.worker import options
from core.worker.program import run_worker

LEASE = 1.5
HEARTBEAT = 2


def run(settings: Settings) -> int:
    """Build a worker and run it. Returns the exit code."""
    directory = settings[config.DIRECTORY]
    return run_worker(
        settings,
        open_quick_broker(settings[config.BROKER], directory),
        Journal(settings[config.DATABASE], directory),
        os.environ,
    )


def open_quick_broker(url: str, directory: Path) -> Broker:
    """Open a broker that soon notices a lost peer."""
    if url.startswith("amqp:"):
        return RabbitBroker([url], heartbeat=HEARTBEAT)
    return EmbeddedBroker(directory / EMBEDDED_FILE, lease=LEASE)


if __name__ == "__main__":
    sys.exit(launch("core.worker", "A worker with a short lease or heartbeat.", options.OPTIONS, run))
