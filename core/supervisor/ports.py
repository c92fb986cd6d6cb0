"""Which ports the system takes: those it is known by, or the next free ones. Says who holds a taken one."""

import errno
import os
import socket
from collections.abc import Callable

import msgspec
import psutil

from core.addresses import LOOPBACK, Address
from core.config import Settings
from core.errors import ConfigurationError, SupervisorError
from core.supervisor import options
from core.supervisor.plan import Layout

REACH = 200
"""How many ports after the wanted one are looked at."""

Holder = Callable[[Address], str]
"""Says who keeps an address from being listened on; empty when it is free."""


class Choice(msgspec.Struct, frozen=True):
    """The addresses that were chosen."""

    layout: Layout
    remarks: tuple[str, ...]
    """What is not as wished for, and why: sentences for people."""


class Chooser:
    """Chooses addresses, each once.

    Args:
        holder: looks at an address.
        any_port: finds a free port on a host.
    """

    def __init__(self, holder: Holder, any_port: Callable[[str], int]) -> None:
        self._holder = holder
        self._any_port = any_port
        self._chosen: set[int] = set()
        self.remarks: list[str] = []

    def choose(self, whose: str, wanted: Address, *, insisted: bool = False) -> Address:
        """Choose an address: the wanted one, or on the same host the next that is free.

        Raises:
            SupervisorError: the wanted one is taken and was insisted on, or none is free.
        """
        if wanted.port == 0:
            return self._take(Address(wanted.host, self._any_port(wanted.host)))
        reason = ""
        for port in range(wanted.port, min(wanted.port + REACH, 65_536)):
            if port in self._chosen:
                continue
            address = Address(wanted.host, port)
            holder = self._holder(address)
            if not holder:
                if reason:
                    self.remarks.append(f"{reason}: {whose} listens on {address}")
                return self._take(address)
            reason = reason or f"{address} is held by {holder}"
            if insisted:
                raise SupervisorError(f"{reason}; end that, or choose another address for {whose} with --listen")
        raise SupervisorError(f"{reason or wanted}, and no port after it is free; choose others with --server-port")

    def _take(self, address: Address) -> Address:
        self._chosen.add(address.port)
        return address


def choose(settings: Settings, holder: Holder | None = None, any_port: Callable[[str], int] | None = None) -> Choice:
    """Choose who listens where.

    Args:
        settings: of the supervisor.
        holder: looks at an address; at this machine's when left out.
        any_port: finds a free port; on this machine when left out.

    Raises:
        SupervisorError: an address that was insisted on is taken.
        ConfigurationError: an address is none of this machine's.
    """
    chooser = Chooser(holder or holder_of, any_port or free_port)
    count = settings[options.SERVER_COUNT]
    listen = settings[options.LISTEN]
    insisted = settings.given(options.LISTEN)
    first: list[Address] = []
    balancer: Address | None = None
    if settings[options.NGINX]:
        balancer = chooser.choose("NGINX", listen, insisted=insisted)
    elif count and insisted:
        first = [chooser.choose("s1", listen, insisted=True)]
    servers = [
        chooser.choose(f"s{number}", Address(LOOPBACK, settings[options.SERVER_PORT]))
        for number in range(len(first) + 1, count + 1)
    ]
    return Choice(Layout(balancer, (*first, *servers)), tuple(chooser.remarks))


def holder_of(address: Address) -> str:
    """Say who keeps an address from being listened on; empty when it is free.

    Raises:
        ConfigurationError: nobody could listen on it: it is none of this machine's, or not allowed.
    """
    try:
        with _bound(address):
            return ""
    except OSError as error:
        if error.errno != errno.EADDRINUSE and getattr(error, "winerror", 0) not in {10013, 10048}:
            raise ConfigurationError(f"nothing can listen on {address}: {error.strerror or error}") from error
    return _listener(address.port) or "another program"


def free_port(host: str) -> int:
    """Find a port on a host that is free now; nothing keeps it free until it is used."""
    try:
        with _bound(Address(host, 0)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigurationError(f"nothing can listen on {host}: {error.strerror or error}") from error


def _bound(address: Address) -> socket.socket:
    """Bind as a server would, which is refused while another one listens there."""
    family, kind, protocol, _, pair = socket.getaddrinfo(*address.pair, type=socket.SOCK_STREAM)[0]
    probe = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # What is left of closed connections is in nobody's way. On Windows the option means something else.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(pair)
    except OSError:
        probe.close()
        raise
    return probe


def _listener(port: int) -> str:
    """Name the process that listens on a port; empty when the system doesn't tell."""
    try:
        for connection in psutil.net_connections("tcp"):
            at = connection.laddr
            if connection.status == psutil.CONN_LISTEN and at and at.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
