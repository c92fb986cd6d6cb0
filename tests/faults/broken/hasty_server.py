"""A server that replies before it stores."""

import sys
import threading
from collections.abc import Sequence

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.handler import Ticket
from core.server.journal_writer import WriteRequest, WriteResult
from tests.faults.broken.intercepting import InterceptingWriter, accepted

DELAY = 0.2
"""Seconds between the reply and the storing."""


class HastyWriter(InterceptingWriter):
    """Delivers results at once, and stores the tasks later."""

    def intercept(self, results: Sequence[WriteResult[Ticket]]) -> None:
        """Drop the results: all were delivered already."""

    def write(self, requests: Sequence[WriteRequest[Ticket]]) -> None:
        """Deliver results, and store later."""
        self.deliver(accepted(requests))
        threading.Timer(DELAY, super().write, (requests,)).start()


if __name__ == "__main__":
    program.JournalWriter = HastyWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.hasty_server", "Reply before anything is stored.", options.OPTIONS, run))
