"""Sends many requests, and blocks its thread until they are answered."""

import selectors
import time
from collections.abc import Iterable, Iterator

from core.client.pipeline import WINDOW, Answer, RequestPipeline
from core.client.pool import ConnectionPool, NoServer
from core.client.requests import ClientRequest
from core.client.socket_connection import SocketConnection
from core.errors import ClientError

SELECTOR: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""The cheapest selector for a single call with few sockets: `poll`, or `select` on Windows, which lacks `poll`."""


class BlockingPipeline(RequestPipeline[SocketConnection]):
    """A pipeline that blocks its thread; the arguments are those of `RequestPipeline`, and the pool's connections."""

    def __init__(self, pool: ConnectionPool, patience: float, window: int = WINDOW, max_connections: int = 1) -> None:
        super().__init__(pool, patience, window, max_connections)
        self._acquire = pool.acquire

    def run(self, source: Iterable[ClientRequest | None]) -> Iterator[Answer]:
        """Send all requests, and yield each with its final reply as it comes.

        Args:
            source: the requests. A None among them shows that there are no more for now.

        Raises:
            ServerUnavailable: there was no success for too long.
            RequestRefused: the servers refuse the client.
        """
        requests = iter(source)
        try:
            while not self._is_finished:
                answers: list[Answer] = []
                try:
                    if self._needs_connection():
                        self._open()
                    self._fill(requests, answers)
                    if not answers and not self._is_finished:
                        self._receive(answers)
                except ClientError:
                    # The answers so far must not be lost with the requests that have none.
                    yield from answers
                    raise
                yield from answers
        finally:
            self._release_connections()

    def _open(self) -> None:
        try:
            self._active.append(self._acquire())
        except NoServer as error:
            self._no_server(error)

    def _receive(self, answers: list[Answer]) -> None:
        """Wait until there is something to do, and read the replies."""
        now = time.monotonic()
        connections = self._connections()
        timeout = self._timeout(connections, now)
        if not connections:
            time.sleep(timeout)
            return
        with SELECTOR() as selector:
            for index, connection in enumerate(connections):
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.has_output else 0)
                selector.register(connection, events, index)
            ready = selector.select(timeout)
        now = time.monotonic()
        for key, _ in ready:
            self._read(connections[key.data], now, answers)
        self._check_deadlines(connections, now)
