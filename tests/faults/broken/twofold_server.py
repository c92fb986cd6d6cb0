"""A server that takes a task which is submitted again for another one, and hands out a second id."""

import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from core.dispatcher import Dispatcher
from core.identifiers import new_id
from core.launch import launch
from core.model import NewTask
from core.repository.base import OpenRepository
from core.server import options, program
from core.server.__main__ import run
from core.server.desk import Ticket
from core.server.writer import Answer, Entered, JournalWriter, Order, Submit
from core.threads import OnDeath


class TwofoldWriter(JournalWriter[Ticket]):
    """Stores once more what is there."""

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        answer: Callable[[Sequence[Answer[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        super().__init__(open_repository, make_dispatcher, owner, self._answer_or_store, on_death)
        self._answer_now = answer
        self._tasks: dict[str, NewTask] = {}

    def write(self, orders: Sequence[Order[Ticket]]) -> None:
        """Have all written, and remember it."""
        self._tasks.update({order.task.id: order.task for order in orders if isinstance(order, Submit)})
        super().write(orders)

    def _answer_or_store(self, answers: Sequence[Answer[Ticket]]) -> None:
        again = [each for each in answers if isinstance(each, Entered) and each.receipt.duplicate]
        for each in again:
            task = msgspec.structs.replace(self._tasks[each.receipt.id], id=new_id(time.time()))
            self.write([Submit(each.ticket, task)])
        self._answer_now([each for each in answers if each not in again])


if __name__ == "__main__":
    program.JournalWriter = TwofoldWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.twofold_server", "Store twice what comes twice.", options.OPTIONS, run))
