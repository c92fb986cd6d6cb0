"""A server's side of an encrypted connection: real TLS over real sockets, in whatever pieces it comes."""

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import pytest

from core.encryption import Encryption
from core.jsontext import Json
from core.protocol import Limits
from core.server.connection import WRITE_BUFFER, AcceptedConnection
from core.server.handler import RequestHandler
from core.server.rate_limits import FREE_GUESSES, GUESS_DELAY, Limiter
from core.server.tls import TlsProtocol
from tests.services.certificates import Authority, Pair

DEADLINE = 10.0
HELLO = b'{"op":"hello","ref":1}\n'
Line: TypeAlias = dict[str, Json]


class Served:
    """A desk behind a listener that encrypts, in this process. It answers what needs no journal."""

    def __init__(self, pair: Pair, handshake_seconds: float, most: int, token: str | None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._seconds = handshake_seconds
        self._token = token
        self._limiter = Limiter()
        self.desk = RequestHandler("s1", most)
        self.made: list[AcceptedConnection] = []
        self.port = 0

    def make(self) -> asyncio.Protocol:
        """One more connection."""
        connection = AcceptedConnection(self.desk, Limits(), "s1", self._token, time.monotonic() + 1e6, self._limiter)
        self.made.append(connection)
        return TlsProtocol(connection, self._context, self._seconds)


@asynccontextmanager
async def serving(
    pair: Pair, handshake_seconds: float = DEADLINE, most: int = 100, token: str | None = None
) -> AsyncIterator[Served]:
    """A server for the block."""
    troubles: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: troubles.append(str(context)))
    served = Served(pair, handshake_seconds, most, token)
    listener = await loop.create_server(served.make, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listener.close()
        while served.desk.connections:
            for connection in served.desk.connections:
                connection.abort()
            await asyncio.sleep(0)
    assert troubles == []


class Shaken:
    """A client whose TLS is made by hand, so that a test has every byte in its hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self.writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._plain = b""

    async def shake_hands(self, slice_of: int = 1 << 20) -> None:
        """Do it, sending so many bytes at a time."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.push(slice_of)
                await self._pull()
            else:
                await self.push(slice_of)
                return

    async def send(self, line: bytes, slice_of: int = 1 << 20) -> None:
        """Send something."""
        self.tls.write(line)
        await self.push(slice_of)

    async def push(self, slice_of: int = 1 << 20) -> None:
        """Send what is encrypted, in pieces."""
        sealed = self._outgoing.read()
        for start in range(0, len(sealed), slice_of):
            self.writer.write(sealed[start : start + slice_of])
            await self.writer.drain()
            await asyncio.sleep(0)

    async def line(self) -> Line | None:
        """The next line; None at the end that the server announced."""
        while b"\n" not in self._plain:
            try:
                part = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                await self._pull()
                continue
            except ssl.SSLZeroReturnError:
                return None
            if not part:
                return None
            self._plain += part
        raw, _, self._plain = self._plain.partition(b"\n")
        line: Line = json.loads(raw)
        return line

    async def _pull(self) -> None:
        received = await asyncio.wait_for(self._reader.read(1 << 16), DEADLINE)
        assert received, "the connection ended without the server's farewell"
        self._incoming.write(received)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


async def connect(served: Served, authority: Authority) -> Shaken:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1 << 24)
    return Shaken(reader, writer, Encryption.trusting(str(authority.certificate)).context)


@pytest.mark.parametrize("slice_of", [1, 7, 1 << 20])
def test_a_request_is_answered_in_whatever_pieces_it_comes(
    authority: Authority, local_pair: Pair, slice_of: int
) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.shake_hands(slice_of)
            for _ in range(3):
                await client.send(HELLO, slice_of)
                answer = await client.line()
                assert answer is not None
                assert answer["ok"]
            client.writer.transport.abort()

    run(test)


