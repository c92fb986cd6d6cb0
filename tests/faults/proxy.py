"""A bad network between two processes: a proxy that cuts, resets, stalls, delays, slices and loses data.

A test sets the present `NetworkConditions`, a frozen value that is read for every chunk of data.
The sockets belong to the proxy's thread with its event loop.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from core.addresses import LOOPBACK, Address
from core.closeable import Closeable

T = TypeVar("T")

_CHUNK_SIZE = 64 * 1024
_STALL_CHECK_INTERVAL = 0.02
_START_TIMEOUT = 60.0
_RESET = struct.pack("ii", 1, 0)
"""Socket option that makes closing reset the connection: data not yet delivered is discarded."""


class NetworkConditions(msgspec.Struct, frozen=True, kw_only=True):
    """What the network does now."""

    refuses: bool = False
    """New connections are closed at once."""
    stalls: bool = False
    """A black hole: nothing is forwarded, not even the end of a connection."""
    delay: float = 0.0
    """Seconds by which each chunk is delayed."""
    slice: int = 0
    """Bytes of each chunk; 0 to leave them as they are."""
    lose_lines: float = 0.0
    """Fraction of the lines from the server that are dropped."""
    cut_after: int | None = None
    """Bytes from client to server after which a connection is cut."""


NORMAL = NetworkConditions()


class Proxy(Closeable):
    """A proxy that forwards connections to `target`.

    Args:
        target: address to connect to.
        seed: of the random numbers.

    Attributes:
        conditions: of the network now.
        connection_count: of all accepted connections.
        cuts: number of connections cut.
        lines_lost: number of lines dropped.
    """

    def __init__(self, target: Address, seed: int = 0) -> None:
        self.target = target
        self.conditions = NORMAL
        self.connection_count = 0
        self.cuts = 0
        self.lines_lost = 0
        self._rng = random.Random(seed)  # noqa: S311 - it chooses faults
        self._loop = asyncio.new_event_loop()
        self._open: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self.address = self._call(self._listen)

    def cut(self, *, reset: bool = False) -> int:
        """Close every connection; `reset` discards data on the way. Returns the number of connections."""
        return self._call(lambda: self._cut(reset=reset))

    def close(self) -> None:
        """Close all connections and end the thread."""
        if not self._loop.is_running():
            return
        self._call(self._shut_down)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, make_coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(make_coroutine(), self._loop).result(_START_TIMEOUT)

    async def _listen(self) -> Address:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0, limit=_CHUNK_SIZE)
        name = self._server.sockets[0].getsockname()
        return Address(name[0], name[1])

    async def _cut(self, *, reset: bool) -> int:
        pairs = [pair for pair in self._open if not pair.is_cut]
        for pair in pairs:
            pair.cut(reset=reset)
        self.cuts += len(pairs)
        return len(pairs)

    async def _shut_down(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut(reset=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connection_count += 1
        # Writing to a closed transport raises RuntimeError.
        with contextlib.suppress(OSError, RuntimeError, asyncio.CancelledError):
            if self.conditions.refuses:
                _abort(writer, reset=True)
                return
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.target.pair, limit=_CHUNK_SIZE)
            await self._forward(_Pair((reader, writer), (upstream_reader, upstream_writer)))
        _abort(writer, reset=False)

    async def _forward(self, pair: "_Pair") -> None:
        self._open.add(pair)
        try:
            await asyncio.gather(self._forward_requests(pair), self._forward_replies(pair))
        finally:
            self._open.discard(pair)
            pair.cut(reset=False)

    async def _forward_requests(self, pair: "_Pair") -> None:
        """Forward from the client to the server."""
        reader, writer = pair.downstream[0], pair.upstream[1]
        forwarded = 0
        while data := await self._read(reader, writer):
            limit = self.conditions.cut_after
            if limit is not None and forwarded + len(data) >= limit:
                await self._send(writer, data[: max(0, limit - forwarded)])
                self.cuts += 1
                pair.cut(reset=False)
                return
            forwarded += len(data)
            await self._send(writer, data)
        _finish(writer)

    async def _forward_replies(self, pair: "_Pair") -> None:
        """Forward from the server to the client."""
        reader, writer = pair.upstream[0], pair.downstream[1]
        rest = b""
        # A line that was partly forwarded is not dropped: half a line would be another fault.
        line_started = False
        while data := await self._read(reader, writer):
            if (self.conditions.lose_lines and not line_started) or rest:
                *lines, rest = (rest + data).split(b"\n")
                data = b"".join(line + b"\n" for line in lines if not self._drops_line())
            else:
                line_started = not data.endswith(b"\n")
            await self._send(writer, data)
        await self._send(writer, rest)
        _finish(writer)

    def _drops_line(self) -> bool:
        lost = self._rng.random() < self.conditions.lose_lines
        self.lines_lost += lost
        return lost

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Return the next data, once it may be forwarded to `writer`; empty at the end."""
        try:
            data = await reader.read(_CHUNK_SIZE)
        except OSError:
            await self._wait_while_stalled(writer)
            raise
        await self._wait_while_stalled(writer)
        return data

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while data:
            conditions = self.conditions
            if conditions.delay:
                await asyncio.sleep(conditions.delay * self._rng.uniform(0.5, 1.5))
            await self._wait_while_stalled(writer)
            size = conditions.slice or len(data)
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            # Let other connections, and a cut, run between two chunks.
            await asyncio.sleep(0)

    async def _wait_while_stalled(self, writer: asyncio.StreamWriter) -> None:
        while self.conditions.stalls and not writer.transport.is_closing():
            await asyncio.sleep(_STALL_CHECK_INTERVAL)


class _Pair:
    """A connection from the client, and the one to the server."""

    def __init__(
        self,
        downstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.downstream = downstream
        self.upstream = upstream

    @property
    def is_cut(self) -> bool:
        """Whether the connection is closed."""
        return self.downstream[1].transport.is_closing()

    def cut(self, *, reset: bool) -> None:
        """Close both connections."""
        for _, writer in (self.downstream, self.upstream):
            _abort(writer, reset=reset)


def _finish(writer: asyncio.StreamWriter) -> None:
    """Send the end of this direction; the other one goes on."""
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()


def _abort(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        connected = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    else:
        writer.close()
