"""The server's end of a connection, with a real socket and a clock that the test controls."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from core.jsontext import Json
from core.protocol import Limits, Request
from core.server.connection import CLOSE_TIMEOUT, WRITE_TIMEOUT, AcceptedConnection
from core.server.handler import MAX_BUFFERED, RequestHandler

HELLO = b'{"op":"hello","ref":1}\n'
DEADLINE = 10.0

Line: TypeAlias = dict[str, Json]


class Client:
    """A client, and the server's end of its connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: AcceptedConnection
    ) -> None:
        self._reader = reader
        self.writer = writer
        self.connection = connection

    async def line(self) -> Line | None:
        """Return the next line, or None at the end."""
        raw = await asyncio.wait_for(self._reader.readline(), DEADLINE)
        line: Line | None = json.loads(raw) if raw else None
        return line

    async def lines(self) -> list[Line]:
        """Return all lines up to the end."""
        lines = []
        while (line := await self.line()) is not None:
            lines.append(line)
        return lines

    async def hello(self) -> None:
        """Wait until the server has read everything sent so far."""
        self.writer.write(HELLO)
        assert await self.line() is not None


class Served:
    """A request handler without a journal, behind a listener in this process."""

    def __init__(self, limits: Limits, token: str | None, max_connections: int, age: float, max_buffered: int) -> None:
        self._limits = limits
        self._token = token
        self._age = age
        self._made: asyncio.Queue[AcceptedConnection] = asyncio.Queue()
        self._clients: list[Client] = []
        self._listener: asyncio.Server | None = None
        self.handler = RequestHandler("s1", max_connections, max_buffered)

    async def listen(self) -> None:
        """Start listening."""
        self._listener = await asyncio.get_running_loop().create_server(self._make, "127.0.0.1", 0)

    def _make(self) -> AcceptedConnection:
        connection = AcceptedConnection(self.handler, self._limits, "s1", self._token, time.monotonic() + self._age)
        self._made.put_nowait(connection)
        return connection

    async def connect(self) -> Client:
        """Connect a client."""
        assert self._listener is not None
        port = self._listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        self._clients.append(Client(reader, writer, await asyncio.wait_for(self._made.get(), DEADLINE)))
        return self._clients[-1]

    async def connect_socket(self) -> tuple[socket.socket, AcceptedConnection]:
        """Connect a socket of which the event loop knows only the server's end."""
        assert self._listener is not None
        connected = socket.create_connection(self._listener.sockets[0].getsockname())
        return connected, await asyncio.wait_for(self._made.get(), DEADLINE)

    async def until(self, client: Client, seconds: float, condition: Callable[[], bool]) -> None:
        """Check a connection's timeouts, `seconds` later each time, until the condition holds."""
        now = time.monotonic()
        deadline = now + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            client.connection.check_timeouts(now)
            now += seconds
            await asyncio.sleep(0.002)

    def has(self, client: Client) -> bool:
        """Return whether the server still has the connection."""
        return client.connection in self.handler.connections

    async def close(self) -> None:
        """Close the listener and all connections."""
        assert self._listener is not None
        self._listener.close()
        for client in self._clients:
            client.writer.transport.abort()
        while self.handler.connections:
            for connection in self.handler.connections:
                connection.abort()
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(
    limits: Limits | None = None,
    token: str | None = None,
    max_connections: int = 100,
    age: float = 1e6,
    max_buffered: int = MAX_BUFFERED,
) -> AsyncIterator[Served]:
    """Serve for the block."""
    served = Served(limits or Limits(), token, max_connections, age, max_buffered)
    await served.listen()
    try:
        yield served
    finally:
        await served.close()


def run(test: Coroutine[None, None, None]) -> None:
    """Run a test within a timeout."""
    asyncio.run(asyncio.wait_for(test, 30))


