"""A connection over a socket that never blocks."""

import socket
import ssl
from collections.abc import Callable

from core.addresses import Address
from core.client.connection import READ_SIZE, Connection, ConnectionLost, check_trust, explain
from core.encryption import Encryption

_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""Raised when the socket has no input, or accepts no output, at this moment."""


class SocketConnection(Connection):
    """A connection over a socket; output is buffered until the socket accepts it.

    Args:
        address: the server's address.
        connected: the socket, which the connection closes.
        now: the time of the monotonic clock.
    """

    def __init__(self, address: Address, connected: socket.socket, now: float) -> None:
        super().__init__(address, now)
        connected.setblocking(False)
        self.socket = connected

    def fileno(self) -> int:
        """Return the file descriptor, for a selector."""
        return self.socket.fileno()

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
            raise ConnectionLost(explain(error)) from error

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
            raise ConnectionLost(explain(error)) from error
        return received

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def connect(
    address: Address, timeout: float, clock: Callable[[], float], tls: Encryption | None = None
) -> SocketConnection:
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
        raise ConnectionLost(explain(error)) from error
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            connected = _encrypt(connected, tls, address)
        return SocketConnection(address, connected, clock())
    except (OSError, ValueError) as error:
        connected.close()
        raise ConnectionLost(explain(error)) from error


def _encrypt(connected: socket.socket, tls: Encryption, address: Address) -> socket.socket:
    """Do the TLS handshake within the timeout of the socket."""
    host = tls.name or address.host
    encrypted = tls.context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
    try:
        encrypted.do_handshake()
    except ssl.SSLError as error:
        encrypted.close()
        check_trust(error, address, host)
        raise
    except OSError:
        encrypted.close()
        raise
    return encrypted
