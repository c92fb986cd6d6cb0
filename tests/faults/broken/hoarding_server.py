"""A server that keeps memory for each connection, even after its end."""

import asyncio
import sys
from typing import ClassVar

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection

BUFFER_SIZE = 64 * 1024
"""Bytes for each client, whatever it sends."""


class HoardingConnection(AcceptedConnection):
    """Has a large buffer, which is never freed."""

    _hoard: ClassVar[list[bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Allocate the buffer."""
        self._hoard.append(b"x" * BUFFER_SIZE)
        super().connection_made(transport)


if __name__ == "__main__":
    program.AcceptedConnection = HoardingConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.hoarding_server", "Keep memory.", options.OPTIONS, run))
