"""Many connections of one thread, with every byte in our hands: for clients that no library of ours would make.

It is as quick as the machine allows, and never waits for one connection alone.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence

from core.addresses import Address
from core.closeable import Closeable

_PIECE = 256 * 1024
_REST = 0.002


class Peer(Closeable):
    """One client: sends what `more` gives out, and counts what comes back.

    Args:
        address: of the server.
        more: what to send next, once everything before it is sent; None for nothing now.
        reads: whether it reads what comes.
        room: bytes that the system holds for it; as many as it likes when 0.

    Attributes:
        sent: bytes that the system has taken.
        lines: answers that came, over all its connections.
        last: the end of what came last.
        cut: how often the server ended the connection.
        answered_at: when something came last, of the monotonic clock.
    """

    def __init__(
        self, address: Address, more: Callable[["Peer"], bytes | None], *, reads: bool = True, room: int = 0
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
    def sending(self) -> bool:
        """Whether something is left to be sent."""
        return bool(self._out)

    def connect(self) -> None:
        """Begin a connection; it is a matter of a moment on the same machine."""
        self.close()
        self.socket = socket.socket()
        if self._room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._room)
        self.socket.settimeout(10.0)
        self.socket.connect(self.address.pair)
        self.socket.setblocking(False)
        self._out = memoryview(b"")

    def close(self) -> None:
        """End the connection."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def turn(self) -> bool:
        """Send and read as much as is possible now; whether that was anything."""
        if self.socket is None:
            return False
        try:
            sent = self._send(self.socket)
            return (self._receive(self.socket) if self.reads else self._look(self.socket)) or sent
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
            came = connected.recv(_PIECE)
        except BlockingIOError:
            return False
        if not came:
            self._end()
            return True
        self.answered_at = time.monotonic()
        self.lines += came.count(b"\n")
        self.last = (self.last + came)[-500:]
        return True

    def _look(self, connected: socket.socket) -> bool:
        """Notice a cut without reading."""
        if not connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        self._end()
        return True

    def _end(self) -> None:
        self.cut += 1
        self.close()


class Swarm(Closeable):
    """All of them.

    Args:
        peers: which are connected already or not.
        again: whether those that were cut connect anew.
    """

    def __init__(self, peers: Sequence[Peer], *, again: bool = False) -> None:
        self.peers = peers
        self._again = again
        self._rest = threading.Event()

    @property
    def lines(self) -> int:
        """Answers that came to all of them."""
        return sum(peer.lines for peer in self.peers)

    @property
    def open(self) -> int:
        """How many are connected."""
        return sum(peer.socket is not None for peer in self.peers)

    def run(self, over: Callable[[], bool], seconds: float) -> bool:
        """Have them send and read until it is over, or for so long; whether it was over."""
        deadline = time.monotonic() + seconds
        while not over():
            if time.monotonic() > deadline:
                return False
            busy = False
            for peer in self.peers:
                busy |= self._turn(peer)
            if not busy:
                self._rest.wait(_REST)
        return True

    def close(self) -> None:
        """End all connections."""
        for peer in self.peers:
            peer.close()

    def _turn(self, peer: Peer) -> bool:
        if peer.socket is None and (self._again or not peer.cut):
            peer.connect()
        return peer.turn()