@pytest.mark.parametrize("begin", [b"{", HELLO + b" ", b'{"op": "submit", "payload": "' + b"x" * 5000])
def test_a_line_that_does_not_end_is_refused(begin: bytes) -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.write(begin)
            reading = asyncio.create_task(client.lines())
            await served.until(client, 21.0, reading.done)
            assert reading.result()[-1]["error"]["code"] == "bad_frame"
            assert "20 seconds" in reading.result()[-1]["error"]["message"]

    run(test())


def test_single_bytes_do_not_extend_the_time_of_a_line() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            await client.hello()
            reading = asyncio.create_task(client.line())
            now, second = time.monotonic(), 0
            while not reading.done():
                client.writer.write(b"x")
                await asyncio.sleep(0.002)
                client.connection.check_timeouts(now + second)
                second += 1
            line = reading.result()
            assert line is not None
            assert line["error"]["code"] == "bad_frame"
            assert 20 < second < 40

    run(test())


def test_complete_lines_may_arrive_slowly_for_ever() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            now = time.monotonic()
            for second in range(60):
                client.writer.write(HELLO)
                assert await client.line() is not None
                client.writer.write(HELLO[:5])
                client.connection.check_timeouts(now + second)
                client.writer.write(HELLO[5:])
                assert await client.line() is not None
            assert served.has(client)

    run(test())


def test_an_idle_client_is_disconnected_and_an_active_one_is_not() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            await client.hello()
            client.connection.check_timeouts(time.monotonic() + 890)
            await client.hello()
            assert served.has(client)
            client.connection.check_timeouts(time.monotonic() + 901)
            assert [list(line) for line in await client.lines()] == [["goaway"]]

    run(test())


def test_a_client_without_its_token_is_disconnected_in_time() -> None:
    async def test() -> None:
        async with serving(token="clé") as served:  # noqa: S106 - it is a test's
            silent, known = await served.connect(), await served.connect()
            known.writer.write('{"op": "hello", "ref": 1, "token": "clé"}\n'.encode())
            assert "ok" in (await known.line() or {})
            for client in (silent, known):
                client.connection.check_timeouts(time.monotonic() + 11)
            assert [line["error"]["code"] for line in await silent.lines()] == ["unauthorized"]
            assert served.has(known)

    run(test())


def test_an_old_connection_is_asked_once_to_reconnect() -> None:
    async def test() -> None:
        async with serving(age=100.0) as served:
            client = await served.connect()
            now = time.monotonic()
            client.connection.check_timeouts(now + 99)
            client.connection.check_timeouts(now + 101)
            client.connection.check_timeouts(now + 102)
            assert list(await client.line() or {}) == ["goaway"]
            await client.hello()

    run(test())


def test_a_connection_above_the_limit_is_refused() -> None:
    async def test() -> None:
        async with serving(max_connections=2) as served:
            first, second, third = await served.connect(), await served.connect(), await served.connect()
            (line,) = await third.lines()
            assert line["error"]["code"] == "overloaded"
            assert "2 connections" in line["error"]["message"]
            third.writer.close()
            first.writer.close()
            await served.until(second, 0.0, lambda: not served.has(first) and not served.has(third))
            await (await served.connect()).hello()

    run(test())


def test_a_client_that_never_reads_is_throttled_and_disconnected() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a writer's transport reads too
            chunk = HELLO * 1000
            sent = 0
            try:
                while True:
                    client.writer.write(chunk)
                    await asyncio.wait_for(client.writer.drain(), 0.5)
                    sent += len(chunk)
            except TimeoutError:
                pass
            assert sent < 64 * 1024 * 1024
            assert served.has(client)
            await served.until(client, WRITE_TIMEOUT, lambda: not served.has(client))

    run(test())


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_client_that_does_not_read_its_last_replies_is_disconnected(half_closed: bool) -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a writer's transport reads too
            # Replies that fill the operating system's buffers and a little more, but too few to pause the writing.
            while not client.connection.unsent:
                client.connection.queue_line(b"x" * 65_536)
                client.connection.flush()
            if half_closed:
                client.writer.write_eof()
            else:
                client.writer.write(b"nonsense\n")
            await served.until(client, CLOSE_TIMEOUT + 1, lambda: not served.has(client))

    run(test())


