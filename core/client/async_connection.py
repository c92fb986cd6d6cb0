"""A connection over a transport of asyncio. It belongs to the event loop in which it was opened."""

import asyncio
import os
import socket
import ssl
import time

from core.addresses import Address
from core.client.connection import READ_SIZE, Connection, ConnectionLost, check_trust, explain
from core.encryption import Encryption


class AsyncConnection(Connection, asyncio.Protocol):
    """A connection whose input is collected by the event loop.

    Args:
        address: the server's address.

    Attributes:
        arrival: set by the event loop when there is something to read.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(address, time.monotonic())
        self.arrival = asyncio.Event()
        self._input = bytearray()
        self._ended = False
        self._error: Exception | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Collect input; no more is taken from the socket than a reader can keep up with."""
        self._input += data
        if len(self._input) >= READ_SIZE:
            self._transport.pause_reading()
        self.arrival.set()

    def eof_received(self) -> None:
        """Note the end of the input; the transport closes itself."""
        self._ended = True
        self.arrival.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is closed or broken."""
        self._ended = True
        self._error = exc
        self.arrival.set()

    # What the pipeline and the pool call.

    def flush(self) -> None:
        """Hand the buffered output to the event loop, which sends it.

        Raises:
            ConnectionLost: the connection is broken.
        """
        if not self._output:
            return
        if self._ended or self._transport.is_closing():
            raise ConnectionLost("the server closed the connection")
        self._transport.write(bytes(self._output))
        self._output.clear()

    def read(self) -> bytes | None:
        """Return received bytes. Returns None when there are none, and b"" at the end of the stream.

        Raises:
            ConnectionLost: the connection is broken.
        """
        if self._input:
            received = bytes(self._input)
            self._input.clear()
            if not self._ended:
                self._transport.resume_reading()
            return received
        if self._error is not None:
            raise ConnectionLost(_explain(self._error)) from self._error
        return b"" if self._ended else None

    def close(self) -> None:
        """Close the transport, and drop what it has not sent."""
        self._transport.abort()


async def connect(address: Address, timeout: float, tls: Encryption | None = None) -> AsyncConnection:
    """Open a connection.

    Args:
        address: the server's address.
        timeout: seconds for the connection and the TLS handshake.
        tls: the encryption; None for a plain connection.

    Raises:
        ConnectionLost: the connection failed.
        ServerUntrusted: the encryption fails until its configuration is corrected.
    """
    name = (tls.name or address.host) if tls else None
    try:
        async with asyncio.timeout(timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: AsyncConnection(address), *address.pair, ssl=tls.context if tls else None, server_hostname=name
            )
    except (OSError, ValueError) as error:
        if isinstance(error, ssl.SSLError):
            check_trust(error, address, name or "")
        raise ConnectionLost(_explain(error)) from error
    return connection


def _explain(error: Exception) -> str:
    """Return why a connection failed, in the words of the operating system rather than those of asyncio."""
    if isinstance(error, OSError) and not isinstance(error, TimeoutError | ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno) if error.errno else str(error)
    return explain(error)
