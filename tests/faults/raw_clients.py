"""Many raw connections in one thread, for byte sequences that no client library would send.

The thread never waits for a single connection.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence

from core.addresses import Address
from core.closeable import Closeable

_CHUNK_SIZE = 256 * 1024
_IDLE_INTERVAL = 0.002


class RawClient(Closeable):
    """One client: sends what `more` returns, and counts the replies.

    Args:
        address: of the server.
        more: returns the next bytes when everything before is sent, or None when there are none for now.
        reads: whether the client reads.
        room: bytes of the receive buffer; 0 for the default of the system.

    Attributes:
        sent: bytes that were sent.
        lines: replies received, over all its connections.
        last: the last bytes received.
        cut: number of connections that the server closed.
        answered_at: time of the last input, of the monotonic clock.
    """

    def __init__(
        self, address: Address, more: Callable[["RawClient"], bytes | None], *, reads: bool = True, room: int = 0
    ) -> None:
        self.address = address
        self.reads = reads
        self.sent = 0
        self.lines = 0
        self.last = b""
        self.cut = 0
        self.answered_at = 0.0
        self.socket: socket.socket | None = None
        self._more = more
        self._room = room
        self._out = memoryview(b"")

    @property
    def record_sent(self) -> bool:
        """Whether output waits to be sent."""
        return bool(self._out)

    def connect(self) -> None:
        """Open a connection."""
        self.close()
        self.socket = socket.socket()
        if self._room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._room)
        self.socket.settimeout(60.0)
        self.socket.connect(self.address.pair)
        self.socket.setblocking(False)
        self._out = memoryview(b"")

    def close(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def turn(self) -> bool:
        """Send and read what is possible now. Returns whether that was anything."""
        if self.socket is None:
            return False
        try:
            sent = self._send(self.socket)
            return (self._receive(self.socket) if self.reads else self._check(self.socket)) or sent
        except OSError:
            self._end()
            return True

    def _send(self, connected: socket.socket) -> bool:
        if not self._out:
            self._out = memoryview(self._more(self) or b"")
        if not self._out:
            return False
        try:
            count = connected.send(self._out)
        except BlockingIOError:
            return False
        self.sent += count
        self._out = self._out[count:]
        return True

    def _receive(self, connected: socket.socket) -> bool:
        try:
            received = connected.recv(_CHUNK_SIZE)
        except BlockingIOError:
            return False
        if not received:
            self._end()
            return True
        self.answered_at = time.monotonic()
        self.lines += received.count(b"\n")
        self.last = (self.last + received)[-500:]
        return True

    def _check(self, connected: socket.socket) -> bool:
        """Notice a closed connection without reading."""
        if not connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        self._end()
        return True

    def _end(self) -> None:
        self.cut += 1
        self.close()


class ClientGroup(Closeable):
    """All clients of a case.

    Args:
        raw_clients: the clients, connected or not.
        again: whether a client whose connection was closed connects again.
    """

    def __init__(self, raw_clients: Sequence[RawClient], *, again: bool = False) -> None:
        self.raw_clients = raw_clients
        self._again = again
        self._idle = threading.Event()

    @property
    def lines(self) -> int:
        """Replies received by all clients."""
        return sum(client.lines for client in self.raw_clients)

    @property
    def open(self) -> int:
        """The number of connected clients."""
        return sum(client.socket is not None for client in self.raw_clients)

    def run(self, over: Callable[[], bool], seconds: float) -> bool:
        """Send and read until `over` or for so many seconds. Returns whether it was over."""
        deadline = time.monotonic() + seconds
        while not over():
            if time.monotonic() > deadline:
                return False
            busy = False
            for client in self.raw_clients:
                busy |= self._turn(client)
            if not busy:
                self._idle.wait(_IDLE_INTERVAL)
        return True

    def close(self) -> None:
        """Close all connections."""
        for client in self.raw_clients:
            client.close()

    def _turn(self, client: RawClient) -> bool:
        if client.socket is None and (self._again or not client.cut):
            client.connect()
        return client.turn()
