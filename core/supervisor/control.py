"""The supervisor's control channel: a loopback socket with one JSON object per line in each direction.

A caller must send a token, which only the owner of the data directory can read. Who has not done so yet, on a full
channel, makes room for the next: other users of the machine can't keep the owner out.
Each connection has its own thread; the supervisor's main thread carries out the operations.
"""

import contextlib
import hmac
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from core.addresses import LOOPBACK, Address
from core.closeable import Closeable
from core.errors import CauceError, ConfigurationError, SupervisorError, reason_of
from core.supervisor.processes.stopping import StopTimeout
from core.supervisor.state import SupervisorState
from core.threads import OnDeath, vital_thread

MAX_REQUEST = 65_536
"""The most bytes that a request may have."""

MAX_REPLY = 4 * 1024 * 1024
"""The most bytes that a reply may have; its size grows with the number of processes and their notes."""

MAX_CONNECTIONS = 32

REQUEST_TIMEOUT = 5.0
"""Seconds that a caller has to send its whole request, and to take each piece of the reply."""

ROOM_TIMEOUT = 1.0
"""Seconds to wait until a connection that must make room has ended."""

_ACCEPT_INTERVAL = 0.25
_CLOSE_TIMEOUT = 5.0


class _ControlRequestBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    token: str = ""
    """Set by `send_request`."""


class _OperationRequest(_ControlRequestBase, frozen=True, kw_only=True):
    reply_timeout: float = msgspec.field(default=600.0, name="patience")
    """Seconds after which the caller wants a reply, even if the operation is still under way."""


class _NamedOperation(_OperationRequest, frozen=True, kw_only=True):
    names: tuple[str, ...]
    """The names of the processes, or of groups of them, as on the command line."""


class SystemStatusRequest(_ControlRequestBase, frozen=True, kw_only=True, tag="status"):
    """A request for the status of the system."""


class DownRequest(_ControlRequestBase, frozen=True, kw_only=True, tag="down"):
    """A request to end everything, and then the supervisor."""

    stop_timeout: float | None = msgspec.field(default=None, name="timeout")
    """Seconds until what still runs is killed; the supervisor's setting when None."""


class StartRequest(_NamedOperation, frozen=True, kw_only=True, tag="start"):
    """A request to start processes."""


class StopRequest(_NamedOperation, frozen=True, kw_only=True, tag="stop"):
    """A request to stop processes."""

    stop_timeout: StopTimeout | None = msgspec.field(default=None, name="timeout")
    """The time until each is killed; that of the supervisor's settings when None."""


class RestartRequest(_NamedOperation, frozen=True, kw_only=True, tag="restart"):
    """A request to restart processes, one after the other."""

    stop_timeout: StopTimeout | None = msgspec.field(default=None, name="timeout")
    """The time until each is killed; that of the supervisor's settings when None."""


class KillRequest(_NamedOperation, frozen=True, kw_only=True, tag="kill"):
    """A request to end processes as a crash would."""


class ScaleRequest(_OperationRequest, frozen=True, kw_only=True, tag="scale"):
    """A request to change the number of servers and workers; a number that is None stays as it is."""

    servers: int | None = None
    workers: int | None = None


OperationRequest: TypeAlias = StartRequest | StopRequest | RestartRequest | KillRequest | ScaleRequest
"""A request that the supervisor's main thread carries out step by step."""

ControlRequest: TypeAlias = SystemStatusRequest | DownRequest | OperationRequest


class ControlReply(msgspec.Struct, frozen=True):
    """The reply to a request."""

    ok: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    """Why the request failed; then `ok` is null."""


RequestHandler: TypeAlias = Callable[[ControlRequest], msgspec.Struct]
"""Does what a request asks for, in the thread of its connection; a `CauceError` is sent to the caller."""


