"""The client's interface for programs: single requests, and streams of them.

Several threads may use one client, also while a stream is read: each call has its own connection.
"""

from collections.abc import Iterable, Iterator, Sequence

from core.addresses import Address
from core.client.base import (
    RESULT_TIMEOUT,
    BaseClient,
    SubmittedTask,
    members,
    only_kind,
    result_of,
    result_requests,
    submit_requests,
    value_or_refused,
)
from core.client.blocking_pipeline import BlockingPipeline
from core.client.pipeline import WINDOW
from core.client.pool import ConnectionPool
from core.client.requests import (
    CancelRequest,
    ClientRequest,
    KindsRequest,
    ResultRequest,
    StatsRequest,
    StatusRequest,
    SubmitRequest,
)
from core.client.values import (
    Accepted,
    NewSubmission,
    Refused,
    Statistics,
    TaskKind,
    TaskKinds,
    TaskOutcome,
    TaskStatus,
    convert,
)
from core.closeable import Closeable
from core.encryption import Encryption
from core.errors import RemoteProtocolError
from core.jsontext import Json
from core.model import State


class Client(BaseClient[ConnectionPool], Closeable):
    """Submits tasks, and reads their state and results; the arguments are those of `BaseClient`.

    Connections are opened on demand.
    """

    def submit(
        self,
        kind: str | None = None,
        payload: Json = None,
        *,
        id: str | None = None,
        delay: float = 0.0,
        retries: int | None = None,
    ) -> "Handle":
        """Submit one task.

        Args:
            kind: the kind of the task; None for the server's default.
            payload: the input of the task, any JSON value.
            id: your own id, with which the task can be submitted again without running twice.
            delay: seconds to wait before the task may run.
            retries: how often a failed attempt is repeated; None for the default of the kind.

        Raises:
            RequestRefused: a server refused the task.
            LocalProtocolError: the task breaks the protocol's limits, and was not sent.
            ServerUnavailable: no server answered.
        """
        request = SubmitRequest(NewSubmission(kind, payload, id, delay, retries))
        return Handle(self, convert(self._send(request), Accepted))

    def submit_many(
        self, submissions: Iterable[NewSubmission | None], *, window: int = WINDOW
    ) -> Iterator[Accepted | Refused]:
        """Submit a stream of tasks, many at a time, and yield the answers as they come.

        At most a window of tasks is held in memory. The stream must be read to its end.

        Args:
            submissions: the tasks. A None among them shows that there are no more for now: the tasks so far are sent.
            window: the most tasks that may be without an answer.

        Raises:
            ServerUnavailable: no server answered; the tasks accepted before are stored.
        """
        for answer in self._pipeline(window).run(submit_requests(submissions)):
            yield value_or_refused(answer, Accepted)

    def results(
        self, ids: Iterable[str | None], *, timeout: float = RESULT_TIMEOUT, window: int = WINDOW
    ) -> Iterator[TaskOutcome | Refused]:
        """Wait for a stream of tasks, many at a time, and yield the outcome of each as soon as it has ended.

        At most a window of tasks is held in memory.

        Args:
            ids: the ids of the tasks. A None among them shows that there are no more for now.
            timeout: seconds to wait for each task, from its first request on;
                after that it is yielded with its current state.
            window: the most tasks to wait for at once.

        Raises:
            ServerUnavailable: no server answered.
        """
        for answer in self._pipeline(window).run(result_requests(ids, timeout)):
            yield value_or_refused(answer, TaskOutcome)

    def status(self, task_id: str) -> TaskStatus:
        """Return where a task is, and its timeline.

        Raises:
            RequestRefused: there is no such task.
            ServerUnavailable: no server answered.
        """
        return convert(self._send(StatusRequest(task_id)), TaskStatus)

    def outcome(self, task_id: str, timeout: float = 0.0) -> TaskOutcome:
        """Wait up to `timeout` seconds for a task to end, and return its outcome or current state.

        Raises:
            RequestRefused: there is no such task.
            ServerUnavailable: no server answered.
        """
        return convert(self._send(ResultRequest(task_id, timeout)), TaskOutcome)

    def result(self, task_id: str, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait up to `timeout` seconds for a task's result, and return it.

        Raises:
            TaskFailed: the task has failed.
            TaskCancelled: the task was cancelled.
            ResultNotReady: the task has not ended in time.
            RequestRefused: there is no such task.
            ServerUnavailable: no server answered.
        """
        return result_of(self.outcome(task_id, timeout), timeout)

    def cancel(self, task_id: str) -> State:
        """Cancel a task.

        One that runs is asked to stop, and ended with its process when it does not stop within seconds. It is not
        tried again, but a result that it still returns stands.

        Returns:
            `State.CANCELLED`, or `State.CANCELLING` for a task that runs: `result` waits until it has stopped.

        Raises:
            RequestRefused: there is no such task, or it has ended.
            ServerUnavailable: no server answered.
        """
        return convert(self._send(CancelRequest(task_id)), TaskOutcome).state

    def stats(self) -> Statistics:
        """Return the ledger and the state of all processes.

        Raises:
            ServerUnavailable: no server answered.
        """
        return convert(self._send(StatsRequest()), Statistics)

    def kinds(self) -> tuple[TaskKind, ...]:
        """Return the kinds of task that workers have told of, without their schemas.

        Raises:
            ServerUnavailable: no server answered.
        """
        return convert(self._send(KindsRequest()), TaskKinds).kinds

    def describe(self, kind: str) -> TaskKind:
        """Return what is known of a kind of task, with the JSON schema of its payloads.

        Raises:
            RequestRefused: no worker has told of it.
            LocalProtocolError: it is no name of a kind, and was not sent.
            ServerUnavailable: no server answered.
        """
        return only_kind(convert(self._send(KindsRequest(kind)), TaskKinds))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _make_pool(
        self, addresses: Sequence[Address], token: str | None, timeout: float, *, spread: bool, tls: Encryption | None
    ) -> ConnectionPool:
        return ConnectionPool(addresses, token, timeout, spread=spread, tls=tls)

    def _pipeline(self, window: int) -> BlockingPipeline:
        return BlockingPipeline(self._pool, self._patience, window, self._connection_count(window))

    def _send(self, request: ClientRequest) -> dict[str, Json]:
        """Send one request, and return the members of its reply."""
        for _, reply in self._pipeline(1).run([request]):
            return members(reply)
        raise RemoteProtocolError("the request has no answer")


class Handle(SubmittedTask):
    """A submitted task, and the methods of its client for it."""

    def __init__(self, client: Client, accepted: Accepted) -> None:
        super().__init__(accepted)
        self._client = client

    def result(self, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait for the task's result, and return it; see `Client.result`."""
        return self._client.result(self.id, timeout)

    def outcome(self, timeout: float = 0.0) -> TaskOutcome:
        """Return the task's outcome or current state; see `Client.outcome`."""
        return self._client.outcome(self.id, timeout)

    def status(self) -> TaskStatus:
        """Return where the task is; see `Client.status`."""
        return self._client.status(self.id)

    def cancel(self) -> State:
        """Cancel the task; see `Client.cancel`."""
        return self._client.cancel(self.id)
