"""A server that reads on and answers, whether or not its answers are read."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import Connection
from core.server.desk import Desk, Ticket
from core.server.reader import Reply
from core.server.writer import Answer


class HeedlessConnection(Connection):
    """Never waits for its client to read."""

    def pause_writing(self) -> None:
        """Go on."""


class HeedlessDesk(Desk):
    """Makes every answer at once."""

    def _postpone(self, connection: Connection, item: Answer[Ticket] | Reply[Ticket]) -> bool:
        return False


if __name__ == "__main__":
    program.Connection = HeedlessConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    program.Desk = HeedlessDesk  # type: ignore[attr-defined]  # and this
    sys.exit(launch("tests.faults.broken.heedless_server", "Answer whoever doesn't read.", options.OPTIONS, run))
