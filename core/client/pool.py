"""The client's connections to its servers: makes them when they are needed, and keeps what is idle for the next.

It may be used by several threads. A connection that it gave out belongs to the thread that has it.
"""

import random
import selectors
import threading
import time
from collections.abc import Sequence

from core import __version__
from core.addresses import Address
from core.client.connection import Connection, ConnectionLost, connect
from core.client.rotation import ServerRotation
from core.closeable import Closeable
from core.encryption import Encryption
from core.errors import ClientError, RequestRefused
from core.protocol import Error, ErrorCode, Goaway

CONNECT_SECONDS = 3.0
"""How long a server may take to take a connection."""

MOST_IDLE = 8
"""How many connections are kept while nobody needs them."""

_FATAL = frozenset({ErrorCode.UNAUTHORIZED, ErrorCode.UNSUPPORTED_VERSION})
_GREETING = "hello"


class NoServer(Exception):
    """No connection can be had at this moment.

    Attributes:
        reason: what went wrong; empty when nothing was tried, since all servers are given a rest.
        pause: how many seconds to wait before the next try.
    """

    def __init__(self, reason: str, pause: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause


class ConnectionPool(Closeable):
    """Connections to some servers.

    Args:
        addresses: of the servers.
        token: what they want to be shown.
        timeout: how many seconds an answer may take.
        spread: take turns among them; otherwise the first that works is the one.
        name: what the client calls itself.
        tls: what to encrypt with; None for no encryption.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        token: str | None,
        timeout: float,
        *,
        spread: bool = True,
        name: str = "",
        tls: Encryption | None = None,
    ) -> None:
        self.timeout = timeout
        self._tls = tls
        self._token = token
        self._name = name or f"cauce {__version__}"
        self._lock = threading.Lock()
        start = random.randrange(max(1, len(addresses)))  # noqa: S311 - spreads clients, hides nothing
        self._rotation = ServerRotation(addresses, spread=spread, start=start)
        self._idle: list[Connection] = []
        self._closed = False

    def take(self) -> Connection:
        """Give out a connection on which the server has said its welcome.

        Raises:
            NoServer: none can be had now.
            RequestRefused: the server refuses the token, or speaks another version.
            ServerUntrusted: the server's certificate is wrong, or it is the one side alone that encrypts.
            ClientError: the client is closed.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise ClientError("the client is closed")
                lane = self._idle.pop() if self._idle else None
            if lane is None:
                return self._connect()
            if _is_fresh(lane):
                return lane
            lane.close()

    def give_back(self, lane: Connection) -> None:
        """Take a connection back, for others; one that is no longer fit is closed."""
        with self._lock:
            fit = not (lane.open or lane.writing or lane.leaving or self._closed) and len(self._idle) < MOST_IDLE
            if fit:
                self._idle.append(lane)
        if not fit:
            lane.close()

    def mark_failed(self, address: Address, retry_after: float = 0.0) -> None:
        """Note that a server did not work, so that others have their turn."""
        with self._lock:
            self._rotation.failed(address, time.monotonic(), _chance(), retry_after)

    def mark_working(self, address: Address) -> None:
        """Note that a server has done something for us: to take the connection does not count yet."""
        with self._lock:
            self._rotation.worked(address)

    def close(self) -> None:
        """Close what is idle; what is given out is closed when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for lane in idle:
            lane.close()

    def _connect(self) -> Connection:
        with self._lock:
            address, pause = self._rotation.choose(time.monotonic())
        if pause:
            raise NoServer("", pause)
        try:
            lane = connect(address, min(CONNECT_SECONDS, self.timeout), time.monotonic, self._tls)
        except ConnectionLost as error:
            raise self._unavailable(address, str(error)) from error
        try:
            self._greet(lane)
        except ConnectionLost as error:
            lane.close()
            raise self._unavailable(address, str(error)) from error
        except BaseException:
            lane.close()
            raise
        return lane

    def _unavailable(self, address: Address, reason: str) -> NoServer:
        self.mark_failed(address)
        with self._lock:
            _, pause = self._rotation.choose(time.monotonic())
        return NoServer(f"{address}: {reason}", pause)

    def _greet(self, lane: Connection) -> None:
        """Say hello, and wait for the welcome."""
        lane.put(lane.protocol.hello(_GREETING, token=self._token, client=self._name))
        deadline = time.monotonic() + self.timeout
        with selectors.DefaultSelector() as selector:
            selector.register(lane, selectors.EVENT_READ)
            while lane.protocol.welcome is None:
                lane.flush()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ConnectionLost(f"no welcome within {self.timeout:g} seconds")
                selector.select(min(left, 0.05) if lane.writing else left)
                for event in lane.receive(time.monotonic()):
                    if isinstance(event, Goaway):
                        lane.leaving = True
                    elif event.error is not None:
                        refused(event.error)
        if lane.leaving:
            raise ConnectionLost("the server is leaving")


def refused(error: Error) -> None:
    """Make the right exception of an error that is about the connection and not about a request.

    Raises:
        RequestRefused: it will be the same next time.
        ConnectionLost: it may be better next time.
    """
    if error.code in _FATAL:
        raise RequestRefused(error.code, error.message)
    raise ConnectionLost(f"{error.message} ({error.code})")


def _is_fresh(lane: Connection) -> bool:
    """Whether a connection that was idle is still good: the server has said nothing meanwhile."""
    try:
        return not lane.receive(time.monotonic())
    except ConnectionLost:
        return False


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads clients, hides nothing
