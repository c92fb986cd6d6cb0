"""How each peer is set up: as durable as ours, and each in its own way as fast as it goes; see `tune`.

The same for all: a task of 11 bytes is confirmed before its thread or coroutine sends the next one, and its result is
in one SQLite file with `synchronous=FULL` before its message is acknowledged.
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
    """What has to be installed, the peer itself first."""
    module: str
    """Has the application, and `publish`."""
    rabbitmq: bool
    """Whether it goes over RabbitMQ; over SQLite otherwise."""
    most: int
    """Tasks in a stage at most: what takes it some seconds."""
    publishers: int
    """Processes that publish."""
    at_once: int
    """Threads or coroutines of each."""
    worker: Sequence[str]
    """What Python has to run for the workers."""
    environment: Mapping[str, str] = {}
    """Settings of the workers that can be made nowhere else."""
    stored: str
    """Counts the results."""


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
    description="Huey: SqliteHuey with fsync; it forgets a task before the work begins, and has nothing safer",
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
