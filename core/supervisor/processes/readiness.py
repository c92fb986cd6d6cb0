"""Judges whether a process does its work, by its record in the journal, its answers or its age.

Judging is pure; greeting a server and probing a port are the only I/O.
"""

import socket
import ssl
import time
from collections.abc import Sequence

import msgspec

from core.addresses import Address
from core.errors import ProtocolError, reason_of
from core.heartbeat import Liveness
from core.model import ProcessPhase, ProcessRecord, Trouble
from core.protocol import ClientConnection, Reply
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity

CLOCK_SLACK = 2.0
"""Seconds by which a record may appear older than its process."""

_CHUNK = 65_536

_NAMES_REQUEST = b"\0\1n"
"""The request NAMES of Erlang's port mapper, after its length. The reply begins with a port, then come the names."""

_PORT_BYTES = 4


class ProbeTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A process to check."""

    name: str
    kind: ProcessKind
    pids: frozenset[int]
    """The ids under which the process may appear in the journal."""
    host: str
    """This machine's name in the journal."""
    spawned_at: float
    """The start time in seconds since the epoch. An older record belongs to another process."""
    identity: ProcessIdentity
    address: Address | None = None
    ready_after: float | None = None
    """Seconds of life after which the process counts as ready, where nothing better can be checked."""
    has_been_ready: bool = False
    """Whether the process was ready before, and need not be greeted again."""
    has_been_healthy: bool = False
    """Whether the process was ready without any trouble before, and can be checked at longer intervals."""


class Condition(msgspec.Struct, frozen=True):
    """The health of a process."""

    ready: bool
    note: str = ""
    """What is wrong or not ready yet; empty when all is well."""
    silent: bool = False
    """Whether the process has shown no sign of life for a while."""
    troubles: tuple[Trouble, ...] = ()
    """What the process can't use; the note describes it too."""


def judge(target: ProbeTarget, records: Sequence[ProcessRecord], liveness: Liveness, now: float) -> Condition:
    """Judge the health of a server or worker by its record.

    Args:
        target: the process.
        records: all records of the journal.
        liveness: the liveness of the processes; it has observed the records.
        now: the time by the clock of `liveness`.
    """
    record = next((record for record in reversed(records) if _is_of(record, target)), None)
    if record is None:
        return Condition(False, "not in the journal yet")
    if not liveness.is_alive(record, now):
        return Condition(False, "silent: it writes no heartbeat", silent=True)
    ready = record.phase is ProcessPhase.READY
    note = "; ".join(map(str, record.troubles)) if ready else record.status
    return Condition(ready, note, troubles=record.troubles)


def was_ready(target: ProbeTarget, records: Sequence[ProcessRecord]) -> bool:
    """Return whether a server or worker that has ended was ready by its last record."""
    return any(record.phase is ProcessPhase.READY for record in records if _is_of(record, target))


def _is_of(record: ProcessRecord, target: ProbeTarget) -> bool:
    same_process = record.pid in target.pids and record.host == target.host
    return same_process and record.started_at >= target.spawned_at - CLOCK_SLACK


def probe_port(address: Address, timeout: float) -> str:
    """Connect to a port. Returns what went wrong, or an empty string."""
    try:
        socket.create_connection(address.from_here.pair, timeout).close()
    except OSError as error:
        return f"{address} takes no connection: {reason_of(error)}"
    return ""


def ask_port_mapper(address: Address, timeout: float) -> str:
    """Ask Erlang's port mapper for the names of its nodes. Returns what went wrong, or an empty string.

    It takes a connection that is closed without a request for an error, and logs it.
    """
    try:
        with _connected(address.from_here, timeout, None) as stream:
            stream.sendall(_NAMES_REQUEST)
            answer = stream.makefile("rb").read(_CHUNK)
    except OSError as error:
        return f"{address} doesn't answer: {reason_of(error)}"
    return "" if len(answer) >= _PORT_BYTES else f"{address} closes the connection without an answer"


def judge_age(target: ProbeTarget, wall: float) -> Condition:
    """Judge the health of a process by its age alone.

    Args:
        target: the process.
        wall: the present time in seconds since the epoch.
    """
    is_ready = wall - target.spawned_at >= (target.ready_after or 0.0)
    return Condition(is_ready, "" if is_ready else "has just started")


def greet(address: Address, token: str | None, timeout: float, tls: ssl.SSLContext | None = None) -> str:
    """Greet a server and wait for its reply. Returns what went wrong, or an empty string.

    A refusal of the token is a reply too: the server works.

    Args:
        address: the server's address.
        token: the token that the server may require.
        timeout: seconds that the server has to reply.
        tls: the encryption, for a server that encrypts.
    """
    deadline = time.monotonic() + timeout
    client = ClientConnection()
    try:
        with _connected(address.from_here, timeout, tls) as stream:
            stream.sendall(client.hello(0, token=token, client="supervisor"))
            while True:
                stream.settimeout(max(0.01, deadline - time.monotonic()))
                received = stream.recv(_CHUNK)
                if not received:
                    return f"{address} closes the connection without an answer"
                if any(isinstance(event, Reply) for event in client.receive(received)):
                    return ""
    except (OSError, ProtocolError) as error:
        return f"{address} doesn't answer: {reason_of(error)}"


def _connected(address: Address, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
    """Return a connection, which is closed when the handshake fails."""
    stream = socket.create_connection(address.pair, timeout)
    if tls is None:
        return stream
    with stream:
        return tls.wrap_socket(stream, server_hostname=address.host)
