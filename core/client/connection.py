"""One connection to a server: the protocol, and the requests without a reply. This module opens no socket.

Sending and reading never wait, so that both directions flow at once. A connection belongs to one thread at a time.
"""

import itertools
import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence

from core.addresses import Address
from core.client.requests import ClientRequest
from core.encryption import explain_failure
from core.errors import RemoteProtocolError, ServerUntrusted
from core.protocol import ClientConnection, Goaway, Ref, Reply

READ_SIZE = 256 * 1024
"""Bytes to read at once."""


class ConnectionLost(Exception):
    """The connection can't be used any more; its open requests must be sent again."""


class Connection(ABC):
    """A connection to one server.

    Args:
        address: the server's address.
        now: the time of the monotonic clock.

    Attributes:
        protocol: the client side of the protocol, with the server's limits.
        draining: whether the server asked for no new requests on this connection.
        proven: whether a request was answered on it.
        request_count: the number of all requests sent on it.
        open_requests: the requests without a reply and the times at which they were sent, by ref, oldest first.
    """

    def __init__(self, address: Address, now: float) -> None:
        self.address = address
        self.protocol = ClientConnection()
        self.draining = False
        self.proven = False
        self.request_count = 0
        self.open_requests: dict[Ref, tuple[ClientRequest, float]] = {}
        self._open_bytes = 0
        self._last_received = now
        self._refs = itertools.count(1)
        self._output = bytearray()

    @property
    def has_output(self) -> bool:
        """Whether buffered output waits to be sent."""
        return bool(self._output)

    def room(self, window: int, max_bytes: int) -> int:
        """Return how many more requests may be sent now.

        Args:
            window: the most requests that may be open.
            max_bytes: the most bytes of requests that may be open.
        """
        if self.draining or self._open_bytes >= max_bytes:
            return 0
        return min(window, self.protocol.limits.max_open_requests) - len(self.open_requests)

    def write_request(self, request: ClientRequest, now: float, wall_time: float) -> None:
        """Buffer a request for the next `flush`.

        Raises:
            LocalProtocolError: the server would refuse it, or its line is too long; the connection is unchanged.
        """
        ref = next(self._refs)
        line = request.encode(self.protocol, ref, now, wall_time)
        request.size = len(line)
        self.open_requests[ref] = (request, now)
        self._open_bytes += request.size
        self._output += line
        self.request_count += 1

    def write(self, lines: bytes) -> None:
        """Buffer encoded lines for the next `flush`."""
        self._output += lines

    @abstractmethod
    def flush(self) -> None:
        """Send as much of the buffered output as the connection accepts at once.

        Raises:
            ConnectionLost: the connection is broken.
        """

    @abstractmethod
    def read(self) -> bytes | None:
        """Return received bytes, at most a chunk. Returns None when there are none, and b"" at the end of the stream.

        Raises:
            ConnectionLost: the connection is broken.
        """

    def receive(self, now: float) -> Sequence[Reply | Goaway]:
        """Return what the server sent, at most a chunk of it.

        Raises:
            ConnectionLost: the connection has ended, or the server broke the protocol.
        """
        received = self.read()
        if received is None:
            return ()
        try:
            if not received:
                self.protocol.eof()
                raise ConnectionLost("the server closed the connection")
            self._last_received = now
            return self.protocol.receive(received)
        except RemoteProtocolError as error:
            raise ConnectionLost(str(error)) from error

    def pop_request(self, reply: Reply) -> ClientRequest | None:
        """Remove and return the request that a reply answers. Returns None when there is none."""
        if reply.ref is None or reply.ref not in self.open_requests:
            return None
        request, _ = self.open_requests.pop(reply.ref)
        self._open_bytes -= request.size
        return request

    def deadline(self, timeout: float) -> float:
        """Return the time by which a reply must come; infinity when no request is open.

        It is `timeout` after the last input, or after the end of the wait that the oldest request asked for.
        """
        for request, sent_at in self.open_requests.values():
            return max(sent_at + request.wait, self._last_received) + timeout
        return float("inf")

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def explain(error: Exception) -> str:
    """Return in a few words why a connection failed or broke."""
    if isinstance(error, TimeoutError):
        return "the connection timed out"
    if isinstance(error, ssl.SSLError):
        return f"the encrypted connection broke ({error.reason or error.strerror or 'it ended'})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def check_trust(error: ssl.SSLError, address: Address, name: str) -> None:
    """Check whether a later handshake may succeed.

    Args:
        error: the error of the handshake.
        address: the server's address.
        name: the name that the server's certificate must be for.

    Raises:
        ServerUntrusted: the encryption fails until its configuration is corrected.
    """
    mend = explain_failure(error, name)
    if mend:
        raise ServerUntrusted(f"{address}: {mend}") from error
