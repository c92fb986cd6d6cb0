"""How processes of one machine wake each other: datagrams of one byte over the loopback interface.

A waiting consumer costs nothing, and still wakes at once, on every platform. A wakeup that is lost or needless does
no harm: each receiver also wakes after a timeout, and checks the queue before it acts.
"""

import contextlib
import socket
from collections.abc import Iterable

from core.closeable import Closeable
from core.errors import BrokerUnavailable

_LOOPBACK = "127.0.0.1"


class WakeupSender(Closeable):
    """A socket that wakes receivers by their ports."""

    def __init__(self) -> None:
        self._socket = _datagram_socket(bound=False)
        self._socket.setblocking(False)

    def send(self, ports: Iterable[int]) -> None:
        """Wake the receivers at these ports. A port without a receiver is ignored."""
        for port in ports:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"!", (_LOOPBACK, port))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class WakeupReceiver(Closeable):
    """A socket on which one thread waits until any thread or process wakes it.

    Attributes:
        port: the port to which wakeups are sent.
    """

    def __init__(self) -> None:
        self._socket = _datagram_socket(bound=True)
        self._sender = WakeupSender()
        self.port: int = self._socket.getsockname()[1]

    def wake(self) -> None:
        """Wake the thread that waits, or end its next wait at once."""
        self._sender.send((self.port,))

    def wait(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for a wakeup. One that was sent since the last wait counts."""
        # A timeout of zero would make the socket non-blocking, which raises another error.
        self._socket.settimeout(max(timeout, 0.0001))
        with contextlib.suppress(TimeoutError, ConnectionError):
            self._socket.recv(1)
            self._drain()

    def _drain(self) -> None:
        """Discard the other wakeups that have come."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def close(self) -> None:
        """Close the sockets."""
        self._sender.close()
        self._socket.close()


def _datagram_socket(*, bound: bool) -> socket.socket:
    opened = None
    try:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if bound:
            opened.bind((_LOOPBACK, 0))
    except OSError as error:
        if opened is not None:
            opened.close()
        raise BrokerUnavailable(
            f"no socket on {_LOOPBACK} for the embedded queue: {error.strerror or error}"
        ) from error
    return opened
