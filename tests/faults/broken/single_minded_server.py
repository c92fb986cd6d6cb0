"""A server that hears nobody else while one client is within a line."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection


class _Floor:
    """Who has it, and who waits for it with what."""

    def __init__(self) -> None:
        self.speaker: AcceptedConnection | None = None
        self.waiting: list[tuple[AcceptedConnection, bytes]] = []


FLOOR = _Floor()


class SingleMindedConnection(AcceptedConnection):
    """Reads a line to its end before anybody else has a turn."""

    def data_received(self, data: bytes) -> None:
        """Take what came, or have it wait."""
        if FLOOR.speaker not in {None, self}:
            FLOOR.waiting.append((self, data))
            return
        super().data_received(data)
        FLOOR.speaker = self if self._protocol.partial else None

    def connection_lost(self, error: Exception | None) -> None:
        """Give others their turn."""
        super().connection_lost(error)
        if FLOOR.speaker is self:
            FLOOR.speaker = None
            waiting, FLOOR.waiting = FLOOR.waiting, []
            for connection, data in waiting:
                connection.data_received(data)


if __name__ == "__main__":
    program.AcceptedConnection = SingleMindedConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.single_minded_server", "Hear one client.", options.OPTIONS, run))
