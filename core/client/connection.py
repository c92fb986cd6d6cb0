"""One connection to a server: a socket that never blocks, the protocol, and what is open on it.

It belongs to one thread at a time.
What goes out waits here until the socket takes it, so that both directions can flow at once.
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

_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""The socket has nothing to give, or takes nothing, at this moment."""


class ConnectionLost(Exception):
    """The connection is of no more use; what is open on it has to be asked again."""


class Connection:
    """One connection.

    Args:
        address: where it leads.
        connected: the socket; the lane closes it.
        now: of the monotonic clock.

    Attributes:
        protocol: what the server said of itself and its limits.
        leaving: the server asked to begin nothing new on this connection.
        proven: something was answered on it.
        asked: how many requests were sent on it.
        open: what has no answer yet, by its ref, oldest first.
    """

    def __init__(self, address: Address, connected: socket.socket, now: float) -> None:
        connected.setblocking(False)
        self.address = address
        self.socket = connected
        self.protocol = ClientConnection()
        self.leaving = False
        self.proven = False
        self.asked = 0
        self.open: dict[Ref, tuple[ClientRequest, float]] = {}
        self._open_bytes = 0
        self._heard = now
        self._refs = itertools.count(1)
        self._out = bytearray()

    def fileno(self) -> int:
        """For a selector."""
        return self.socket.fileno()

    @property
    def writing(self) -> bool:
        """Whether something waits to go out."""
        return bool(self._out)

    def room(self, window: int, most_bytes: int) -> int:
        """How many more requests may be sent now, if so many, of so many bytes, may be open."""
        if self.leaving or self._open_bytes >= most_bytes:
            return 0
        return min(window, self.protocol.limits.max_open_requests) - len(self.open)

    def ask(self, ask: ClientRequest, now: float, wall: float) -> None:
        """Put a request into what goes out at the next `flush`.

        Raises:
            LocalProtocolError: the server would refuse it, or its line is too long; the connection is as before.
        """
        ref = next(self._refs)
        line = ask.line(self.protocol, ref, now, wall)
        ask.size = len(line)
        self.open[ref] = (ask, now)
        self._open_bytes += ask.size
        self._out += line
        self.asked += 1

    def put(self, line: bytes) -> None:
        """Put a line of the protocol's own into what goes out."""
        self._out += line

    def flush(self) -> None:
        """Give the socket what it takes at once.

        Raises:
            ConnectionLost: it takes nothing any more.
        """
        try:
            while self._out:
                del self._out[: self.socket.send(self._out)]
        except _NOT_NOW:
            return
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error

    def read(self) -> bytes | None:
        """Take bytes that have come, at most a piece of them; None when none have, nothing at the end.

        Raises:
            ConnectionLost: the connection has broken.
        """
        try:
            received = self.socket.recv(READ_SIZE)
            # What is decrypted already, no selector would tell of.
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                received += self.socket.recv(READ_SIZE)
        except _NOT_NOW:
            return None
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error
        return received

    def receive(self, now: float) -> Sequence[Reply | Goaway]:
        """Take what has come, at most a piece of it; nothing when nothing has.

        Raises:
            ConnectionLost: the connection has ended, or what came is not of the protocol.
        """
        received = self.read()
        if received is None:
            return ()
        try:
            if not received:
                self.protocol.eof()
                raise ConnectionLost("the server closed the connection")
            self._heard = now
            return self.protocol.receive(received)
        except RemoteProtocolError as error:
            raise ConnectionLost(str(error)) from error

    def settle(self, reply: Reply) -> ClientRequest | None:
        """Find what was asked; None when the reply belongs to no request of ours."""
        if reply.ref is None or reply.ref not in self.open:
            return None
        ask, _ = self.open.pop(reply.ref)
        self._open_bytes -= ask.size
        return ask

    def deadline(self, timeout: float) -> float:
        """Until when an answer has to come, if one is to come at all: `timeout` after the last sign of life."""
        for ask, asked_at in self.open.values():
            return max(asked_at + ask.wait, self._heard) + timeout
        return float("inf")

    def silent_since(self) -> float:
        """When the last sign of life came."""
        return self._heard

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()


def connect(address: Address, timeout: float, clock: Callable[[], float], tls: Encryption | None = None) -> Connection:
    """Open a connection.

    Args:
        address: where to.
        timeout: seconds that each of connection and handshake may take.
        clock: a monotonic one.
        tls: what to encrypt with, if that is wanted.

    Raises:
        ConnectionLost: it can't be had.
        ServerUntrusted: it can't be had until a person has mended something.
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
    """Shake hands, within the time-out that the socket has."""
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
        return "no connection within the time"
    if isinstance(error, ssl.SSLError):
        return f"the encrypted connection broke ({error.reason or error.strerror or 'it ended'})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
