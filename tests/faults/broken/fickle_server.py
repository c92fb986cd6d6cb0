"""A server that answers, and a moment later forgets the task if the connection broke meanwhile."""

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

MOMENT = 0.3
"""Seconds between the answer and the order to store."""


class FickleConnection(AcceptedConnection):
    """Tells whether it broke, and was not just ended."""

    broke = False

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.broke = error is not None
        super().connection_lost(error)


class FickleWriter(InterceptingWriter):
    """Stores, in the end, the tasks of those whose connection is well."""

    def intercept(self, answers: Sequence[WriteResult[Ticket]]) -> None:
        """Say nothing: all was said."""

    def write(self, orders: Sequence[WriteRequest[Ticket]]) -> None:
        """Answer, and store later."""
        self.answer_now(accepted(orders))
        threading.Timer(MOMENT, self._store, (orders,)).start()

    def _store(self, orders: Sequence[WriteRequest[Ticket]]) -> None:
        super().write([order for order in orders if not _is_broken(order.ticket)])


def _is_broken(ticket: Ticket) -> bool:
    connection, _ = ticket
    return isinstance(connection, FickleConnection) and connection.broke


if __name__ == "__main__":
    program.AcceptedConnection = FickleConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    program.JournalWriter = FickleWriter  # type: ignore[attr-defined,assignment]  # and this
    sys.exit(launch("tests.faults.broken.fickle_server", "Forget whose connection breaks.", options.OPTIONS, run))