def test_handshake_and_requests_may_come_in_one_piece(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.shake_hands()
            await client.send(HELLO * 500)
            assert [bool((await client.line() or {}).get("ok")) for _ in range(500)] == [True] * 500
            client.writer.transport.abort()

    run(test)


def test_the_server_says_farewell_after_its_last_answer(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.shake_hands()
            await client.send(b"no json\n")
            refusal = await client.line()
            assert refusal is not None
            assert refusal["error"]
            assert await client.line() is None
            client.writer.close()

    run(test)


def test_a_client_may_say_that_it_sends_no_more_and_still_reads(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.shake_hands()
            await client.send(HELLO * 3)
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            await client.push()
            for _ in range(3):
                assert await client.line() is not None
            client.writer.close()
            while served.desk.connections:
                await asyncio.sleep(0)

    run(test)


def test_one_connection_too_many_is_told_so_within_what_is_encrypted(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair, most=0) as served:
            client = await connect(served, authority)
            await client.shake_hands()
            refusal = await client.line()
            assert refusal is not None
            assert "overloaded" in str(refusal)
            assert await client.line() is None
            client.writer.transport.abort()

    run(test)


def test_who_speaks_in_the_clear_is_told_what_to_do(local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(HELLO * 1000)
            answer = json.loads(await asyncio.wait_for(reader.readline(), DEADLINE))
            assert answer["error"]["code"] == "unauthorized"
            assert "speaks only TLS: connect with --tls-ca FILE" in answer["error"]["message"]
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
            writer.close()

    run(test)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01"])
def test_who_never_shakes_hands_is_cut(local_pair: Pair, first: bytes) -> None:
    async def test() -> None:
        async with serving(local_pair, handshake_seconds=0.2) as served:
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(first)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), DEADLINE)
            assert 0.1 < time.monotonic() - began < 5
            writer.close()

    run(test)


def test_an_encrypted_client_that_does_not_read_is_not_read_either(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.shake_hands()
            client.writer.transport.set_write_buffer_limits(0)
            while served.made[0].unsent <= WRITE_BUFFER:
                client.tls.write(HELLO * 200)
                client.writer.write(client._outgoing.read())  # noqa: SLF001 - nothing waits for the server here
                await asyncio.sleep(0)
            for _ in range(50):
                await asyncio.sleep(0)
            assert served.made[0].unsent < 4 * WRITE_BUFFER
            client.writer.transport.abort()

    run(test)


def test_rubbish_in_the_place_of_a_handshake_ends_quietly(local_pair: Pair) -> None:
    chance = random.Random(7)  # noqa: S311 - to be the same each time

    async def test() -> None:
        async with serving(local_pair) as served:
            for _ in range(200):
                reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
                writer.write(b"\x16\x03\x01" + chance.randbytes(chance.randrange(1, 2000)))
                writer.write_eof()
                with suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), DEADLINE)
                writer.close()

    run(test)


def test_rubbish_after_the_handshake_ends_only_its_own_connection(authority: Authority, local_pair: Pair) -> None:
    chance = random.Random(8)  # noqa: S311 - to be the same each time

    async def test() -> None:
        async with serving(local_pair) as served:
            honest = await connect(served, authority)
            await honest.shake_hands()
            for _ in range(50):
                client = await connect(served, authority)
                await client.shake_hands()
                client.writer.write(b"\x17\x03\x03\x00\x40" + chance.randbytes(0x40))
                with pytest.raises((AssertionError, ConnectionError, ssl.SSLError)):
                    await client.line()
                client.writer.close()
            await honest.send(HELLO)
            assert await honest.line() is not None
            honest.writer.transport.abort()

    run(test)


def test_the_answer_to_many_wrong_tokens_comes_late(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair, token="right") as served:  # noqa: S106 - it is a test's

            async def try_token(token: str) -> tuple[str, float]:
                client = await connect(served, authority)
                await client.shake_hands()
                began = time.monotonic()
                await client.send(json.dumps({"op": "hello", "ref": 1, "token": token}).encode() + b"\n")
                answer = str(await client.line())
                client.writer.transport.abort()
                return answer, time.monotonic() - began

            for number in range(FREE_GUESSES):
                answer, took = await try_token(f"guess {number}")
                assert "token: wrong" in answer
                assert took < GUESS_DELAY
            answer, took = await try_token("one guess more")
            assert "token: wrong" in answer
            assert took > GUESS_DELAY * 0.9
            answer, took = await try_token("right")
            assert "limits" in answer
            assert took < GUESS_DELAY

    run(test)
