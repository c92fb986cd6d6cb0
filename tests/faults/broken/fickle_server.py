"""A server that replies, and then forgets the task if the connection breaks before it is stored."""

import sys
import threading
from collections.abc import Sequence

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection
from core.server.handler import Ticket
from core.server.journal_writer import WriteRequest, WriteResult
from tests.faults.broken.intercepting import InterceptingWriter, accepted

DELAY = 0.3
"""Seconds between the reply and the storing."""


class FickleConnection(AcceptedConnection):
    """Notes whether it broke, rather than ended."""

    broke = False

    def connection_lost(self, error: Exception | None) -> None:
        """Note whether the connection broke."""
        self.broke = error is not None
        super().connection_lost(error)


class FickleWriter(InterceptingWriter):
    """Stores only the tasks of clients whose connection did not break."""

    def intercept(self, results: Sequence[WriteResult[Ticket]]) -> None:
        """Drop the results: all were delivered already."""

    def write(self, requests: Sequence[WriteRequest[Ticket]]) -> None:
        """Deliver results, and store later."""
        self.deliver(accepted(requests))
        threading.Timer(DELAY, self._store, (requests,)).start()

    def _store(self, requests: Sequence[WriteRequest[Ticket]]) -> None:
        super().write([request for request in requests if not _is_broken(request.ticket)])


def _is_broken(ticket: Ticket) -> bool:
    connection, _ = ticket
    return isinstance(connection, FickleConnection) and connection.broke


if __name__ == "__main__":
    program.AcceptedConnection = FickleConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    program.JournalWriter = FickleWriter  # type: ignore[attr-defined,assignment]  # and this
    sys.exit(launch("tests.faults.broken.fickle_server", "Forget whose connection breaks.", options.OPTIONS, run))
