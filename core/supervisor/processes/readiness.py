"""Whether a process does its work: a server when it answers, a worker when it says so in the journal.

What the records mean is told by a pure function; the greeting of a server and a look at a port are the only I/O.
"""

import socket
import ssl
import time
from collections.abc import Sequence

import msgspec

from core.addresses import Address
from core.errors import ProtocolError
from core.heartbeat import Liveness
from core.model import ProcessPhase, ProcessRecord
from core.protocol import ClientConnection, Reply
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity

CLOCK_SLACK = 2.0
"""Seconds by which a record may seem older than its process."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here
_CHUNK = 65_536


class ProbeTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A process to look at."""

    name: str
    kind: ProcessKind
    pids: frozenset[int]
    """The ids under which it may appear in the journal."""
    host: str
    """This machine's name, as it appears there."""
    spawned_at: float
    """Seconds since the epoch; an older record is another process's."""
    identity: ProcessIdentity
    address: Address | None = None
    ready_after: float | None = None
    """Seconds of life after which it is ready, when nothing better can be looked at."""
    ready: bool = False
    """Whether it has been ready before: then there is no need to greet it again."""
    proven: bool = False
    """Whether it has been ready without any trouble before: then there is no hurry to look at it again."""


class Condition(msgspec.Struct, frozen=True):
    """How a process is."""

    ready: bool
    note: str = ""
    """What is wrong, or not yet right; empty when nothing is."""
    silent: bool = False
    """It has shown no sign of life for a while."""


def judge(target: ProbeTarget, records: Sequence[ProcessRecord], liveness: Liveness, now: float) -> Condition:
    """Say how a server or worker is by its own record.

    Args:
        target: the process.
        records: all of the journal.
        liveness: has observed them.
        now: by the clock of `liveness`.
    """
    record = next((record for record in reversed(records) if _is_of(record, target)), None)
    if record is None:
        return Condition(False, "not in the journal yet")
    if not liveness.is_alive(record, now):
        return Condition(False, "silent: it writes no heartbeat", silent=True)
    ready = record.phase is ProcessPhase.READY
    return Condition(ready, "; ".join(record.troubles) if ready else record.status)


def was_ready(target: ProbeTarget, records: Sequence[ProcessRecord]) -> bool:
    """Say whether a server or worker that has ended was ready at the last sign of its life."""
    return any(record.phase is ProcessPhase.READY for record in records if _is_of(record, target))


def _is_of(record: ProcessRecord, target: ProbeTarget) -> bool:
    same_process = record.pid in target.pids and record.host == target.host
    return same_process and record.started_at >= target.spawned_at - CLOCK_SLACK


def listens(address: Address, timeout: float) -> str:
    """Whether somebody takes connections there: what went wrong, or nothing."""
    try:
        socket.create_connection(_reachable(address).pair, timeout).close()
    except OSError as error:
        return f"{address} takes no connection: {error}"
    return ""


def has_lived(target: ProbeTarget, wall: float) -> Condition:
    """Say how a process is of which only its life can be seen.

    Args:
        target: the process.
        wall: seconds since the epoch.
    """
    lived = wall - target.spawned_at >= (target.ready_after or 0.0)
    return Condition(lived, "" if lived else "has just begun")


def greet(address: Address, token: str | None, timeout: float, tls: ssl.SSLContext | None = None) -> str:
    """Greet a server and wait for its answer; what went wrong, or nothing.

    A server that refuses the token answers too: it works.

    Args:
        address: of the server.
        token: what it may want to be shown.
        timeout: seconds that it has.
        tls: what to encrypt with, if it does.
    """
    deadline = time.monotonic() + timeout
    client = ClientConnection()
    try:
        with _connected(_reachable(address), timeout, tls) as stream:
            stream.sendall(client.hello(0, token=token, client="supervisor"))
            while True:
                stream.settimeout(max(0.01, deadline - time.monotonic()))
                received = stream.recv(_CHUNK)
                if not received:
                    return f"{address} closes the connection without an answer"
                if any(isinstance(event, Reply) for event in client.receive(received)):
                    return ""
    except (OSError, ProtocolError) as error:
        return f"{address} doesn't answer: {error}"


def _connected(address: Address, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
    """A connection, which is closed when its handshake goes wrong."""
    stream = socket.create_connection(address.pair, timeout)
    if tls is None:
        return stream
    with stream:
        return tls.wrap_socket(stream, server_hostname=address.host)


def _reachable(address: Address) -> Address:
    """Where a program of this machine reaches what listens there."""
    return Address(_EVERYWHERE.get(address.host, address.host), address.port)
