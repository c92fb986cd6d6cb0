"""The client's connections to its servers: opened on demand, and kept for reuse while idle.

Several threads may use a pool. An acquired connection belongs to the thread that acquired it.
"""

import contextlib
import random
import selectors
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from core import __version__
from core.addresses import Address
from core.client.connection import Connection, ConnectionLost
from core.client.rotation import ServerRotation
from core.client.socket_connection import SocketConnection, connect
from core.closeable import Closeable
from core.encryption import Encryption
from core.errors import ClientError, RequestRefused
from core.protocol import Error, ErrorCode, Goaway, Reply

CONNECT_TIMEOUT = 3.0
"""Seconds to wait for a connection to a server, unless the answer timeout is shorter."""

MAX_IDLE = 8
"""Idle connections to keep."""

_FATAL = frozenset({ErrorCode.UNAUTHORIZED, ErrorCode.UNSUPPORTED_VERSION})
_HELLO_REF = "hello"
_FLUSH_INTERVAL = 0.05
"""Seconds between attempts to send the rest of a hello."""

ConnectionT = TypeVar("ConnectionT", bound=Connection)


class NoServer(Exception):
    """No connection is available at this moment.

    Attributes:
        reason: what failed, or an empty string when nothing was tried, because every server failed a short time ago.
        delay: seconds to wait before the next attempt.
    """

    def __init__(self, reason: str, delay: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class ServerPool(Closeable, Generic[ConnectionT]):
    """The idle connections to some servers, and which server is used next. It opens no connection.

    Args:
        addresses: the addresses of the servers.
        token: the token that the servers require.
        timeout: seconds to wait for a reply.
        spread: whether to use the servers in turn instead of always the first that works.
        name: the client's name, for the servers' logs.
        tls: the encryption; None for plain connections.
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
        self._idle: list[ConnectionT] = []
        self._closed = False

    def release(self, connection: ConnectionT) -> None:
        """Keep a connection for reuse, or close it when it can't be reused."""
        with self._lock:
            reusable = not (
                connection.open_requests or connection.has_output or connection.draining or self._closed
            ) and (len(self._idle) < MAX_IDLE)
            if reusable:
                self._idle.append(connection)
        if not reusable:
            connection.close()

    def mark_failed(self, address: Address, retry_after: float = 0.0) -> None:
        """Skip a server for a while, because it failed."""
        with self._lock:
            self._rotation.mark_failed(address, time.monotonic(), _random(), retry_after)

    def mark_working(self, address: Address) -> None:
        """Forget the failures of a server that has answered a request: a welcome alone proves too little."""
        with self._lock:
            self._rotation.mark_working(address)

    def close(self) -> None:
        """Close the idle connections; the others are closed on their release."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @property
    def _connect_timeout(self) -> float:
        """Seconds to wait for a connection."""
        return min(CONNECT_TIMEOUT, self.timeout)

    def _take_idle(self) -> ConnectionT | None:
        """Return an idle connection on which the server has sent nothing since its last use, if there is one.

        Raises:
            ClientError: the client is closed.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise ClientError("the client is closed")
                connection = self._idle.pop() if self._idle else None
            if connection is None or _is_unchanged(connection):
                return connection
            connection.close()

    def _choose(self) -> Address:
        """Return the server to connect to.

        Raises:
            NoServer: every server failed a short time ago.
        """
        with self._lock:
            address, delay = self._rotation.choose(time.monotonic())
        if delay:
            raise NoServer("", delay)
        return address

    def _failed(self, address: Address, reason: str) -> NoServer:
        self.mark_failed(address)
        with self._lock:
            _, delay = self._rotation.choose(time.monotonic())
        return NoServer(f"{address}: {reason}", delay)

    def _write_hello(self, connection: ConnectionT) -> None:
        connection.write(connection.protocol.hello(_HELLO_REF, token=self._token, client=self._name))

    def _late_welcome(self) -> ConnectionLost:
        return ConnectionLost(f"no welcome within {self.timeout:g} seconds")


class ConnectionPool(ServerPool[SocketConnection]):
    """Connections to some servers, for threads; the arguments are those of `ServerPool`."""

    def acquire(self) -> SocketConnection:
        """Return a connection on which the server has sent its welcome.

        Raises:
            NoServer: none is available now.
            RequestRefused: the server refuses the token or the protocol version.
            ServerUntrusted: the server's certificate is wrong, or only one side encrypts.
            ClientError: the client is closed.
        """
        connection = self._take_idle()
        if connection is not None:
            return connection
        address = self._choose()
        try:
            connection = connect(address, self._connect_timeout, time.monotonic, self._tls)
            with closed_on_error(connection):
                self._greet(connection)
        except ConnectionLost as error:
            raise self._failed(address, str(error)) from error
        return connection

    def _greet(self, connection: SocketConnection) -> None:
        """Send the hello and wait for the welcome."""
        self._write_hello(connection)
        deadline = time.monotonic() + self.timeout
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            while not is_welcome(connection, connection.receive(time.monotonic())):
                connection.flush()
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise self._late_welcome()
                selector.select(min(remaining, _FLUSH_INTERVAL) if connection.has_output else remaining)


@contextlib.contextmanager
def closed_on_error(connection: Connection) -> Iterator[None]:
    """Close a connection when its block raises an error."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def is_welcome(connection: Connection, events: Iterable[Reply | Goaway]) -> bool:
    """Return whether the server has sent its welcome.

    Args:
        connection: a new connection, on which only the hello was sent.
        events: what was received on it since the last call.

    Raises:
        RequestRefused: the server refuses the client.
        ConnectionLost: the server can't be used now.
    """
    for event in events:
        if isinstance(event, Goaway):
            connection.draining = True
        elif event.error is not None:
            raise_connection_error(event.error)
    if connection.protocol.welcome is None:
        return False
    if connection.draining:
        raise ConnectionLost("the server is shutting down")
    return True


def raise_connection_error(error: Error) -> None:
    """Raise an error that concerns the connection instead of a request.

    Raises:
        RequestRefused: every attempt will fail in the same way.
        ConnectionLost: a later attempt may succeed.
    """
    if error.code in _FATAL:
        raise RequestRefused(error.code, error.message)
    raise ConnectionLost(f"{error.message} ({error.code})")


def _is_unchanged(connection: Connection) -> bool:
    """Return whether the server has sent nothing on a connection while it was idle."""
    try:
        return not connection.receive(time.monotonic())
    except ConnectionLost:
        return False


def _random() -> float:
    return random.random()  # noqa: S311 - spreads clients, hides nothing
