"""The client: submits tasks over TCP, asks where they are, and waits for what came of them.

It gives every task its id before it first sends it. Whatever is lost on the way is sent again with the same id,
over another connection or to another server, and the servers store it once.
"""

from core.client.client import Client, Handle
from core.client.values import (
    Accepted,
    NewSubmission,
    ProcessStatus,
    Refused,
    RunningOn,
    Statistics,
    TaskOutcome,
    TaskStatus,
)
from core.encryption import Encryption

__all__ = [
    "Accepted",
    "Client",
    "Encryption",
    "Handle",
    "NewSubmission",
    "ProcessStatus",
    "Refused",
    "RunningOn",
    "Statistics",
    "TaskOutcome",
    "TaskStatus",
]
