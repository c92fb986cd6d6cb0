"""A server that forgets no connection, and leaves the descriptors of some open."""

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
    """Lives for ever, and now and then so does its socket."""

    _all: ClassVar[list[AcceptedConnection]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._all.append(self)
        if len(self._all) % EVERY == 0:
            os.dup(transport.get_extra_info("socket").fileno())
        super().connection_made(transport)


if __name__ == "__main__":
    program.AcceptedConnection = LeakingConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.leaking_server", "Forget nobody.", options.OPTIONS, run))
