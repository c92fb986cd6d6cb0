"""Publishes a peer's tasks from many threads or coroutines, each with its next task when the last is confirmed.

It knows no peer: a function submits one task and returns when it is confirmed.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec


class Share(msgspec.Struct, frozen=True):
    """The tasks that one process publishes."""

    tasks: int
    warm_up: int
    """Tasks before the start, which open the connections; they are not measured."""
    at_once: int
    """Threads or coroutines."""


class Sent(msgspec.Struct, frozen=True):
    """The times of publishing."""

    began: float
    """Time of the first task, in seconds since the epoch."""
    ended: float
    """Time of the last confirm."""


Wait = Callable[[], None]
"""Reports that this process is ready, and returns when it may start."""


def split(number: int, parts: int) -> list[int]:
    """Split a number into parts that differ by at most one."""
    return [number // parts + (part < number % parts) for part in range(parts)]


def publish_in_threads(submit: Callable[[], object], share: Share, wait: Wait) -> Sent:
    """Publish with a blocking function.

    Raises:
        Exception: the first error of a thread.
    """
    with ThreadPoolExecutor(share.at_once, "publish") as threads:

        def publish_all(tasks: int) -> None:
            together = threading.Barrier(share.at_once)

            def part(tasks: int) -> None:
                # No thread takes two parts: each must be connected after the warm-up.
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
    """Publish with concurrent coroutines."""

    async def publish(tasks: int) -> None:
        for _ in range(tasks):
            await submit()

    await asyncio.gather(*map(publish, split(share.warm_up, share.at_once)))
    await asyncio.to_thread(wait)
    began = time.time()
    await asyncio.gather(*map(publish, split(share.tasks, share.at_once)))
    return Sent(began, time.time())