def test_a_client_that_does_not_close_after_its_last_reply_is_disconnected() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.write(b"nonsense\n")
            assert await client.line() is not None
            assert served.has(client)
            client.connection.check_timeouts(time.monotonic() + CLOSE_TIMEOUT - 1)
            assert served.has(client)
            await served.until(client, CLOSE_TIMEOUT + 1, lambda: not served.has(client))

    run(test())


def test_nothing_is_read_from_a_client_whose_connection_is_closing() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            await client.hello()
            client.connection.check_timeouts(time.monotonic() + 901)
            # This handler has no journal: a submission that reached it would end the connection by an error.
            client.writer.write(b'{"op": "submit", "ref": 2, "payload": 1}\n')
            assert [list(line) for line in await client.lines()] == [["goaway"]]
            assert served.has(client)
            client.writer.close()
            await served.until(client, 0.0, lambda: not served.has(client))

    run(test())


def test_very_many_invalid_requests_are_answered_in_turns() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            # In one piece, as the event loop passes it.
            client.connection.data_received(b"{}\n" * 20_000)
            assert not client.connection.is_idle
            replies = [await client.line() for _ in range(20_000)]
            assert all(reply and reply["error"]["code"] == "invalid" for reply in replies)
            await client.hello()
            assert client.connection.is_idle

    run(test())


def test_requests_before_the_end_of_the_input_are_answered() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            # As an encrypted connection passes them: both at once.
            client.connection.data_received(b"{}\n" * 20_000 + HELLO)
            client.connection.eof_received()
            lines = await client.lines()
            assert len(lines) == 20_001
            assert "ok" in lines[-1]

    run(test())


def test_the_largest_clients_are_disconnected_when_all_use_too_much_memory() -> None:
    async def test() -> None:
        async with serving(max_buffered=1_000_000) as served:
            large = [await served.connect() for _ in range(3)]
            small = await served.connect()
            for client, size in zip([small, *reversed(large)], [10, 300_000, 400_000, 500_000], strict=True):
                # As the event loop passes it: a line that has not ended.
                client.connection.data_received(b'{"op":"submit","payload":"' + b"x" * size)
            served.handler.check_limits(time.monotonic())
            for client in large[:2]:
                line = await client.line()
                assert line is not None
                assert line["error"]["code"] == "overloaded"
            buffered = [client.connection.buffered for client in [*large, small]]
            assert buffered[:2] == [0, 0]
            assert buffered[2] > 300_000
            assert buffered[3] > 10
            # The others continue.
            served.handler.check_limits(time.monotonic())
            small.writer.write(b'"}\n')
            line = await small.line()
            assert line is not None
            assert "ref" in line["error"]["message"]

    run(test())


def test_closing_a_connection_that_the_client_has_just_reset_raises_nothing() -> None:
    async def test() -> None:
        async with serving() as served:
            connected, connection = await served.connect_socket()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()
            # The event loop has not noticed yet.
            connection.close()
            while served.handler.connections:
                await asyncio.sleep(0)

    run(test())


def test_a_request_that_finds_no_memory_disconnects_only_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving() as served:
            large, other = await served.connect(), await served.connect()
            handle = served.handler.handle

            def without_memory(connection: AcceptedConnection, requests: Sequence[Request]) -> None:
                if connection is large.connection:
                    raise MemoryError
                handle(connection, requests)

            monkeypatch.setattr(served.handler, "handle", without_memory)
            large.writer.write(b'{"op": "status", "ref": 1, "id": "a"}\n' * 3)
            (reply,) = await large.lines()
            assert reply["error"] == {"code": "overloaded", "message": "this server is out of memory"}
            await other.hello()
            assert served.has(other)

    run(test())
