"""A journal's writer whose answers can be held back, changed or given too early: some broken servers are made of it."""

from collections.abc import Callable, Sequence

from core.dispatcher import Dispatcher
from core.model import AcceptResult, State
from core.repository.base import OpenRepository
from core.server.handler import Ticket
from core.server.journal_writer import JournalWriter, TaskWritten, WriteRequest, WriteResult, WriteTask
from core.threads import OnDeath


class InterceptingWriter(JournalWriter[Ticket]):
    """Gives its answers to `intercept`; what clients are to hear goes to `answer_now`."""

    def __init__(
        self,
        open_repository: OpenRepository,
        make_dispatcher: Callable[[], Dispatcher],
        owner: int,
        answer: Callable[[Sequence[WriteResult[Ticket]]], None],
        on_death: OnDeath,
    ) -> None:
        super().__init__(open_repository, make_dispatcher, owner, self.intercept, on_death)
        self.answer_now = answer

    def intercept(self, answers: Sequence[WriteResult[Ticket]]) -> None:
        """Pass them on."""
        self.answer_now(answers)


def accepted(orders: Sequence[WriteRequest[Ticket]]) -> list[WriteResult[Ticket]]:
    """Good answers to all submissions of these, whatever has become of them."""
    return [
        TaskWritten(order.ticket, AcceptResult(id=order.task.id, seq=0, state=State.ACCEPTED))
        for order in orders
        if isinstance(order, WriteTask)
    ]
