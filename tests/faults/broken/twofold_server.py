"""A server that stores a task that is submitted again a second time, with another id."""

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
    """Stores duplicates as new tasks."""

    _tasks: ClassVar[dict[str, NewTask]] = {}

    def write(self, requests: Sequence[WriteRequest[Ticket]]) -> None:
        """Write all requests, and remember their tasks."""
        self._tasks.update({request.task.id: request.task for request in requests if isinstance(request, WriteTask)})
        super().write(requests)

    def intercept(self, results: Sequence[WriteResult[Ticket]]) -> None:
        """Store duplicates as new tasks, and deliver the other results."""
        again = [each for each in results if isinstance(each, TaskWritten) and each.result.duplicate]
        for each in again:
            task = msgspec.structs.replace(self._tasks[each.result.id], id=new_id(time.time()))
            self.write([WriteTask(each.ticket, task)])
        self.deliver([each for each in results if each not in again])


if __name__ == "__main__":
    program.JournalWriter = TwofoldWriter  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.twofold_server", "Store twice what is sent twice.", options.OPTIONS, run))
