"""How processes of one machine wake each other: datagrams of one byte over the loopback interface.

A sleeping consumer costs nothing then, and still wakes at once, on every platform.
A bell that is not heard, or rung for nothing, does no harm: whoever sleeps also wakes by itself before long,
and looks before it acts.
"""

import contextlib
import socket
from collections.abc import Iterable

from core.closeable import Closeable
from core.errors import BrokerUnavailable

_LOOPBACK = "127.0.0.1"


class WakeupSender(Closeable):
    """Rings the bells of others."""

    def __init__(self) -> None:
        self._socket = _datagram_socket(bound=False)
        self._socket.setblocking(False)

    def ring(self, ports: Iterable[int]) -> None:
        """Ring the bells of these ports; nobody needs to be there."""
        for port in ports:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"!", (_LOOPBACK, port))

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


class WakeupReceiver(Closeable):
    """What one thread sleeps by, and any thread or process may ring."""

    def __init__(self) -> None:
        self._socket = _datagram_socket(bound=True)
        self._ringer = WakeupSender()
        self.port: int = self._socket.getsockname()[1]

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        self._ringer.ring((self.port,))

    def wait(self, timeout: float) -> None:
        """Sleep until the bell was rung since the last time, at most so many seconds."""
        # A time-out of zero would not sleep at all, and be reported differently.
        self._socket.settimeout(max(timeout, 0.0001))
        with contextlib.suppress(TimeoutError, ConnectionError):
            self._socket.recv(1)
            self._forget_others()

    def _forget_others(self) -> None:
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def close(self) -> None:
        """Let go of the sockets."""
        self._ringer.close()
        self._socket.close()


def _datagram_socket(*, bound: bool) -> socket.socket:
    made = None
    try:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if bound:
            made.bind((_LOOPBACK, 0))
    except OSError as error:
        if made is not None:
            made.close()
        raise BrokerUnavailable(
            f"no socket on {_LOOPBACK} for the embedded queue: {error.strerror or error}"
        ) from error
    return made
