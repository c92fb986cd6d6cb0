"""The client: submits tasks over TCP, reads their state, and waits for their outcomes.

Every task has its id before it is first sent. A task that is lost on the way is sent again with the same id,
over another connection or to another server, and is stored once.
"""

from core.client.client import Client, Handle
from core.client.values import (
    Accepted,
    NewSubmission,
    ProcessStatus,
    Refused,
    Statistics,
    TaskOutcome,
    TaskStatus,
)
from core.encryption import Encryption
from core.model import Attempt, AttemptState, OperatorRetry, RunningOn

__all__ = [
    "Accepted",
    "Attempt",
    "AttemptState",
    "Client",
    "Encryption",
    "Handle",
    "NewSubmission",
    "OperatorRetry",
    "ProcessStatus",
    "Refused",
    "RunningOn",
    "Statistics",
    "TaskOutcome",
    "TaskStatus",
]
