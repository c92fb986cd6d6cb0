"""Sends many requests, and lets other coroutines run until they are answered."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable

from core.client.async_connection import AsyncConnection
from core.client.async_pool import AsyncConnectionPool
from core.client.pipeline import WINDOW, Answer, RequestPipeline
from core.client.pool import NoServer
from core.client.requests import ClientRequest
from core.errors import ClientError


class AsyncPipeline(RequestPipeline[AsyncConnection]):
    """A pipeline for one coroutine; the arguments are those of `RequestPipeline`."""

    def __init__(
        self, pool: AsyncConnectionPool, patience: float, window: int = WINDOW, max_connections: int = 1
    ) -> None:
        super().__init__(pool, patience, window, max_connections)
        self._acquire = pool.acquire
        self._arrival = asyncio.Event()

    async def run(self, source: Iterable[ClientRequest | None]) -> AsyncGenerator[Answer]:
        """Send all requests, and yield each with its final reply as it comes; see `BlockingPipeline.run`.

        A coroutine that is cancelled here closes the connections with open requests.
        """
        requests = iter(source)
        try:
            while not self._is_finished:
                answers: list[Answer] = []
                error: ClientError | None = None
                try:
                    if self._needs_connection():
                        await self._open()
                    self._fill(requests, answers)
                    if not answers and not self._is_finished:
                        await self._receive(answers)
                except ClientError as caught:
                    error = caught
                # The answers so far must not be lost with the requests that have none.
                for answer in answers:
                    yield answer
                if error is not None:
                    raise error
        finally:
            self._release_connections()

    async def _open(self) -> None:
        try:
            connection = await self._acquire()
        except NoServer as error:
            self._no_server(error)
        else:
            connection.arrival = self._arrival
            self._active.append(connection)

    async def _receive(self, answers: list[Answer]) -> None:
        """Wait until there is something to do, and read the replies."""
        connections = self._connections()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout(connections, time.monotonic())):
                await self._arrival.wait()
        self._arrival.clear()
        now = time.monotonic()
        for connection in connections:
            self._read(connection, now, answers)
        self._check_deadlines(connections, now)
