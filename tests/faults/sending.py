"""Submits tasks beside those of the driver, and notes them in the same ledger."""

from collections.abc import Iterable, Sequence

from core.addresses import Address
from core.client import Accepted, Client, NewSubmission
from tests.faults.ledger import Ledger

PATIENCE = 60.0


def send(servers: Sequence[Address], ledger: Ledger, tasks: Iterable[NewSubmission]) -> int:
    """Submit tasks that have ids; how many were accepted.

    Args:
        servers: where to.
        ledger: takes what happens.
        tasks: each with an id.
    """
    wanted = list(tasks)
    ledger.sending(task.id or "?" for task in wanted)
    words: list[tuple[str, str]] = []
    with Client(servers, patience=PATIENCE) as client:
        for answer in client.submit_many(wanted):
            accepted = isinstance(answer, Accepted)
            words.append((answer.id, "accepted" if accepted else str(getattr(answer, "code", "?"))))
    ledger.answered(words)
    return sum(word == "accepted" for _, word in words)
