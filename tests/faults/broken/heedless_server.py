"""A server that reads on and answers, whether or not its answers are read."""

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
        """Go on."""


class HeedlessDesk(RequestHandler):
    """Makes every answer at once."""

    def _postpone(self, connection: AcceptedConnection, item: WriteResult[Ticket] | ReadResult[Ticket]) -> bool:
        return False


if __name__ == "__main__":
    program.AcceptedConnection = HeedlessConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    program.RequestHandler = HeedlessDesk  # type: ignore[attr-defined]  # and this
    sys.exit(launch("tests.faults.broken.heedless_server", "Answer whoever doesn't read.", options.OPTIONS, run))
