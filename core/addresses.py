"""Where a program listens or connects to: a host and a port.

It knows how an address is written and which ones the system has by itself;
it opens no socket and looks up no name.
A host that could break out of a configuration file or a command line can't be made into an `Address`.
"""

import ipaddress
import re

import msgspec

from core.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
_HIGHEST_PORT = 65535
_LONGEST_HOST = 253
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


class Address(msgspec.Struct, frozen=True, order=True):
    """A host (name, IPv4 or IPv6 without brackets) and a TCP port."""

    host: str
    port: int
    """0 asks the operating system for a free port where a program listens."""

    def __post_init__(self) -> None:
        if not _is_host(self.host):
            raise ConfigurationError(f"{self.host!r} is no host: write a name, an IPv4 or an IPv6 address")
        if not 0 <= self.port <= _HIGHEST_PORT:
            raise ConfigurationError(f"port {self.port} is not between 0 and {_HIGHEST_PORT}")

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`, `[ipv6]:port` or `:port`, which means this machine only."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or not _PORT.fullmatch(port):
            raise ConfigurationError(f"{text!r} is no address: write host:port, [ipv6]:port or :port")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            if ":" not in host:
                raise ConfigurationError(f"{text!r} is no address: only IPv6 goes between brackets")
        elif ":" in host:
            raise ConfigurationError(f"{text!r} is no address: put IPv6 between brackets, as in [::1]:7100")
        return cls(host or LOOPBACK, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def pair(self) -> tuple[str, int]:
        """The address as the `socket` module wants it."""
        return self.host, self.port

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _is_host(host: str) -> bool:
    """Tell whether this can be a host; names are not looked up."""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        # A scope may hold any character, and NGINX takes none.
        return "%" not in host
    return len(host) <= _LONGEST_HOST and _HOST_NAME.fullmatch(host) is not None


BALANCER = Address(LOOPBACK, 7100)
"""Where clients connect to when nobody says otherwise."""

SERVERS = (Address(LOOPBACK, 7101), Address(LOOPBACK, 7102), Address(LOOPBACK, 7103))
"""The servers behind the balancer when nobody says otherwise."""
