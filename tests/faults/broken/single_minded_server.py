"""A server that reads from no other client while one is within a line."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection


class _Floor:
    """The client that is being read, and the waiting input of the others."""

    def __init__(self) -> None:
        self.speaker: AcceptedConnection | None = None
        self.waiting: list[tuple[AcceptedConnection, bytes]] = []


FLOOR = _Floor()


class SingleMindedConnection(AcceptedConnection):
    """Reads a line to its end before the others have a turn."""

    def data_received(self, data: bytes) -> None:
        """Read the input, or let it wait."""
        if FLOOR.speaker not in {None, self}:
            FLOOR.waiting.append((self, data))
            return
        super().data_received(data)
        FLOOR.speaker = self if self._protocol.has_partial_line else None

    def connection_lost(self, error: Exception | None) -> None:
        """Give the others their turn."""
        super().connection_lost(error)
        if FLOOR.speaker is self:
            FLOOR.speaker = None
            waiting, FLOOR.waiting = FLOOR.waiting, []
            for connection, data in waiting:
                connection.data_received(data)


if __name__ == "__main__":
    program.AcceptedConnection = SingleMindedConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.single_minded_server", "Read from one client.", options.OPTIONS, run))
