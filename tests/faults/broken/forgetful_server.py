"""A server that answers *accepted* and forgets every so many-th task."""

import itertools
import sys
from collections.abc import Sequence

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.handler import Ticket
from core.server.journal_writer import WriteRequest, WriteTask
from tests.faults.broken.intercepting import InterceptingWriter, accepted

EVERY = 50


class ForgetfulWriter(InterceptingWriter):
    """Stores most tasks."""

    _numbers = itertools.count(1)

    def write(self, orders: Sequence[WriteRequest[Ticket]]) -> None:
        """Have all written but some, and answer as if they were."""
        kept = []
        for order in orders:
            if isinstance(order, WriteTask) and next(self._numbers) % EVERY == 0:
                self.answer_now(accepted([order]))
            else:
                kept.append(order)
        super().write(kept)


if __name__ == "__main__":
    program.JournalWriter = ForgetfulWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.forgetful_server", "Forget some tasks.", options.OPTIONS, run))