class ControlServer(Closeable):
    """Replies to requests until it is closed.

    Args:
        token: the token that callers must send.
        handle: does what a request asks for.
        on_death: called when the listening thread dies of an error.
    """

    def __init__(self, token: str, handle: RequestHandler, on_death: OnDeath) -> None:
        self._token = token.encode()
        self._handle = handle
        self._closing = threading.Event()
        self._free_places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._strangers: dict[socket.socket, None] = {}
        """The connections whose callers have not sent the token yet, the oldest first."""
        self._connection_threads: set[threading.Thread] = set()
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(_ACCEPT_INTERVAL)
        self._thread = vital_thread("control", self._run, on_death)
        self._thread.start()

    @property
    def address(self) -> Address:
        """The address that it listens on."""
        return Address(LOOPBACK, int(self._listener.getsockname()[1]))

    def close(self) -> None:
        """Accept no more requests, and wait for the open ones."""
        self._closing.set()
        with contextlib.suppress(OSError):
            # The thread need not wait for the end of its interval.
            socket.create_connection(self.address.pair, _ACCEPT_INTERVAL).close()
        self._thread.join(_CLOSE_TIMEOUT)
        self._listener.close()
        for thread in list(self._connection_threads):
            thread.join(_CLOSE_TIMEOUT)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._connection_threads = {thread for thread in self._connection_threads if thread.is_alive()}
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                # The caller left before it was accepted, or this process has no descriptor left for it.
                self._closing.wait(_ACCEPT_INTERVAL)
                continue
            if not self._find_place():
                connection.close()
                continue
            self._strangers[connection] = None
            thread = threading.Thread(target=self._serve, args=(connection,), name="control-connection", daemon=True)
            self._connection_threads.add(thread)
            thread.start()

    def _find_place(self) -> bool:
        """Take the place of a connection, if need be that of the oldest stranger. Returns whether there is one."""
        if self._free_places.acquire(blocking=False):
            return True
        oldest = next(iter(list(self._strangers)), None)
        if oldest is None:
            return False
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)  # which wakes its thread
        return self._free_places.acquire(timeout=ROOM_TIMEOUT)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                line = _read_line(connection, MAX_REQUEST, time.monotonic() + REQUEST_TIMEOUT)
                if line is not None:
                    reply = msgspec.json.encode(self._reply(line, connection)) + b"\n"
                    connection.settimeout(REQUEST_TIMEOUT)
                    connection.sendall(reply)
        finally:
            self._strangers.pop(connection, None)
            self._free_places.release()

    def _reply(self, line: bytes, connection: socket.socket) -> ControlReply:
        try:
            request = msgspec.json.decode(line, type=ControlRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ControlReply(error="this is not a valid request")
        if not hmac.compare_digest(request.token.encode("utf-8", "replace"), self._token):
            return ControlReply(error="the token is wrong")
        self._strangers.pop(connection, None)
        try:
            return ControlReply(ok=msgspec.Raw(msgspec.json.encode(self._handle(request))))
        except CauceError as error:
            return ControlReply(error=str(error))


def operation_name(request: OperationRequest) -> str:
    """Return the name of an operation, as on the command line."""
    return str(request.__struct_config__.tag)


def send_request(state: SupervisorState, request: ControlRequest, timeout: float) -> bytes:
    """Send a request to a supervisor. Returns its reply, as JSON.

    Args:
        state: the address and token of the supervisor.
        request: the request; its token is set here.
        timeout: seconds to wait for the reply.

    Raises:
        SupervisorError: the supervisor can't be reached, or refuses.
    """
    supervisor = f"the supervisor (pid {state.identity.pid})"
    line = msgspec.json.encode(replace(request, token=state.token)) + b"\n"
    try:
        with socket.create_connection(Address.parse(state.control).pair, REQUEST_TIMEOUT) as connection:
            connection.sendall(line)
            received = _read_line(connection, MAX_REPLY, time.monotonic() + timeout)
    except (OSError, ConfigurationError) as error:
        raise SupervisorError(f"{supervisor} doesn't answer: {reason_of(error)}") from error
    if received is None:
        raise SupervisorError(f"{supervisor} closed the connection without a reply")
    try:
        reply = msgspec.json.decode(received, type=ControlReply)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SupervisorError(f"{supervisor} sent an invalid reply: {error}") from error
    if reply.error is not None:
        raise SupervisorError(reply.error)
    return bytes(reply.ok)


def _read_line(connection: socket.socket, max_bytes: int, deadline: float) -> bytes | None:
    """Read one line. Returns None when it is too long, or the connection ends before it does.

    Raises:
        OSError: the connection failed, or the deadline, a time of the monotonic clock, has passed.
    """
    received = bytearray()
    while len(received) <= max_bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        piece = connection.recv(65_536)
        if not piece:
            return None
        received += piece
        line, newline, _ = received.partition(b"\n")
        if newline:
            return bytes(line)
    return None
