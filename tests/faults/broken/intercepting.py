"""A journal writer whose results can be held back, changed or sent too early, for some of the broken servers."""

from collections.abc import Callable, Sequence

from core.dispatcher import Dispatcher
from core.model import AcceptResult, State
from core.repository.base import OpenRepository
from core.server.handler import Ticket
from core.server.journal_writer import JournalWriter, TaskWritten, WriteRequest, WriteResult, WriteTask
from core.threads import OnDeath


class InterceptingWriter(JournalWriter[Ticket]):
    """Passes its results to `intercept`. `deliver` sends results to clients."""

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        on_results: Callable[[Sequence[WriteResult[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        super().__init__(open_repository, make_dispatcher, owner, self.intercept, on_death)
        self.deliver = on_results

    def intercept(self, results: Sequence[WriteResult[Ticket]]) -> None:
        """Pass the results on."""
        self.deliver(results)


def accepted(requests: Sequence[WriteRequest[Ticket]]) -> list[WriteResult[Ticket]]:
    """Return successful results for all submissions among the requests, stored or not."""
    return [
        TaskWritten(request.ticket, AcceptResult(id=request.task.id, seq=0, state=State.ACCEPTED))
        for request in requests
        if isinstance(request, WriteTask)
    ]
