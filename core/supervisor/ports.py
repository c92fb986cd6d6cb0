"""Chooses the ports of the system: the well-known ones, or the next free ones. Names the holder of a taken port."""

import contextlib
import errno
import os
import random
import socket
from collections.abc import Callable, Iterable, Mapping

import msgspec
import psutil

from core.addresses import LOOPBACK, Address
from core.config import Settings
from core.errors import ConfigurationError, SupervisorError
from core.supervisor import options

MAX_ATTEMPTS = 200
"""The number of ports that are tried, from the wanted one on."""

_FREE_PORTS = range(22_500, 32_768)
"""Where a free port is looked for. Systems take the ports of outgoing connections from those above."""

_TITLES = {"nginx": "NGINX"}

FindHolder = Callable[[Address], str]
"""Returns which process holds an address, or an empty string when it is free."""


class AddressLayout(msgspec.Struct, frozen=True):
    """The addresses of NGINX and of the servers."""

    listen: Address | None
    """The address of NGINX; None without NGINX."""
    servers: tuple[Address, ...]

    @property
    def client_address(self) -> Address | None:
        """The address that clients connect to; None without a server."""
        return self.listen or (self.servers[0] if self.servers else None)


def _other(name: str, flag: str) -> str:
    return f"choose another address for {name} with {flag}"


class PortChoice(msgspec.Struct, frozen=True):
    """The chosen addresses."""

    layout: AddressLayout
    remarks: tuple[str, ...]
    """Deviations from the settings, with their reasons, for users."""
    fixed: Mapping[str, Address] = {}
    """The addresses that the user gave, by the names of the processes: they listen there and nowhere else."""


class PortAllocator:
    """Allocates free addresses, each once.

    Args:
        find_holder: returns which process holds an address.
        find_free_port: finds a free port on a host.
        taken: addresses whose ports are not allocated.

    Attributes:
        remarks: deviations from what was wanted, with their reasons.
    """

    def __init__(
        self, find_holder: FindHolder, find_free_port: Callable[[str], int], taken: Iterable[Address] = ()
    ) -> None:
        self._find_holder = find_holder
        self._find_free_port = find_free_port
        self._allocated = {address.port for address in taken}
        self._released: set[Address] = set()
        self.remarks: list[str] = []

    def allocate(self, name: str, wanted: Address, flag: str = "") -> Address:
        """Allocate an address for a process: the wanted one, or the next free port on the same host.

        Args:
            name: the name of the process.
            wanted: the address to begin with.
            flag: the flag that gave this very address; empty when another one will do.

        Raises:
            SupervisorError: the wanted address is taken and no other will do, or no port is free.
        """
        if wanted.port == 0:
            return self._take(Address(wanted.host, self._find_free_port(wanted.host)))
        reason = ""
        for port in range(wanted.port, min(wanted.port + MAX_ATTEMPTS, 65_536)):
            address = Address(wanted.host, port)
            if port in self._allocated:
                if flag:
                    raise SupervisorError(f"{address} is for another process of this system; {_other(name, flag)}")
                continue
            holder = "" if address in self._released else self._find_holder(address)
            if not holder:
                if reason:
                    self.remarks.append(f"{reason}: {name} listens on {address}")
                return self._take(address)
            reason = reason or f"{address} is held by {holder}"
            if flag:
                raise SupervisorError(f"{reason}; stop that process, or {_other(name, flag)}")
        raise SupervisorError(f"{reason or wanted}, and no port after it is free; choose others with --server-port")

    def release(self, address: Address) -> None:
        """Count an address as free from now on, although a process that is going to end listens there."""
        self._allocated.discard(address.port)
        self._released.add(address)

    def _take(self, address: Address) -> Address:
        self._allocated.add(address.port)
        return address


