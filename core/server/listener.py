"""The door of a server: takes connections from the system, and hands each to a protocol of its own.

It belongs to the event loop's thread. asyncio's own way fills the log and never recovers when descriptors run out:
it tries as often as connections may wait, and plans as many further tries each time.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable

from core.backoff import Backoff, RetryTimer
from core.logs import LogThrottle

BACKLOG = 4096
"""Connections that the system holds for us before they are taken."""

AT_ONCE = 64
"""Connections that are taken before others have their turn."""

ACCEPT_BACKOFF = Backoff(first=0.02, longest=0.5)
"""Between tries while the system has no descriptor or no memory for a connection."""

COMPLAIN_EVERY = 60.0
"""Seconds between two complaints about that in the log."""

_log = logging.getLogger("cauce.server")


class Listener:
    """Takes connections at the sockets of a listener that doesn't serve by itself.

    Args:
        listener: which has bound its sockets.
        make: makes the protocol of each connection.
    """

    def __init__(self, listener: asyncio.Server, make: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._make = make
        self._taking: list[asyncio.Task[None]] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._complaints = LogThrottle(COMPLAIN_EVERY)
        self._retry = RetryTimer(ACCEPT_BACKOFF)

    def open(self) -> None:
        """Let in whoever comes.

        Raises:
            OSError: another program has taken the address in the meantime.
        """
        for bound in self._listener.sockets:
            listening = bound.dup()
            try:
                listening.setblocking(False)
                listening.listen(BACKLOG)
            except OSError:
                listening.close()
                raise
            self._taking.append(asyncio.get_running_loop().create_task(self._take_all(listening)))

    def close(self) -> None:
        """Let in nobody more."""
        for task in self._taking:
            task.cancel()
        self._listener.close()

    async def _take_all(self, listening: socket.socket) -> None:
        try:
            while True:
                for _ in range(AT_ONCE):
                    await self._take(listening)
                await asyncio.sleep(0)
        finally:
            listening.close()

    async def _take(self, listening: socket.socket) -> None:
        try:
            connected, _ = await asyncio.get_running_loop().sock_accept(listening)
        except ConnectionError:
            # It was over before it was taken.
            return
        except OSError as error:
            self._complain(error, time.monotonic())
            await asyncio.sleep(self._retry.next_delay())
            return
        self._retry.reset()
        task = asyncio.get_running_loop().create_task(self._serve(connected))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, connected: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._make, connected)
        except OSError as error:
            connected.close()
            _log.debug("a connection ended at once: %s", error)

    def _complain(self, error: OSError, now: float) -> None:
        if self._complaints.is_due(now):
            reason = error.strerror or str(error)
            _log.error("no connection can be taken now: %s; allow more open files, or lower --max-connections", reason)
