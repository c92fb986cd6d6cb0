"""One connection to a server: a socket that never blocks, the protocol, and the requests without a reply.

It belongs to one thread at a time.
Output is buffered until the socket accepts it, so that both directions flow at once.
"""

import itertools
import socket
import ssl
from collections.abc import Callable, Sequence

from core.addresses import Address
from core.client.requests import ClientRequest
from core.encryption import Encryption, explain_failure
from core.errors import RemoteProtocolError, ServerUntrusted
from core.protocol import ClientConnection, Goaway, Ref, Reply

READ_SIZE = 256 * 1024

_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""Raised when the socket has no input, or accepts no output, at this moment."""


class ConnectionLost(Exception):
    """The connection can't be used any more; its open requests must be sent again."""


class Connection:
    """A connection to one server.

    Args:
        address: the server's address.
        connected: the socket, which the connection closes.
        now: the time of the monotonic clock.

    Attributes:
        protocol: the client side of the protocol, with the server's limits.
        draining: whether the server asked for no new requests on this connection.
        proven: whether a request was answered on it.
        request_count: the number of all requests sent on it.
        open_requests: the requests without a reply and the times at which they were sent, by ref, oldest first.
    """

    def __init__(self, address: Address, connected: socket.socket, now: float) -> None:
        connected.setblocking(False)
        self.address = address
        self.socket = connected
        self.protocol = ClientConnection()
        self.draining = False
        self.proven = False
        self.request_count = 0
        self.open_requests: dict[Ref, tuple[ClientRequest, float]] = {}
        self._open_bytes = 0
        self._last_received = now
        self._refs = itertools.count(1)
        self._output = bytearray()

    def fileno(self) -> int:
        """Return the file descriptor, for a selector."""
        return self.socket.fileno()

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

    def flush(self) -> None:
        """Send as much of the buffered output as the socket accepts at once.

        Raises:
            ConnectionLost: the connection is broken.
        """
        try:
            while self._output:
                del self._output[: self.socket.send(self._output)]
        except _WOULD_BLOCK:
            return
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error

    def read(self) -> bytes | None:
        """Return received bytes, at most a chunk. Returns None when there are none, and b"" at the end of the stream.

        Raises:
            ConnectionLost: the connection is broken.
        """
        try:
            received = self.socket.recv(READ_SIZE)
            # A selector doesn't report bytes that are decrypted already.
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                received += self.socket.recv(READ_SIZE)
        except _WOULD_BLOCK:
            return None
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error
        return received

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

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def connect(address: Address, timeout: float, clock: Callable[[], float], tls: Encryption | None = None) -> Connection:
    """Open a connection.

    Args:
        address: the server's address.
        timeout: seconds for the connection, and again for the TLS handshake.
        clock: the monotonic clock.
        tls: the encryption; None for a plain connection.

    Raises:
        ConnectionLost: the connection failed.
        ServerUntrusted: the encryption fails until its configuration is corrected.
    """
    try:
        connected = socket.create_connection(address.pair, timeout)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(_reason(error)) from error
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            connected = _encrypt(connected, tls, address)
        return Connection(address, connected, clock())
    except (OSError, ValueError) as error:
        connected.close()
        raise ConnectionLost(_reason(error)) from error


def _encrypt(connected: socket.socket, tls: Encryption, address: Address) -> socket.socket:
    """Do the TLS handshake within the timeout of the socket."""
    host = tls.name or address.host
    encrypted = tls.context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
    try:
        encrypted.do_handshake()
    except ssl.SSLError as error:
        encrypted.close()
        mend = explain_failure(error, host)
        if mend:
            raise ServerUntrusted(f"{address}: {mend}") from error
        raise
    except OSError:
        encrypted.close()
        raise
    return encrypted


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the connection timed out"
    if isinstance(error, ssl.SSLError):
        return f"the encrypted connection broke ({error.reason or error.strerror or 'it ended'})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
