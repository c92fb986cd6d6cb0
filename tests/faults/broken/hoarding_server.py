"""A server that keeps something of each connection: memory while and after it lives."""

import asyncio
import sys
from typing import ClassVar

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection

EACH = 64 * 1024
"""Bytes for a client, whatever it sends."""


class HoardingConnection(AcceptedConnection):
    """Has a large buffer of its own, which nobody frees."""

    _hoard: ClassVar[list[bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, with all that may ever be needed."""
        self._hoard.append(b"x" * EACH)
        super().connection_made(transport)


if __name__ == "__main__":
    program.AcceptedConnection = HoardingConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.hoarding_server", "Keep memory.", options.OPTIONS, run))
