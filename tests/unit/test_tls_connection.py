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
from core.server.connection import WRITE_BUFFER_LIMIT, AcceptedConnection
from core.server.handler import RequestHandler
from core.server.rate_limits import FREE_GUESSES, Limiter
from core.server.tls import TlsProtocol
from tests.services.certificates import Authority, Pair

DEADLINE = 10.0
HELLO = b'{"op":"hello","ref":1}\n'
Line: TypeAlias = dict[str, Json]


class Served:
    """A request handler without a journal, behind an encrypting listener in this process."""

    def __init__(self, pair: Pair, handshake_timeout: float, max_connections: int, token: str | None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._seconds = handshake_timeout
        self._token = token
        self._limiter = Limiter()
        self.handler = RequestHandler("s1", max_connections)
        self.made: list[AcceptedConnection] = []
        self.port = 0

    def make(self) -> asyncio.Protocol:
        """Make the protocol of a connection."""
        connection = AcceptedConnection(
            self.handler, Limits(), "s1", self._token, time.monotonic() + 1e6, self._limiter
        )
        self.made.append(connection)
        return TlsProtocol(connection, self._context, self._seconds)


@asynccontextmanager
async def serving(
    pair: Pair, handshake_timeout: float = DEADLINE, max_connections: int = 100, token: str | None = None
) -> AsyncIterator[Served]:
    """Serve for the block."""
    troubles: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: troubles.append(str(context)))
    served = Served(pair, handshake_timeout, max_connections, token)
    listener = await loop.create_server(served.make, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listener.close()
        while served.handler.connections:
            for connection in served.handler.connections:
                connection.abort()
            await asyncio.sleep(0)
    assert troubles == []


class TlsClient:
    """A client that encrypts itself, so that a test controls every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self.writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._plain = b""

    async def do_handshake(self, piece_size: int = 1 << 20) -> None:
        """Complete the handshake, sending pieces of this many bytes."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.push(piece_size)
                await self._pull()
            else:
                await self.push(piece_size)
                return

    async def send(self, line: bytes, piece_size: int = 1 << 20) -> None:
        """Encrypt and send a line."""
        self.tls.write(line)
        await self.push(piece_size)

    async def push(self, piece_size: int = 1 << 20) -> None:
        """Send the encrypted bytes in pieces."""
        encrypted = self._outgoing.read()
        for start in range(0, len(encrypted), piece_size):
            self.writer.write(encrypted[start : start + piece_size])
            await self.writer.drain()
            await asyncio.sleep(0)

    async def line(self) -> Line | None:
        """Return the next line, or None at the server's close notification."""
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
        assert received, "the connection ended without the server's close notification"
        self._incoming.write(received)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


async def connect(served: Served, authority: Authority) -> TlsClient:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1 << 24)
    return TlsClient(reader, writer, Encryption.trusting(str(authority.certificate)).context)


@pytest.mark.parametrize("piece_size", [1, 7, 1 << 20])
def test_a_request_may_arrive_in_any_pieces(authority: Authority, local_pair: Pair, piece_size: int) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.do_handshake(piece_size)
            for _ in range(3):
                await client.send(HELLO, piece_size)
                reply = await client.line()
                assert reply is not None
                assert reply["ok"]
            client.writer.transport.abort()

    run(test)


def test_handshake_and_requests_may_arrive_in_one_piece(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.do_handshake()
            await client.send(HELLO * 500)
            assert [bool((await client.line() or {}).get("ok")) for _ in range(500)] == [True] * 500
            client.writer.transport.abort()

    run(test)


def test_the_server_sends_a_close_notification_after_its_last_reply(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.do_handshake()
            await client.send(b"no json\n")
            refusal = await client.line()
            assert refusal is not None
            assert refusal["error"]
            assert await client.line() is None
            client.writer.close()

    run(test)


def test_a_client_may_end_its_sending_direction_and_still_read(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.do_handshake()
            await client.send(HELLO * 3)
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            await client.push()
            for _ in range(3):
                assert await client.line() is not None
            client.writer.close()
            while served.handler.connections:
                await asyncio.sleep(0)

    run(test)


def test_a_connection_above_the_limit_is_refused_over_tls(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair, max_connections=0) as served:
            client = await connect(served, authority)
            await client.do_handshake()
            refusal = await client.line()
            assert refusal is not None
            assert "overloaded" in str(refusal)
            assert await client.line() is None
            client.writer.transport.abort()

    run(test)


def test_a_client_without_tls_is_refused_with_a_remedy(local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(HELLO * 1000)
            reply = json.loads(await asyncio.wait_for(reader.readline(), DEADLINE))
            assert reply["error"]["code"] == "unauthorized"
            assert "accepts only TLS: connect with --tls-ca FILE" in reply["error"]["message"]
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
            writer.close()

    run(test)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01"])
def test_a_client_that_never_completes_the_handshake_is_disconnected(local_pair: Pair, first: bytes) -> None:
    async def test() -> None:
        async with serving(local_pair, handshake_timeout=0.2) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(first)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), DEADLINE)
            writer.close()

    run(test)


def test_nothing_is_read_from_an_encrypted_client_that_does_not_read(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair) as served:
            client = await connect(served, authority)
            await client.do_handshake()
            client.writer.transport.set_write_buffer_limits(0)
            while served.made[0].unsent <= WRITE_BUFFER_LIMIT:
                client.tls.write(HELLO * 200)
                client.writer.write(client._outgoing.read())  # noqa: SLF001 - nothing waits for the server here
                await asyncio.sleep(0)
            for _ in range(50):
                await asyncio.sleep(0)
            assert served.made[0].unsent < 4 * WRITE_BUFFER_LIMIT
            client.writer.transport.abort()

    run(test)


def test_an_invalid_handshake_ends_the_connection_without_an_error(local_pair: Pair) -> None:
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


def test_invalid_records_end_only_their_own_connection(authority: Authority, local_pair: Pair) -> None:
    chance = random.Random(8)  # noqa: S311 - to be the same each time

    async def test() -> None:
        async with serving(local_pair) as served:
            honest = await connect(served, authority)
            await honest.do_handshake()
            for _ in range(50):
                client = await connect(served, authority)
                await client.do_handshake()
                client.writer.write(b"\x17\x03\x03\x00\x40" + chance.randbytes(0x40))
                with pytest.raises((AssertionError, ConnectionError, ssl.SSLError)):
                    await client.line()
                client.writer.close()
            await honest.send(HELLO)
            assert await honest.line() is not None
            honest.writer.transport.abort()

    run(test)


def test_the_replies_to_many_wrong_tokens_are_delayed(authority: Authority, local_pair: Pair) -> None:
    async def test() -> None:
        async with serving(local_pair, token="right") as served:  # noqa: S106 - it is a test's

            async def try_token(token: str) -> str:
                client = await connect(served, authority)
                await client.do_handshake()
                await client.send(json.dumps({"op": "hello", "ref": 1, "token": token}).encode() + b"\n")
                reply = str(await client.line())
                client.writer.transport.abort()
                return reply

            for number in range(FREE_GUESSES):
                assert "token: wrong" in await try_token(f"guess {number}")
            guess = asyncio.create_task(try_token("one guess more"))
            assert "limits" in await try_token("right")
            assert not guess.done(), "the guess, which came first, is answered later"
            assert "token: wrong" in await guess

    run(test)
