"""Huey: queue and results in one SQLite file, each step of a task in a durable commit."""

from huey import SqliteHuey

from tests.benchmarks.peers.publishing import Sent, Share, Wait, publish_in_threads
from tests.benchmarks.peers.setup import PAYLOAD, QUEUE, Setup, echo, read_setup


def make_huey(setup: Setup) -> SqliteHuey:
    """Make the application."""
    return SqliteHuey(QUEUE, filename=setup.database, fsync=True, timeout=30)


huey = make_huey(read_setup())
task = huey.task(name="echo")(echo)


def publish(share: Share, wait: Wait) -> Sent:
    """Publish; a call returns when the row of the task is on disk."""
    return publish_in_threads(lambda: task(PAYLOAD), share, wait)
