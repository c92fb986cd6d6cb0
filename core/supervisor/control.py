"""The supervisor's control channel: a socket on the loopback address, one JSON object a line each way.

Who may speak is settled by a token that only the owner of the data directory can read.
A request is answered in a thread of its own; what it asks for is done by the supervisor's main thread.
"""

import contextlib
import hmac
import socket
import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from core.addresses import LOOPBACK, Address
from core.closeable import Closeable
from core.errors import CauceError, SupervisorError
from core.supervisor.state import SupervisorState
from core.threads import OnDeath, vital_thread

LONGEST_LINE = 65_536
LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes; it grows with the number of processes and their notes."""

MOST_CONNECTIONS = 32
REQUEST_WITHIN = 5.0
"""Seconds that a caller has to say what it wants."""

_ACCEPT_FOR = 0.25
_FAREWELL = 5.0


Operation = Literal["status", "down", "start", "stop", "restart", "kill", "scale"]


class ControlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request."""

    token: str
    op: Operation
    names: tuple[str, ...] = ()
    """For `start`, `stop`, `restart` and `kill`: which processes."""
    servers: int | None = None
    """For `scale`: how many there shall be; as many as there are when None."""
    workers: int | None = None
    timeout: float | None = None
    """For `down`, `stop` and `restart`: how long an end may take; the supervisor's own setting when None."""
    patience: float = 600.0
    """Seconds after which the caller wants an answer, whatever it is."""


class ControlReply(msgspec.Struct, frozen=True):
    """What came of a request."""

    ok: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    """Why there is nothing in `ok`."""


Answering: TypeAlias = Callable[[ControlRequest], msgspec.Struct]
"""Does what a request asks for; called in the thread of its connection. `CauceError` is told to the caller."""


class ControlServer(Closeable):
    """Answers requests until it is closed.

    Args:
        token: what callers have to show.
        answer: does what they ask for.
        on_death: called when the listening thread dies of an error.
    """

    def __init__(self, token: str, answer: Answering, on_death: OnDeath) -> None:
        self._token = token.encode()
        self._answer = answer
        self._closing = threading.Event()
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._talking: set[threading.Thread] = set()
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(_ACCEPT_FOR)
        self._thread = vital_thread("control", self._run, on_death)
        self._thread.start()

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(LOOPBACK, int(self._listener.getsockname()[1]))

    def close(self) -> None:
        """Take no more requests, and wait until those that are answered have been."""
        self._closing.set()
        self._thread.join(_FAREWELL)
        self._listener.close()
        for thread in list(self._talking):
            thread.join(_FAREWELL)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._talking = {thread for thread in self._talking if thread.is_alive()}
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # The time to look at `closing`; or what a caller did that left before it was taken.
                continue
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            thread = threading.Thread(target=self._talk, args=(connection,), name="control-connection", daemon=True)
            self._talking.add(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(REQUEST_WITHIN)
                line = read_line(connection)
                if line is not None:
                    reply = msgspec.json.encode(self._reply(line)) + b"\n"
                    connection.settimeout(REQUEST_WITHIN)
                    connection.sendall(reply)
        finally:
            self._places.release()

    def _reply(self, line: bytes) -> ControlReply:
        try:
            ask = msgspec.json.decode(line, type=ControlRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ControlReply(error="this is no request")
        if not hmac.compare_digest(ask.token.encode("utf-8", "replace"), self._token):
            return ControlReply(error="the token is wrong")
        try:
            return ControlReply(ok=msgspec.Raw(msgspec.json.encode(self._answer(ask))))
        except CauceError as error:
            return ControlReply(error=str(error))


def ask(state: SupervisorState, request: ControlRequest, wait: float) -> bytes:
    """Ask something of a supervisor; its answer, as JSON.

    Args:
        state: how to reach it.
        request: what to ask; its token is set here.
        wait: seconds to wait for the answer.

    Raises:
        SupervisorError: it can't be reached, or refuses.
    """
    line = msgspec.json.encode(replace(request, token=state.token)) + b"\n"
    try:
        with socket.create_connection(Address.parse(state.control).pair, REQUEST_WITHIN) as connection:
            connection.sendall(line)
            connection.settimeout(wait)
            reply = read_line(connection, LONGEST_ANSWER)
    except OSError as error:
        raise SupervisorError(f"the supervisor (pid {state.identity.pid}) doesn't answer: {error}") from error
    if reply is None:
        raise SupervisorError(f"the supervisor (pid {state.identity.pid}) left without an answer")
    try:
        answer = msgspec.json.decode(reply, type=ControlReply)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SupervisorError(f"the supervisor (pid {state.identity.pid}) answers nonsense: {error}") from error
    if answer.error is not None:
        raise SupervisorError(answer.error)
    return bytes(answer.ok)


def read_line(connection: socket.socket, longest: int = LONGEST_LINE) -> bytes | None:
    """Read one line; None when it doesn't end, or is longer than `longest` bytes."""
    received = bytearray()
    while len(received) <= longest:
        piece = connection.recv(65_536)
        if not piece:
            return None
        received += piece
        line, mark, _ = received.partition(b"\n")
        if mark:
            return bytes(line)
    return None
