"""`python -m core.worker`: run a worker in the foreground."""

import os
import sys

from core import config, garbage_collection
from core.broker.factory import open_broker
from core.config import Settings
from core.launch import launch
from core.repository.journal import Journal
from core.worker import options
from core.worker.program import run_worker


def run(settings: Settings) -> int:
    """Assemble a worker and run it. Returns the exit code."""
    directory = settings[config.DIRECTORY]
    garbage_collection.collect_rarely()
    broker = open_broker(settings[config.BROKER], directory)
    return run_worker(settings, broker, Journal(settings[config.DATABASE], directory), os.environ)


if __name__ == "__main__":
    description = "Take tasks from the broker, run them in processes of their own, and store their outcomes."
    sys.exit(launch("core.worker", description, options.OPTIONS, run))
