"""Submits tasks beside those of the honest client, into the same record."""

from collections.abc import Iterable, Sequence

from core.addresses import Address
from core.client import Accepted, Client, NewSubmission
from tests.faults.submission_log import SubmissionLog

PATIENCE = 60.0


def send(servers: Sequence[Address], log: SubmissionLog, tasks: Iterable[NewSubmission]) -> int:
    """Submit tasks. Returns the number of accepted tasks.

    Args:
        servers: to submit to.
        log: records what is sent and the answers.
        tasks: with ids.
    """
    submissions = list(tasks)
    log.record_sent(task.id or "?" for task in submissions)
    answers: list[tuple[str, str]] = []
    with Client(servers, patience=PATIENCE) as client:
        for answer in client.submit_many(submissions):
            accepted = isinstance(answer, Accepted)
            answers.append((answer.id, "accepted" if accepted else str(getattr(answer, "code", "?"))))
    log.record_answers(answers)
    return sum(answer == "accepted" for _, answer in answers)
