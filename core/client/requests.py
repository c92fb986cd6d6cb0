"""The requests that the client makes, each until its final reply. This module opens no socket.

Every request can be repeated without harm: a submission has its id from the start, the others only read,
or cancel a task that may already be cancelled.
"""

from abc import ABC, abstractmethod

from core.client.values import NewSubmission
from core.identifiers import new_id
from core.model import ENDED
from core.protocol import ClientConnection, Ref, Reply

MAX_WAIT = 20.0
"""Longest wait for a result in one request, in seconds, so that no balancer on the way sees an idle connection."""


class ClientRequest(ABC):
    """A request and its state until the final reply.

    Attributes:
        id: the id of the task that it concerns, or an empty string when it concerns none.
        wait: seconds for which the server was asked to hold back the reply.
        size: the size of the line last sent, in bytes.
    """

    __slots__ = ("id", "size", "wait")

    def __init__(self, task_id: str) -> None:
        self.id = task_id
        self.wait = 0.0
        self.size = 0

    @abstractmethod
    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line to send.

        Args:
            protocol: the protocol of the connection to send it on.
            ref: the ref of the request on that connection.
            now: the time of the monotonic clock.
            wall_time: seconds since the epoch.

        Raises:
            LocalProtocolError: the request can't be sent.
        """

    def is_final(self, reply: Reply, now: float) -> bool:
        """Return whether the reply is final; otherwise the request is repeated."""
        return True


class SubmitRequest(ClientRequest):
    """A request to submit a task."""

    __slots__ = ("_sent", "_submission")

    def __init__(self, submission: NewSubmission, now: float | None = None) -> None:
        super().__init__(new_id(now) if submission.id is None else submission.id)
        self._submission = submission
        self._sent: float | None = None

    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line. A repeated line bears the time of the first."""
        if self._sent is None:
            self._sent = wall_time
        task = self._submission
        return protocol.submit(
            ref,
            task.payload,
            task_id=self.id,
            kind=task.kind,
            delay=task.delay,
            retries=task.retries,
            sent=self._sent,
        )


class ResultRequest(ClientRequest):
    """A request for the outcome of a task, repeated until the task has ended or the timeout has passed."""

    __slots__ = ("_deadline", "_timeout")

    def __init__(self, task_id: str, timeout: float) -> None:
        super().__init__(task_id)
        self._timeout = timeout
        self._deadline: float | None = None

    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line. The timeout begins with the first line."""
        if self._deadline is None:
            self._deadline = now + self._timeout
        self.wait = max(0.0, min(self._deadline - now, MAX_WAIT, protocol.limits.max_wait))
        return protocol.result(ref, self.id, self.wait)

    def is_final(self, reply: Reply, now: float) -> bool:
        """Return whether the task has ended or the timeout has passed."""
        if reply.ok is None or reply.ok.get("state") in ENDED:
            return True
        return self._deadline is None or now >= self._deadline


class StatusRequest(ClientRequest):
    """A request for the status of a task."""

    __slots__ = ()

    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line."""
        return protocol.status(ref, self.id)


class CancelRequest(ClientRequest):
    """A request to cancel a task."""

    __slots__ = ()

    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line."""
        return protocol.cancel(ref, self.id)


class KindsRequest(ClientRequest):
    """A request for the kinds of task, or for one."""

    __slots__ = ("_kind",)

    def __init__(self, kind: str | None = None) -> None:
        super().__init__("")
        self._kind = kind

    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line."""
        return protocol.kinds(ref, self._kind)


class StatsRequest(ClientRequest):
    """A request for the statistics."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("")

    def encode(self, protocol: ClientConnection, ref: Ref, now: float, wall_time: float) -> bytes:
        """Return the line."""
        return protocol.stats(ref)
