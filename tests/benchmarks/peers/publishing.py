"""Publishes a peer's tasks from many threads or coroutines, each with its own next task as soon as one is confirmed.

It knows no peer: how one task is submitted is a function that returns when the task is confirmed.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec


class Share(msgspec.Struct, frozen=True):
    """What one process has to publish."""

    tasks: int
    warm_up: int
    """Tasks before the start, by which everything is connected; they are not measured."""
    at_once: int
    """Threads or coroutines."""


class Sent(msgspec.Struct, frozen=True):
    """What came of it."""

    began: float
    """When the first task was sent, seconds since the epoch."""
    ended: float
    """When the last was confirmed."""


Wait = Callable[[], None]
"""Says that this process is ready, and returns when it may start."""


def split(number: int, parts: int) -> list[int]:
    """A number in parts that differ by one at most."""
    return [number // parts + (part < number % parts) for part in range(parts)]


def publish_in_threads(submit: Callable[[], object], share: Share, wait: Wait) -> Sent:
    """Publish with a function that blocks.

    Raises:
        Exception: the first error of a thread.
    """
    with ThreadPoolExecutor(share.at_once, "publish") as threads:

        def publish_all(tasks: int) -> None:
            together = threading.Barrier(share.at_once)

            def part(tasks: int) -> None:
                # No thread takes two parts: each has to be connected after the warm-up.
                together.wait()
                for _ in range(tasks):
                    submit()

            list(threads.map(part, split(tasks, share.at_once)))

        publish_all(share.warm_up)
        wait()
        began = time.time()
        publish_all(share.tasks)
        return Sent(began, time.time())


async def publish_in_coroutines(submit: Callable[[], Awaitable[object]], share: Share, wait: Wait) -> Sent:
    """Publish with coroutines that are awaited together."""

    async def publish(tasks: int) -> None:
        for _ in range(tasks):
            await submit()

    await asyncio.gather(*map(publish, split(share.warm_up, share.at_once)))
    await asyncio.to_thread(wait)
    began = time.time()
    await asyncio.gather(*map(publish, split(share.tasks, share.at_once)))
    return Sent(began, time.time())
