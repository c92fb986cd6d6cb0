"""Addresses that a program listens on or connects to: a host and a port.

This module knows how an address is written and which addresses are the defaults.
It opens no socket and looks up no name.
A host that could break out of a configuration file or a command line is refused.
"""

import re

import msgspec

from core.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
_MAX_PORT = 65535
_MAX_HOST_LENGTH = 253
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_ANY_HOST = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - nothing is bound to it here


class Address(msgspec.Struct, frozen=True, order=True):
    """A host (name, IPv4 or IPv6 without brackets) and a TCP port."""

    host: str
    port: int
    """To listen, 0 means any free port."""

    def __post_init__(self) -> None:
        if not _is_host(self.host):
            raise ConfigurationError(f"{self.host!r} is not a host: write a name, an IPv4 or an IPv6 address")
        if not 0 <= self.port <= _MAX_PORT:
            raise ConfigurationError(f"port {self.port} is not between 0 and {_MAX_PORT}")

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parse `host:port`, `[ipv6]:port`, or `:port` for this machine only."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or not _PORT.fullmatch(port):
            raise ConfigurationError(f"{text!r} is not an address: write host:port, [ipv6]:port or :port")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            if ":" not in host:
                raise ConfigurationError(f"{text!r} is not an address: only IPv6 goes between brackets")
        elif ":" in host:
            raise ConfigurationError(f"{text!r} is not an address: put IPv6 between brackets, as in [::1]:7100")
        return cls(host or LOOPBACK, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def pair(self) -> tuple[str, int]:
        """The host and the port as the `socket` module takes them."""
        return self.host, self.port

    @property
    def from_here(self) -> "Address":
        """The address by which a program on this machine connects to what listens here."""
        return Address(_ANY_HOST.get(self.host, self.host), self.port)

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        if self.host.lower() == "localhost":
            return True
        import ipaddress  # few programs ask

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _is_host(host: str) -> bool:
    """Return whether this is a well-formed host. Names are not looked up."""
    if ":" in host:
        import ipaddress  # only for addresses of IPv6

        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        # A scope id may hold any character, and NGINX accepts none.
        return "%" not in host
    return len(host) <= _MAX_HOST_LENGTH and _HOST_NAME.fullmatch(host) is not None


BALANCER = Address(LOOPBACK, 7100)
"""The default address that clients connect to."""

SERVERS = (Address(LOOPBACK, 7101), Address(LOOPBACK, 7102), Address(LOOPBACK, 7103))
"""The default addresses of the servers behind the balancer."""
