"""`python -m core.server`: run a server in the foreground."""

import sys

from core import config, encryption, garbage_collection
from core.broker.factory import open_broker
from core.config import Settings
from core.launch import launch
from core.repository.journal import Journal
from core.server import options
from core.server.program import Server, read_token


def run(settings: Settings) -> int:
    """Assemble a server and run it. Returns the exit code."""
    directory = settings[config.DIRECTORY]
    garbage_collection.collect_rarely()
    broker = open_broker(settings[config.BROKER], directory)
    journal = Journal(settings[config.DATABASE], directory)
    return Server(settings, read_token(settings), broker, journal, encryption.for_server(settings)).run()


if __name__ == "__main__":
    description = "Accept tasks from clients over TCP, store them in the journal, and publish them to the broker."
    sys.exit(launch("core.server", description, options.OPTIONS, run))
