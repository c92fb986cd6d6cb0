"""A bad network between two parts: a proxy that cuts, resets, swallows, delays, slices and loses what it carries.

What it does at this moment is one frozen value, `Weather`, which a test sets; every piece of data looks at it anew.
The sockets belong to a thread of its own with an event loop.
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

_PIECE = 64 * 1024
_LOOK_AGAIN = 0.02
_START_SECONDS = 10.0
_RESET = struct.pack("ii", 1, 0)
"""The option with which closing a socket resets its connection: what was sent and not yet delivered is thrown away."""


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """What the network does now."""

    refuses: bool = False
    """New connections are closed at once."""
    swallows: bool = False
    """Nothing is carried, not even that a side has ended its connection: a black hole."""
    delay: float = 0.0
    """Seconds that each piece takes longer."""
    slice: int = 0
    """Bytes of each piece; as they come when 0."""
    lose_lines: float = 0.0
    """The part of the lines from the server that never arrive, as if a relay had eaten them."""
    cut_after: int | None = None
    """A connection is cut once so many bytes of it have gone from the client to the server."""


FAIR = Weather()


class Proxy(Closeable):
    """Carries connections to `target`.

    Args:
        target: where to.
        seed: of what is left to chance.

    Attributes:
        weather: what it does now.
        carried: how many connections it took.
        cuts: how many it cut.
        lines_lost: how many lines never arrived.
    """

    def __init__(self, target: Address, seed: int = 0) -> None:
        self.target = target
        self.weather = FAIR
        self.carried = 0
        self.cuts = 0
        self.lines_lost = 0
        self._chance = random.Random(seed)  # noqa: S311 - it makes bad weather
        self._loop = asyncio.new_event_loop()
        self._open: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self.address = self._ask(self._listen)

    def cut(self, *, reset: bool = False) -> int:
        """End every connection now; how many. With `reset`, what is on its way is thrown away."""
        return self._ask(lambda: self._cut(reset=reset))

    def close(self) -> None:
        """Let go of everything."""
        if not self._loop.is_running():
            return
        self._ask(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _ask(self, what: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(what(), self._loop).result(_START_SECONDS)

    async def _listen(self) -> Address:
        self._server = await asyncio.start_server(self._take, LOOPBACK, 0, limit=_PIECE)
        name = self._server.sockets[0].getsockname()
        return Address(name[0], name[1])

    async def _cut(self, *, reset: bool) -> int:
        pairs = [pair for pair in self._open if not pair.is_cut]
        for pair in pairs:
            pair.cut(reset=reset)
        self.cuts += len(pairs)
        return len(pairs)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut(reset=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.carried += 1
        # A transport that has ended refuses what is written with a RuntimeError.
        with contextlib.suppress(OSError, RuntimeError, asyncio.CancelledError):
            if self.weather.refuses:
                _abort(writer, reset=True)
                return
            far_reader, far_writer = await asyncio.open_connection(*self.target.pair, limit=_PIECE)
            await self._carry(_Pair((reader, writer), (far_reader, far_writer)))
        _abort(writer, reset=False)

    async def _carry(self, pair: "_Pair") -> None:
        self._open.add(pair)
        try:
            await asyncio.gather(self._upward(pair), self._downward(pair))
        finally:
            self._open.discard(pair)
            pair.cut(reset=False)

    async def _upward(self, pair: "_Pair") -> None:
        """From the client to the server."""
        reader, writer = pair.near[0], pair.far[1]
        gone = 0
        while data := await self._read(reader, writer):
            most = self.weather.cut_after
            if most is not None and gone + len(data) >= most:
                await self._send(writer, data[: max(0, most - gone)])
                self.cuts += 1
                pair.cut(reset=False)
                return
            gone += len(data)
            await self._send(writer, data)
        _finish(writer)

    async def _downward(self, pair: "_Pair") -> None:
        """From the server to the client."""
        reader, writer = pair.far[0], pair.near[1]
        rest = b""
        # A line of which a part is on its way already goes on: half a line would be another fault.
        begun = False
        while data := await self._read(reader, writer):
            if (self.weather.lose_lines and not begun) or rest:
                *lines, rest = (rest + data).split(b"\n")
                data = b"".join(line + b"\n" for line in lines if not self._loses())
            else:
                begun = not data.endswith(b"\n")
            await self._send(writer, data)
        await self._send(writer, rest)
        _finish(writer)

    def _loses(self) -> bool:
        lost = self._chance.random() < self.weather.lose_lines
        self.lines_lost += lost
        return lost

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """What comes next, at a time at which it may go on to `writer`; nothing at the end."""
        try:
            data = await reader.read(_PIECE)
        except OSError:
            await self._wait_for_light(writer)
            raise
        await self._wait_for_light(writer)
        return data

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while data:
            weather = self.weather
            if weather.delay:
                await asyncio.sleep(weather.delay * self._chance.uniform(0.5, 1.5))
            await self._wait_for_light(writer)
            size = weather.slice or len(data)
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            # Others, and a cut, have their turn between two pieces.
            await asyncio.sleep(0)

    async def _wait_for_light(self, writer: asyncio.StreamWriter) -> None:
        while self.weather.swallows and not writer.transport.is_closing():
            await asyncio.sleep(_LOOK_AGAIN)


class _Pair:
    """A connection and its continuation."""

    def __init__(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.near = near
        self.far = far

    @property
    def is_cut(self) -> bool:
        """Whether its end has come already."""
        return self.near[1].transport.is_closing()

    def cut(self, *, reset: bool) -> None:
        """End both ends."""
        for _, writer in (self.near, self.far):
            _abort(writer, reset=reset)


def _finish(writer: asyncio.StreamWriter) -> None:
    """Say that nothing more comes this way; the other way goes on."""
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