def choose(
    settings: Settings,
    find_holder: FindHolder | None = None,
    find_free_port: Callable[[str], int] | None = None,
    kept: Mapping[str, Address] | None = None,
) -> PortChoice:
    """Choose the addresses of NGINX and of the servers.

    Args:
        settings: the supervisor's settings.
        find_holder: returns which process holds an address; `holder_of` by default.
        find_free_port: finds a free port on a host; `free_port` by default.
        kept: the addresses of adopted processes, by name.

    Raises:
        SupervisorError: an address that was given explicitly is taken.
        ConfigurationError: an address does not belong to this machine.
    """
    kept = dict(kept or {})
    allocator = PortAllocator(find_holder or holder_of, find_free_port or free_port, kept.values())
    fixed: dict[str, Address] = {}

    def choose_one(name: str, wanted: Address, flag: str) -> Address:
        if flag and wanted.port:
            fixed[name] = wanted
            for other in [other for other, address in kept.items() if address == wanted and other != name]:
                # That process will end before this one starts.
                allocator.release(kept.pop(other))
        current = kept.get(name)
        if current is not None and (name not in fixed or current == wanted):
            return current
        return allocator.allocate(_TITLES.get(name, name), wanted, flag)

    listen = settings[options.LISTEN]
    listen_flag = options.LISTEN.flags[0] if settings.given(options.LISTEN) else ""
    port_flag = options.SERVER_PORT.flags[0] if settings.given(options.SERVER_PORT) else ""
    balancer = choose_one("nginx", listen, listen_flag) if settings[options.NGINX] else None
    servers: list[Address] = []
    for number in range(1, settings[options.SERVER_COUNT] + 1):
        if number == 1 and listen_flag and balancer is None:
            servers.append(choose_one("s1", listen, listen_flag))
            continue
        servers.append(choose_one(f"s{number}", Address(LOOPBACK, settings[options.SERVER_PORT]), port_flag))
        port_flag = ""  # the others take the ports after it
    return PortChoice(AddressLayout(balancer, tuple(servers)), tuple(allocator.remarks), fixed)


def choose_address(name: str, first: int, taken: Iterable[Address], fixed: Mapping[str, Address]) -> Address:
    """Choose the address of one more server, or of one whose address another program has taken.

    Args:
        name: the name of the server.
        first: the first port to try; 0 for any.
        taken: the addresses of the other processes.
        fixed: the addresses that the user gave, by name.

    Raises:
        SupervisorError: no port is free, or the one that the user gave is not.
    """
    wanted = fixed.get(name)
    if wanted is None:
        return PortAllocator(holder_of, free_port, taken).allocate(name, Address(LOOPBACK, first))
    others = [address for address in taken if address != wanted]
    flags = f"{options.LISTEN.flags[0]} or {options.SERVER_PORT.flags[0]}"
    return PortAllocator(holder_of, free_port, others).allocate(name, wanted, flags)


def holder_of(address: Address) -> str:
    """Return which process holds an address, or an empty string when it is free.

    Raises:
        ConfigurationError: it does not belong to this machine, or its port is not allowed.
    """
    try:
        with _bound(address):
            return ""
    except OSError as error:
        if error.errno != errno.EADDRINUSE and getattr(error, "winerror", 0) not in {10013, 10048}:
            raise ConfigurationError(f"nothing can listen on {address}: {error.strerror or error}") from error
    return _listener(address.port) or "another program"


def free_port(host: str) -> int:
    """Find a port that is free on a host now. Another program may take it before it is used."""
    for port in random.sample(_FREE_PORTS, MAX_ATTEMPTS):
        with contextlib.suppress(OSError), _bound(Address(host, port)):
            return port
    try:
        with _bound(Address(host, 0)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigurationError(f"nothing can listen on {host}: {error.strerror or error}") from error


def _bound(address: Address) -> socket.socket:
    """Bind a socket as a server would; this fails while another program listens there."""
    family, kind, protocol, _, pair = socket.getaddrinfo(*address.pair, type=socket.SOCK_STREAM)[0]
    probe = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # Remains of closed connections do not matter. On Windows the option means something else.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(pair)
    except OSError:
        probe.close()
        raise
    return probe


def _listener(port: int) -> str:
    """Name the process that listens on a port. Returns an empty string when it is unknown."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
