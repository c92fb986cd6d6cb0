"""The kinds of task that the campaign's workers run. Each run leaves a line in a file, whoever is killed after it.

The result is a function of the payload, so that a stored outcome can be checked without asking who made it.
"""

import hashlib
import os

from core.jsontext import Json
from core.tasks import TaskContext, task


def result_of(number: int) -> str:
    """What a task of this number has to store."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


def leave_trace(file: str, word: str) -> None:
    """Append a line in one piece, whoever else does so at the same time."""
    descriptor = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, f"{word}\n".encode())
    finally:
        os.close(descriptor)


@task
def honest(payload: Json, context: TaskContext) -> str:
    """Leave a trace, take some time, and tell the result."""
    leave_trace(payload["trace"], context.id)
    if payload.get("seconds"):
        context.wait(payload["seconds"])
    return result_of(payload["number"])
