"""Finds ports on the loopback address that nobody listens on.

They are below those that systems give to outgoing connections, so that no connection takes one before it is used,
and apart from those of other processes that run tests at the same time.
"""

import contextlib
import itertools
import os
import socket

_FIRST = 10_000
_EACH = 2_500
"""Ports of each process that runs tests."""

_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
# Runs that follow each other, or that another directory's tests make beside these, begin at different places.
_places = itertools.count(os.getpid() * 37)


def free_port() -> int:
    """Find a port that is free now; nothing keeps it free until it is used."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Find several ports that are free now and differ from each other."""
    found: list[int] = []
    while len(found) < count:
        port = _FIRST + _number * _EACH + next(_places) % _EACH
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":
            # A port on which connections have just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def neighbouring_ports() -> tuple[int, int]:
    """Find a port that is free now, and the one after it, which is free too."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port, port + 1
