"""A server that answers before it has stored."""

import sys
import threading
from collections.abc import Callable, Sequence

from core.dispatcher import Dispatcher
from core.launch import launch
from core.model import Receipt, State
from core.repository.base import OpenRepository
from core.server import options, program
from core.server.__main__ import run
from core.server.desk import Ticket
from core.server.writer import Answer, Entered, JournalWriter, Order, Submit
from core.threads import OnDeath

HURRY = 0.2
"""Seconds between the answer and the order to store."""


class HastyWriter(JournalWriter[Ticket]):
    """Answers at once, and has tasks stored a moment later."""

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
        threading.Timer(HURRY, super().write, (orders,)).start()


if __name__ == "__main__":
    program.JournalWriter = HastyWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.hasty_server", "Answer before anything is stored.", options.OPTIONS, run))
