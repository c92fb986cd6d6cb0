"""What the client asks of a server: each kind of request, until it has its final answer. No socket here.

All of them may be asked again without harm: a submission has its id from the start, and the rest only look,
or cancel what may be cancelled twice.
"""

from abc import ABC, abstractmethod

from core.client.values import NewSubmission
from core.identifiers import new_id
from core.model import ENDED
from core.protocol import ClientConnection, Ref, Reply

LONGEST_WAIT = 20.0
"""Seconds that a server is asked to wait for a result at a time: nothing on the way takes the connection for idle."""


class ClientRequest(ABC):
    """One thing to ask.

    Attributes:
        id: of the task that it is about; empty when it is about none.
        wait: how many seconds the server has been asked to take its time.
        size: of the line that was sent, in bytes.
    """

    __slots__ = ("id", "size", "wait")

    def __init__(self, task_id: str) -> None:
        self.id = task_id
        self.wait = 0.0
        self.size = 0

    @abstractmethod
    def line(self, protocol: ClientConnection, ref: Ref, now: float, wall: float) -> bytes:
        """Make the line to send.

        Args:
            protocol: of the connection that it goes over.
            ref: what it is called there.
            now: of the monotonic clock.
            wall: seconds since the epoch.

        Raises:
            LocalProtocolError: it can't be sent.
        """

    def is_final(self, reply: Reply, now: float) -> bool:
        """Whether the reply settles it; otherwise it is asked again."""
        return True


class SubmitRequest(ClientRequest):
    """Take this task."""

    __slots__ = ("_sent", "_submission")

    def __init__(self, submission: NewSubmission, now: float | None = None) -> None:
        super().__init__(submission.id or new_id(now))
        self._submission = submission
        self._sent: float | None = None

    def line(self, protocol: ClientConnection, ref: Ref, now: float, wall: float) -> bytes:
        """Make the line. However often it is sent, it bears the time of the first."""
        if self._sent is None:
            self._sent = wall
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
    """What came of this task? Asked until it has ended, or the time to wait is over."""

    __slots__ = ("_deadline", "_timeout")

    def __init__(self, task_id: str, timeout: float) -> None:
        super().__init__(task_id)
        self._timeout = timeout
        self._deadline: float | None = None

    def line(self, protocol: ClientConnection, ref: Ref, now: float, wall: float) -> bytes:
        """Make the line. The time to wait begins with the first."""
        if self._deadline is None:
            self._deadline = now + self._timeout
        self.wait = max(0.0, min(self._deadline - now, LONGEST_WAIT, protocol.limits.max_wait))
        return protocol.result(ref, self.id, self.wait)

    def is_final(self, reply: Reply, now: float) -> bool:
        """Whether the task has ended, or is not waited for any longer."""
        if reply.ok is None or reply.ok.get("state") in ENDED:
            return True
        return self._deadline is None or now >= self._deadline


class StatusRequest(ClientRequest):
    """Where is this task?"""

    __slots__ = ()

    def line(self, protocol: ClientConnection, ref: Ref, now: float, wall: float) -> bytes:
        """Make the line."""
        return protocol.status(ref, self.id)


class CancelRequest(ClientRequest):
    """Take this task back before it runs."""

    __slots__ = ()

    def line(self, protocol: ClientConnection, ref: Ref, now: float, wall: float) -> bytes:
        """Make the line."""
        return protocol.cancel(ref, self.id)


class StatsRequest(ClientRequest):
    """How is everything?"""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("")

    def line(self, protocol: ClientConnection, ref: Ref, now: float, wall: float) -> bytes:
        """Make the line."""
        return protocol.stats(ref)
