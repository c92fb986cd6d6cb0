"""A server that answers, and a moment later forgets the task if the connection broke meanwhile."""

import sys
import threading
from collections.abc import Callable, Sequence

from core.dispatcher import Dispatcher
from core.launch import launch
from core.model import Receipt, State
from core.repository.base import OpenRepository
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import Connection
from core.server.desk import Ticket
from core.server.writer import Answer, Entered, JournalWriter, Order, Submit
from core.threads import OnDeath

MOMENT = 0.3
"""Seconds between the answer and the order to store."""


class FickleConnection(Connection):
    """Tells whether it broke, and was not just ended."""

    broke = False

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.broke = error is not None
        super().connection_lost(error)


class FickleWriter(JournalWriter[Ticket]):
    """Stores, in the end, the tasks of those whose connection is well."""

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        answer: Callable[[Sequence[Answer[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        super().__init__(open_repository, make_dispatcher, owner, lambda _: None, on_death)
        self._answer_now = answer

    def write(self, orders: Sequence[Order[Ticket]]) -> None:
        """Answer, and store later."""
        submits = [order for order in orders if isinstance(order, Submit)]
        self._answer_now(
            [Entered(order.ticket, Receipt(id=order.task.id, seq=0, state=State.ACCEPTED)) for order in submits]
        )
        threading.Timer(MOMENT, self._store, (orders,)).start()

    def _store(self, orders: Sequence[Order[Ticket]]) -> None:
        super().write([order for order in orders if not _is_broken(order.ticket)])


def _is_broken(ticket: Ticket) -> bool:
    connection, _ = ticket
    return isinstance(connection, FickleConnection) and connection.broke


if __name__ == "__main__":
    program.Connection = FickleConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    program.JournalWriter = FickleWriter  # type: ignore[attr-defined,assignment]  # and this
    sys.exit(launch("tests.faults.broken.fickle_server", "Forget whose connection breaks.", options.OPTIONS, run))
