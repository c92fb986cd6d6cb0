"""Taskiq: a quorum queue, confirms awaited by many coroutines at once, acknowledgement after the result is stored."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from taskiq import AsyncResultBackend, TaskiqResult
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

from tests.benchmarks.peers import results
from tests.benchmarks.peers.publishing import Sent, Share, Wait, publish_in_coroutines
from tests.benchmarks.peers.setup import PAYLOAD, QUEUE, Setup, read_setup

PREFETCH = 200


class SqliteBackend(AsyncResultBackend):
    """A result backend in SQLite, written in a thread so that the loop goes on.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "results")
        self._results: results.Results

    async def startup(self) -> None:
        """Open the database."""
        self._results = results.Results(self._path)

    async def shutdown(self) -> None:
        """Close the database."""
        self._thread.shutdown()
        self._results.close()

    async def set_result(self, task_id: str, result: Any) -> None:
        """Store a result."""
        content = json.dumps(result.return_value).encode()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._results.store, task_id, content)

    async def is_result_ready(self, task_id: str) -> bool:
        """Return whether there is a result."""
        return self._results.load(task_id) is not None

    async def get_result(self, task_id: str, with_logs: bool = False) -> Any:
        """Return the result of a task."""
        content = self._results.load(task_id) or b"null"
        return TaskiqResult(is_err=False, return_value=json.loads(content), execution_time=0.0)


def make_broker(setup: Setup) -> AioPikaBroker:
    """Make the broker, which is the application."""
    made = AioPikaBroker(setup.url, qos=PREFETCH, task_queues=[Queue(name=QUEUE, type=QueueType.QUORUM)])
    return made.with_result_backend(SqliteBackend(Path(setup.database)))


async def echo(payload: str) -> str:
    """Return the payload; a coroutine, because a function would run in a thread."""
    return payload


broker = make_broker(read_setup())
task = broker.task(task_name="echo")(echo)


def publish(share: Share, wait: Wait) -> Sent:
    """Publish from coroutines, in the same kind of loop as the workers."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_publish(share, wait))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # not on Windows
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _publish(share: Share, wait: Wait) -> Sent:
    await broker.startup()
    try:
        return await publish_in_coroutines(lambda: task.kiq(PAYLOAD), share, wait)
    finally:
        await broker.shutdown()
