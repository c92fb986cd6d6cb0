"""The client: submits tasks over TCP, reads their state, and waits for their outcomes.

Every task has its id before it is first sent. A task that is lost on the way is sent again with the same id,
over another connection or to another server, and is stored once.
"""

from typing import TYPE_CHECKING

from core.client.client import Client, Handle
from core.client.values import (
    Accepted,
    NewSubmission,
    ProcessStatus,
    Refused,
    Statistics,
    TaskKind,
    TaskOutcome,
    TaskStatus,
)
from core.encryption import Encryption
from core.model import Attempt, AttemptState, Note, OperatorRetry, RunningOn, TaskProgress

if TYPE_CHECKING:
    from core.client.async_client import AsyncClient, AsyncHandle

__all__ = [
    "Accepted",
    "AsyncClient",
    "AsyncHandle",
    "Attempt",
    "AttemptState",
    "Client",
    "Encryption",
    "Handle",
    "NewSubmission",
    "Note",
    "OperatorRetry",
    "ProcessStatus",
    "Refused",
    "RunningOn",
    "Statistics",
    "TaskKind",
    "TaskOutcome",
    "TaskProgress",
    "TaskStatus",
]


def __getattr__(name: str) -> object:
    """Import the client for event loops when it is asked for: programs without one start faster without asyncio."""
    if name in {"AsyncClient", "AsyncHandle"}:
        from core.client import async_client

        return getattr(async_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
