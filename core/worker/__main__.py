"""`python -m core.worker`: run a worker in the foreground."""

import sys

from core import config, garbage_collection
from core.broker.factory import open_broker
from core.config import Settings
from core.launch import launch
from core.repository.journal import Journal
from core.tasks import builtin_registry, load
from core.worker import options
from core.worker.program import Worker


def run(settings: Settings) -> int:
    """Assemble a worker and run it. Returns the exit code."""
    directory = settings[config.DIRECTORY]
    registry = builtin_registry(settings[options.LAB], [load(name) for name in settings[options.TASKS]])
    garbage_collection.collect_rarely()
    broker = open_broker(settings[config.BROKER], directory)
    return Worker(settings, registry, broker, Journal(settings[config.DATABASE], directory)).run()


if __name__ == "__main__":
    description = "Take tasks from the broker, run each in a thread, and store their outcomes."
    sys.exit(launch("core.worker", description, options.OPTIONS, run))
