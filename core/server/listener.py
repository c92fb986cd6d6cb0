"""The listener of a server: accepts connections, and makes a protocol for each.

It belongs to the event loop's thread. It replaces asyncio's accept loop, which fills the log and never recovers when
file descriptors run out: that loop tries once for each place in the backlog, and then schedules as many tries again.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import TypeAlias

from core.backoff import Backoff, RetryTimer
from core.errors import reason_of
from core.logs import LogThrottle

BACKLOG = 4096
"""Connections that the operating system queues before they are accepted."""

ACCEPT_BATCH = 64
"""Connections that are accepted before the event loop has its turn."""

ACCEPT_BACKOFF = Backoff(first=0.02, longest=0.5)
"""The delays while the system has no file descriptor or no memory for a connection."""

LOG_INTERVAL = 60.0
"""Seconds between two errors in the log about connections that can't be accepted."""

_log = logging.getLogger("cauce.server")

ProtocolFactory: TypeAlias = Callable[[], asyncio.Protocol]


class Listener:
    """The accept loops of the sockets of an asyncio server that does not serve itself.

    Args:
        listener: the server, with bound sockets.
        protocol_factory: makes the protocol of each connection.
    """

    def __init__(self, listener: asyncio.Server, protocol_factory: ProtocolFactory) -> None:
        self._listener = listener
        self._protocol_factory = protocol_factory
        self._accepting: list[asyncio.Task[None]] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._log_throttle = LogThrottle(LOG_INTERVAL)
        self._retry = RetryTimer(ACCEPT_BACKOFF)

    def open(self) -> None:
        """Start to accept connections.

        Raises:
            OSError: another program has taken the address meanwhile.
        """
        for bound in self._listener.sockets:
            listening = bound.dup()
            try:
                listening.setblocking(False)
                listening.listen(BACKLOG)
            except OSError:
                listening.close()
                raise
            self._accepting.append(asyncio.get_running_loop().create_task(self._accept_all(listening)))

    def close(self) -> None:
        """Stop accepting connections."""
        for task in self._accepting:
            task.cancel()
        self._listener.close()

    async def _accept_all(self, listening: socket.socket) -> None:
        try:
            while True:
                for _ in range(ACCEPT_BATCH):
                    await self._accept(listening)
                await asyncio.sleep(0)
        finally:
            listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        try:
            accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
        except ConnectionError:
            # The connection ended before it was accepted.
            return
        except OSError as error:
            self._log_failure(error, time.monotonic())
            await asyncio.sleep(self._retry.next_delay())
            return
        self._retry.reset()
        task = asyncio.get_running_loop().create_task(self._connect(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol_factory, accepted)
        except OSError as error:
            accepted.close()
            _log.debug("an accepted connection failed: %s", reason_of(error))

    def _log_failure(self, error: OSError, now: float) -> None:
        if self._log_throttle.is_due(now):
            reason = error.strerror or str(error)
            _log.error(
                "no connection can be accepted now: %s; allow more open files, or lower --max-connections", reason
            )
