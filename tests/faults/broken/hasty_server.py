"""A server that answers before it has stored."""

import sys
import threading
from collections.abc import Sequence

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.handler import Ticket
from core.server.journal_writer import WriteRequest, WriteResult
from tests.faults.broken.intercepting import InterceptingWriter, accepted

HURRY = 0.2
"""Seconds between the answer and the order to store."""


class HastyWriter(InterceptingWriter):
    """Answers at once, and has tasks stored a moment later."""

    def intercept(self, answers: Sequence[WriteResult[Ticket]]) -> None:
        """Say nothing: all was said."""

    def write(self, orders: Sequence[WriteRequest[Ticket]]) -> None:
        """Answer, and store later."""
        self.answer_now(accepted(orders))
        threading.Timer(HURRY, super().write, (orders,)).start()


if __name__ == "__main__":
    program.JournalWriter = HastyWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.hasty_server", "Answer before anything is stored.", options.OPTIONS, run))
