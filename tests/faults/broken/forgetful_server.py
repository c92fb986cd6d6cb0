"""A server that replies *accepted* and forgets one task in fifty."""

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
    """Stores most tasks, and reports all as stored."""

    _numbers = itertools.count(1)

    def write(self, requests: Sequence[WriteRequest[Ticket]]) -> None:
        """Write all requests but some, and deliver results for all."""
        kept = []
        for request in requests:
            if isinstance(request, WriteTask) and next(self._numbers) % EVERY == 0:
                self.deliver(accepted([request]))
            else:
                kept.append(request)
        super().write(kept)


if __name__ == "__main__":
    program.JournalWriter = ForgetfulWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.forgetful_server", "Forget some tasks.", options.OPTIONS, run))
