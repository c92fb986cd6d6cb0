"""The kinds of task that the campaign's workers run. Each run adds a line to a file, even if the worker dies next.

The result depends on the payload only, so that a stored outcome can be checked.
"""

import hashlib
import os

from core.jsontext import Json
from core.tasks import TaskContext, task


def result_of(number: int) -> str:
    """Return the result of the task of a number."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


def record_run(file: str, text: str) -> None:
    """Append a line atomically, because several processes do so at the same time."""
    descriptor = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


@task
def honest(payload: Json, context: TaskContext) -> str:
    """Record the run, take some time, and return the result."""
    record_run(payload["trace"], context.id)
    if payload.get("seconds"):
        context.wait(payload["seconds"])
    return result_of(payload["number"])
