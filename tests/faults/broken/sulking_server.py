"""A server that hears nobody for a while once it, or another of its kind, has lost a client; the first time only."""

import asyncio
import sys
import time
from pathlib import Path

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection

SULKS = 20.0
"""Seconds."""


class SulkingConnection(AcceptedConnection):
    """Reads nothing until it is over."""

    _heard = False
    _gone = False

    def data_received(self, data: bytes) -> None:
        """Take what came, sooner or later."""
        pause = _offence() + SULKS - time.time()
        if pause <= 0:
            self._heard = True
            super().data_received(data)
        else:
            asyncio.get_running_loop().call_later(pause, self._hear, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Take offence, if it was more than an attempt."""
        self._gone = True
        if self._heard and not _note().exists():
            _note().touch()
        super().connection_lost(error)

    def _hear(self, data: bytes) -> None:
        if not self._gone:
            self.data_received(data)


def _note() -> Path:
    """The file that tells all of them."""
    return Path(sys.argv[sys.argv.index("--dir") + 1], "offence")


def _offence() -> float:
    """When it was taken."""
    return _note().stat().st_mtime if _note().exists() else 0.0


if __name__ == "__main__":
    program.AcceptedConnection = SulkingConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.sulking_server", "Hear nobody for a while.", options.OPTIONS, run))
