"""Which ports the system takes: those it is known by, or the next free ones. Says who holds a taken one."""

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping

import msgspec
import psutil

from core.addresses import LOOPBACK, Address
from core.config import Settings
from core.errors import ConfigurationError, SupervisorError
from core.supervisor import options

REACH = 200
"""How many ports after the wanted one are looked at."""

_TITLES = {"nginx": "NGINX"}

Holder = Callable[[Address], str]
"""Says who keeps an address from being listened on; empty when it is free."""


class AddressLayout(msgspec.Struct, frozen=True):
    """Who listens where."""

    listen: Address | None
    """NGINX; None when there is none."""
    servers: tuple[Address, ...]

    @property
    def entrance(self) -> Address | None:
        """Where clients connect; None without any server."""
        return self.listen or (self.servers[0] if self.servers else None)


class PortChoice(msgspec.Struct, frozen=True):
    """The addresses that were chosen."""

    layout: AddressLayout
    remarks: tuple[str, ...]
    """What is not as wished for, and why: sentences for people."""


class PortChooser:
    """Chooses addresses, each once.

    Args:
        holder: looks at an address.
        any_port: finds a free port on a host.
        taken: what is not to be chosen.
    """

    def __init__(self, holder: Holder, any_port: Callable[[str], int], taken: Iterable[Address] = ()) -> None:
        self._holder = holder
        self._any_port = any_port
        self._chosen = {address.port for address in taken}
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


def choose(
    settings: Settings,
    holder: Holder | None = None,
    any_port: Callable[[str], int] | None = None,
    kept: Mapping[str, Address] | None = None,
) -> PortChoice:
    """Choose who listens where.

    Args:
        settings: of the supervisor.
        holder: looks at an address; at this machine's when left out.
        any_port: finds a free port; on this machine when left out.
        kept: by name, the addresses of processes that run and go on.

    Raises:
        SupervisorError: an address that was insisted on is taken.
        ConfigurationError: an address is none of this machine's.
    """
    kept = kept or {}
    chooser = PortChooser(holder or holder_of, any_port or free_port, kept.values())
    listen = settings[options.LISTEN]
    insisted = settings.given(options.LISTEN)

    def chosen(name: str, wanted: Address, *, insisted: bool = False) -> Address:
        runs_at = kept.get(name)
        as_wanted = runs_at is not None and (not insisted or wanted.port == 0 or runs_at == wanted)
        return (
            runs_at
            if runs_at is not None and as_wanted
            else chooser.choose(_TITLES.get(name, name), wanted, insisted=insisted)
        )

    balancer = chosen("nginx", listen, insisted=insisted) if settings[options.NGINX] else None
    servers = [
        chosen("s1", listen, insisted=True)
        if number == 1 and insisted and balancer is None
        else chosen(f"s{number}", Address(LOOPBACK, settings[options.SERVER_PORT]))
        for number in range(1, settings[options.SERVER_COUNT] + 1)
    ]
    return PortChoice(AddressLayout(balancer, tuple(servers)), tuple(chooser.remarks))


def another(name: str, first: int, taken: Iterable[Address]) -> Address:
    """Choose the address of one more server.

    Args:
        name: whose.
        first: the port from which to look; 0 for any.
        taken: what the others have.

    Raises:
        SupervisorError: no port is free.
    """
    return PortChooser(holder_of, free_port, taken).choose(name, Address(LOOPBACK, first))


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
