"""A server that reads and replies without end to clients that never read."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection
from core.server.handler import RequestHandler, Ticket
from core.server.journal_reader import ReadResult
from core.server.journal_writer import WriteResult


class HeedlessConnection(AcceptedConnection):
    """Never waits for its client to read."""

    def pause_writing(self) -> None:
        """Continue."""


class HeedlessHandler(RequestHandler):
    """Makes every reply at once."""

    def _postpone(self, connection: AcceptedConnection, result: WriteResult[Ticket] | ReadResult[Ticket]) -> bool:
        return False


if __name__ == "__main__":
    program.AcceptedConnection = HeedlessConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    program.RequestHandler = HeedlessHandler  # type: ignore[attr-defined]  # and this
    sys.exit(launch("tests.faults.broken.heedless_server", "Reply to clients that do not read.", options.OPTIONS, run))
