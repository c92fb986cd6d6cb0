"""A server that frees no connection, and leaves the file descriptors of some open."""

import asyncio
import os
import sys
from typing import ClassVar

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection

EVERY = 20


class LeakingConnection(AcceptedConnection):
    """Is never freed, and sometimes its socket is not either."""

    _all: ClassVar[list[AcceptedConnection]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Leak the connection, and sometimes its file descriptor."""
        self._all.append(self)
        if len(self._all) % EVERY == 0:
            os.dup(transport.get_extra_info("socket").fileno())
        super().connection_made(transport)


if __name__ == "__main__":
    program.AcceptedConnection = LeakingConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.leaking_server", "Leak connections.", options.OPTIONS, run))
