"""A server that takes a task which is submitted again for another one, and hands out a second id."""

import sys
import time
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from core.identifiers import new_id
from core.launch import launch
from core.model import NewTask
from core.server import options, program
from core.server.__main__ import run
from core.server.handler import Ticket
from core.server.journal_writer import TaskWritten, WriteRequest, WriteResult, WriteTask
from tests.faults.broken.intercepting import InterceptingWriter


class TwofoldWriter(InterceptingWriter):
    """Stores once more what is there."""

    _tasks: ClassVar[dict[str, NewTask]] = {}

    def write(self, orders: Sequence[WriteRequest[Ticket]]) -> None:
        """Have all written, and remember it."""
        self._tasks.update({order.task.id: order.task for order in orders if isinstance(order, WriteTask)})
        super().write(orders)

    def intercept(self, answers: Sequence[WriteResult[Ticket]]) -> None:
        """Store anew what was known, and answer the rest."""
        again = [each for each in answers if isinstance(each, TaskWritten) and each.receipt.duplicate]
        for each in again:
            task = msgspec.structs.replace(self._tasks[each.receipt.id], id=new_id(time.time()))
            self.write([WriteTask(each.ticket, task)])
        self.answer_now([each for each in answers if each not in again])


if __name__ == "__main__":
    program.JournalWriter = TwofoldWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.twofold_server", "Store twice what comes twice.", options.OPTIONS, run))
