"""A server's side of a connection: a real socket, and a clock that is the test's."""

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
from core.server.connection import LINGER_SECONDS, WRITE_SECONDS, AcceptedConnection
from core.server.handler import MOST_HELD, RequestHandler

HELLO = b'{"op":"hello","ref":1}\n'
DEADLINE = 10.0

Line: TypeAlias = dict[str, Json]


class Client:
    """One end of a connection, and the server's view of the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: AcceptedConnection
    ) -> None:
        self._reader = reader
        self.writer = writer
        self.connection = connection

    async def line(self) -> Line | None:
        """The next line; None at the end."""
        raw = await asyncio.wait_for(self._reader.readline(), DEADLINE)
        line: Line | None = json.loads(raw) if raw else None
        return line

    async def lines(self) -> list[Line]:
        """All lines to the end."""
        lines = []
        while (line := await self.line()) is not None:
            lines.append(line)
        return lines

    async def hello(self) -> None:
        """Make sure that the server has read everything so far."""
        self.writer.write(HELLO)
        assert await self.line() is not None


class Served:
    """A desk behind a listener, in this process. It answers what needs no journal."""

    def __init__(self, limits: Limits, token: str | None, most: int, age: float, most_held: int) -> None:
        self._limits = limits
        self._token = token
        self._age = age
        self._made: asyncio.Queue[AcceptedConnection] = asyncio.Queue()
        self._clients: list[Client] = []
        self._listener: asyncio.Server | None = None
        self.desk = RequestHandler("s1", most, most_held)

    async def listen(self) -> None:
        """Begin."""
        self._listener = await asyncio.get_running_loop().create_server(self._make, "127.0.0.1", 0)

    def _make(self) -> AcceptedConnection:
        connection = AcceptedConnection(self.desk, self._limits, "s1", self._token, time.monotonic() + self._age)
        self._made.put_nowait(connection)
        return connection

    async def connect(self) -> Client:
        """One more client."""
        assert self._listener is not None
        port = self._listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        self._clients.append(Client(reader, writer, await asyncio.wait_for(self._made.get(), DEADLINE)))
        return self._clients[-1]

    async def connect_socket(self) -> tuple[socket.socket, AcceptedConnection]:
        """One more client, of which the event loop knows only the server's end."""
        assert self._listener is not None
        connected = socket.create_connection(self._listener.sockets[0].getsockname())
        return connected, await asyncio.wait_for(self._made.get(), DEADLINE)

    async def until(self, client: Client, seconds: float, condition: Callable[[], bool]) -> None:
        """Look after a connection, `seconds` later each time, until the condition holds."""
        now = time.monotonic()
        deadline = now + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            client.connection.check(now)
            now += seconds
            await asyncio.sleep(0.002)

    def has(self, client: Client) -> bool:
        """Whether the server still has the connection."""
        return client.connection in self.desk.connections

    async def close(self) -> None:
        """End everything."""
        assert self._listener is not None
        self._listener.close()
        for client in self._clients:
            client.writer.transport.abort()
        while self.desk.connections:
            for connection in self.desk.connections:
                connection.abort()
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(
    limits: Limits | None = None,
    token: str | None = None,
    most: int = 100,
    age: float = 1e6,
    most_held: int = MOST_HELD,
) -> AsyncIterator[Served]:
    """A server for the block."""
    served = Served(limits or Limits(), token, most, age, most_held)
    await served.listen()
    try:
        yield served
    finally:
        await served.close()


def run(test: Coroutine[None, None, None]) -> None:
    """Run a test to its end."""
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


def test_a_byte_now_and_then_does_not_save_a_line() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            await client.hello()
            reading = asyncio.create_task(client.line())
            now, second = time.monotonic(), 0
            while not reading.done():
                client.writer.write(b"x")
                await asyncio.sleep(0.002)
                client.connection.check(now + second)
                second += 1
            line = reading.result()
            assert line is not None
            assert line["error"]["code"] == "bad_frame"
            assert 20 < second < 40

    run(test())


def test_lines_that_end_may_come_slowly_for_ever() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            now = time.monotonic()
            for second in range(60):
                client.writer.write(HELLO)
                assert await client.line() is not None
                client.writer.write(HELLO[:5])
                client.connection.check(now + second)
                client.writer.write(HELLO[5:])
                assert await client.line() is not None
            assert served.has(client)

    run(test())


def test_an_idle_client_is_sent_away_and_one_that_asks_is_not() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            await client.hello()
            client.connection.check(time.monotonic() + 890)
            await client.hello()
            assert served.has(client)
            client.connection.check(time.monotonic() + 901)
            assert [list(line) for line in await client.lines()] == [["goaway"]]

    run(test())


def test_a_client_without_its_token_is_sent_away_in_time() -> None:
    async def test() -> None:
        async with serving(token="clé") as served:  # noqa: S106 - it is a test's
            silent, known = await served.connect(), await served.connect()
            known.writer.write('{"op": "hello", "ref": 1, "token": "clé"}\n'.encode())
            assert "ok" in (await known.line() or {})
            for client in (silent, known):
                client.connection.check(time.monotonic() + 11)
            assert [line["error"]["code"] for line in await silent.lines()] == ["unauthorized"]
            assert served.has(known)

    run(test())


