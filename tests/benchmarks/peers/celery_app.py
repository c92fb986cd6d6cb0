"""Celery: a quorum queue, confirmed publishing, late acknowledgement, and its own results in SQLite."""

from celery import Celery
from sqlalchemy import event

from tests.benchmarks.peers.publishing import Sent, Share, Wait, publish_in_threads
from tests.benchmarks.peers.setup import PAYLOAD, QUEUE, Setup, echo, read_setup

PREFETCH_MULTIPLIER = 64
"""Messages per process of the pool: enough that none waits for its next one."""


def make_app(setup: Setup) -> Celery:
    """Make the application."""
    app = Celery("benchmark", broker=setup.url, backend=f"db+sqlite:///{setup.database}")
    app.conf.update(
        task_default_queue=QUEUE,
        task_default_queue_type="quorum",
        broker_transport_options={"confirm_publish": True},
        # One connection per publishing thread.
        broker_pool_limit=64,
        broker_connection_retry_on_startup=True,
        # A worker declares many queues for delayed tasks, used or not; this type costs least.
        broker_native_delayed_delivery_queue_type="classic",
        task_acks_late=True,
        worker_prefetch_multiplier=PREFETCH_MULTIPLIER,
        # Both would be additional work.
        worker_send_task_events=False,
        task_track_started=False,
        result_expires=None,
        database_engine_options={"connect_args": {"timeout": 30}},
        database_engine_callback=_make_durable,
    )
    return app


def _make_durable(engine: object) -> None:
    event.listen(engine, "connect", _connected)


def _connected(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined] # of any driver
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


app = make_app(read_setup())
task = app.task(name="echo")(echo)


def publish(share: Share, wait: Wait) -> Sent:
    """Publish from threads, each with its connection; a call returns when the message is confirmed."""
    return publish_in_threads(lambda: task.apply_async((PAYLOAD,)), share, wait)
