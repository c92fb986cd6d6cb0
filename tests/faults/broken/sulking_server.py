"""A server that reads nothing for a while after it, or another such server, first lost a client."""

import asyncio
import sys
import time
from pathlib import Path

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection

SULK_SECONDS = 20.0
"""Seconds without reading."""


class SulkingConnection(AcceptedConnection):
    """Reads nothing until the pause is over."""

    _has_read = False
    _lost = False

    def data_received(self, data: bytes) -> None:
        """Read the input, at once or after the pause."""
        pause = _pause_began() + SULK_SECONDS - time.time()
        if pause <= 0:
            self._has_read = True
            super().data_received(data)
        else:
            asyncio.get_running_loop().call_later(pause, self._read_later, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Begin the pause, if the client had sent something."""
        self._lost = True
        if self._has_read and not _marker().exists():
            _marker().touch()
        super().connection_lost(error)

    def _read_later(self, data: bytes) -> None:
        if not self._lost:
            self.data_received(data)


def _marker() -> Path:
    """Return the path of the file whose time marks the beginning of the pause, for all servers."""
    return Path(sys.argv[sys.argv.index("--dir") + 1], "offence")


def _pause_began() -> float:
    """Return the time at which the pause began, or 0."""
    return _marker().stat().st_mtime if _marker().exists() else 0.0


if __name__ == "__main__":
    program.AcceptedConnection = SulkingConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.sulking_server", "Read nothing for a while.", options.OPTIONS, run))