def test_an_old_connection_is_asked_once_to_connect_anew() -> None:
    async def test() -> None:
        async with serving(age=100.0) as served:
            client = await served.connect()
            now = time.monotonic()
            client.connection.check(now + 99)
            client.connection.check(now + 101)
            client.connection.check(now + 102)
            assert list(await client.line() or {}) == ["goaway"]
            await client.hello()

    run(test())


def test_one_connection_too_many_is_told_so() -> None:
    async def test() -> None:
        async with serving(most=2) as served:
            first, second, third = await served.connect(), await served.connect(), await served.connect()
            (line,) = await third.lines()
            assert line["error"]["code"] == "overloaded"
            assert "2 connections" in line["error"]["message"]
            third.writer.close()
            first.writer.close()
            await served.until(second, 0.0, lambda: not served.has(first) and not served.has(third))
            await (await served.connect()).hello()

    run(test())


def test_a_client_that_never_reads_is_read_no_more_and_cut_off() -> None:
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
            await served.until(client, WRITE_SECONDS, lambda: not served.has(client))

    run(test())


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_client_that_does_not_take_its_last_answers_is_cut_off(half_closed: bool) -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a writer's transport reads too
            # Answers that fill what the system holds for a reader, and some more, but too few to count as stuck.
            while not client.connection.unsent:
                client.connection.reply(b"x" * 65_536)
                client.connection.flush()
            if half_closed:
                client.writer.write_eof()
            else:
                client.writer.write(b"nonsense\n")
            await served.until(client, LINGER_SECONDS + 1, lambda: not served.has(client))

    run(test())


def test_a_client_that_does_not_close_after_its_last_answer_is_cut_off() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.write(b"nonsense\n")
            assert await client.line() is not None
            assert served.has(client)
            client.connection.check(time.monotonic() + LINGER_SECONDS - 1)
            assert served.has(client)
            await served.until(client, LINGER_SECONDS + 1, lambda: not served.has(client))

    run(test())


def test_nothing_is_taken_from_a_client_that_was_told_to_leave() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            await client.hello()
            client.connection.check(time.monotonic() + 901)
            # There is no journal behind this desk: a submission that got through would end the connection by an error.
            client.writer.write(b'{"op": "submit", "ref": 2, "payload": 1}\n')
            assert [list(line) for line in await client.lines()] == [["goaway"]]
            assert served.has(client)
            client.writer.close()
            await served.until(client, 0.0, lambda: not served.has(client))

    run(test())


def test_of_very_many_wrong_requests_some_are_answered_before_others_have_their_turn() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            # At once, as the event loop hands it over.
            client.connection.data_received(b"{}\n" * 20_000)
            assert not client.connection.settled
            answers = [await client.line() for _ in range(20_000)]
            assert all(answer and answer["error"]["code"] == "invalid" for answer in answers)
            await client.hello()
            assert client.connection.settled

    run(test())


def test_what_came_before_the_client_said_that_nothing_more_comes_is_answered() -> None:
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            # As an encrypted connection hands it over: both at once.
            client.connection.data_received(b"{}\n" * 20_000 + HELLO)
            client.connection.eof_received()
            lines = await client.lines()
            assert len(lines) == 20_001
            assert "ok" in lines[-1]

    run(test())


def test_those_that_hold_most_are_cut_off_when_all_hold_too_much() -> None:
    async def test() -> None:
        async with serving(most_held=1_000_000) as served:
            large = [await served.connect() for _ in range(3)]
            small = await served.connect()
            for client, size in zip([small, *reversed(large)], [10, 300_000, 400_000, 500_000], strict=True):
                # As the event loop hands it over: a line that has begun.
                client.connection.data_received(b'{"op":"submit","payload":"' + b"x" * size)
            served.desk.check(time.monotonic())
            for client in large[:2]:
                line = await client.line()
                assert line is not None
                assert line["error"]["code"] == "overloaded"
            held = [client.connection.held for client in [*large, small]]
            assert held[:2] == [0, 0]
            assert held[2] > 300_000
            assert held[3] > 10
            # The others go on.
            served.desk.check(time.monotonic())
            small.writer.write(b'"}\n')
            line = await small.line()
            assert line is not None
            assert "ref" in line["error"]["message"]

    run(test())


def test_the_end_of_a_connection_that_the_client_has_just_reset_raises_nothing() -> None:
    async def test() -> None:
        async with serving() as served:
            connected, connection = await served.connect_socket()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()
            # The event loop has had no chance to notice.
            connection.end()
            while served.desk.connections:
                await asyncio.sleep(0)

    run(test())


def test_a_request_that_finds_no_memory_ends_its_client_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving() as served:
            large, other = await served.connect(), await served.connect()
            handle = served.desk.handle

            def without_memory(connection: AcceptedConnection, requests: Sequence[Request]) -> None:
                if connection is large.connection:
                    raise MemoryError
                handle(connection, requests)

            monkeypatch.setattr(served.desk, "handle", without_memory)
            large.writer.write(b'{"op": "status", "ref": 1, "id": "a"}\n' * 3)
            (answer,) = await large.lines()
            assert answer["error"] == {"code": "overloaded", "message": "this server is out of memory"}
            await other.hello()
            assert served.has(other)

    run(test())
