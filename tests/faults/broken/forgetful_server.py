"""A server that answers *accepted* and forgets every so many-th task."""

import itertools
import sys
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

EVERY = 50


class ForgetfulWriter(JournalWriter[Ticket]):
    """Stores most tasks."""

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        answer: Callable[[Sequence[Answer[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        super().__init__(open_repository, make_dispatcher, owner, answer, on_death)
        self._answer_now = answer
        self._numbers = itertools.count(1)

    def write(self, orders: Sequence[Order[Ticket]]) -> None:
        """Have all written but some, and answer as if they were."""
        kept = []
        for order in orders:
            if isinstance(order, Submit) and next(self._numbers) % EVERY == 0:
                receipt = Receipt(id=order.task.id, seq=0, state=State.ACCEPTED)
                self._answer_now([Entered(order.ticket, receipt)])
            else:
                kept.append(order)
        super().write(kept)


if __name__ == "__main__":
    program.JournalWriter = ForgetfulWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.forgetful_server", "Forget some tasks.", options.OPTIONS, run))
