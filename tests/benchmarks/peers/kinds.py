"""The set-up of each peer: as durable as Cauce, and as fast as possible; see `tune`.

For all of them, a task of 11 bytes is confirmed before its thread or coroutine sends the next one, and its result is
in an SQLite file with `synchronous=FULL` before its message is acknowledged.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tests.benchmarks.peers import results

_HERE = "tests.benchmarks.peers"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A peer."""

    name: str
    description: str
    packages: Sequence[str]
    """Required packages, the peer itself first."""
    module: str
    """The module with the application and `publish`."""
    rabbitmq: bool
    """Whether it uses RabbitMQ instead of SQLite."""
    most: int
    """Most tasks in a stage: they take some seconds."""
    publishers: int
    """Number of publishing processes."""
    at_once: int
    """Threads or coroutines in each."""
    worker: Sequence[str]
    """Arguments of Python for the workers."""
    environment: Mapping[str, str] = {}
    """Settings of the workers that only the environment can set."""
    stored: str
    """The SQL statement that counts the results."""


CELERY = Kind(
    name="celery",
    description="Celery: quorum queue, each publish confirmed, acks_late, its own results in SQLite",
    packages=("celery", "kombu", "sqlalchemy"),
    module=f"{_HERE}.celery_app",
    rabbitmq=True,
    most=1500,
    publishers=2,
    at_once=8,
    worker=(
        *("-m", "celery", "--app", f"{_HERE}.celery_app", "worker", "--pool", "prefork", "--concurrency", "2"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"),
    ),
    stored="SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS' AND result IS NOT NULL",
)

DRAMATIQ = Kind(
    name="dramatiq",
    description="Dramatiq: durable classic queue (it declares no other), each publish confirmed, results in SQLite",
    packages=("dramatiq",),
    module=f"{_HERE}.dramatiq_app",
    rabbitmq=True,
    most=4000,
    publishers=2,
    at_once=8,
    worker=("-m", "dramatiq", f"{_HERE}.dramatiq_app", "--processes", "1", "--threads", "4"),
    environment={"dramatiq_queue_prefetch": "200"},
    stored=results.COUNT,
)

TASKIQ = Kind(
    name="taskiq",
    description="Taskiq with aio-pika: quorum queue, confirms awaited together, results in SQLite",
    packages=("taskiq", "taskiq-aio-pika", "aio-pika"),
    module=f"{_HERE}.taskiq_app",
    rabbitmq=True,
    most=4000,
    publishers=2,
    at_once=100,
    worker=(
        *("-m", "taskiq", "worker", f"{_HERE}.taskiq_app:broker", "--workers", "2"),
        *("--max-async-tasks", "100", "--max-prefetch", "100", "--log-level", "ERROR"),
    ),
    stored=results.COUNT,
)

HUEY = Kind(
    name="huey",
    description="Huey: SqliteHuey with fsync; it removes a task before the work begins, and has no safer mode",
    packages=("huey",),
    module=f"{_HERE}.huey_app",
    rabbitmq=False,
    most=4000,
    publishers=1,
    at_once=1,
    worker=(
        *("-m", "huey.bin.huey_consumer", f"{_HERE}.huey_app.huey", "--workers", "2", "--worker-type", "thread"),
        *("--delay", "0.005", "--max-delay", "0.02", "--no-periodic", "--quiet"),
    ),
    stored="SELECT count(*) FROM kv",
)

KINDS = (CELERY, DRAMATIQ, TASKIQ, HUEY)
