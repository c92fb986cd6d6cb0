"""The client's interface for programs: single requests, and streams of them.

Several threads may use one client, also while a stream is read: each call has its own connection.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from core.addresses import Address
from core.client.pipeline import WINDOW, RequestPipeline
from core.client.pool import ConnectionPool
from core.client.requests import CancelRequest, ClientRequest, ResultRequest, StatsRequest, StatusRequest, SubmitRequest
from core.client.values import Accepted, NewSubmission, Refused, Statistics, TaskOutcome, TaskStatus, convert
from core.closeable import Closeable
from core.encryption import Encryption
from core.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    RequestRefused,
    ResultNotReady,
    TaskCancelled,
    TaskFailed,
)
from core.jsontext import Json
from core.model import State
from core.protocol import Reply

CONNECTIONS = 4
REQUESTS_PER_CONNECTION = 100
"""Open requests that justify another connection."""

TIMEOUT = 10.0
PATIENCE = 30.0
RESULT_TIMEOUT = 60.0

Addresses: TypeAlias = str | Address | Sequence[str | Address]


class Client(Closeable):
    """Submits tasks, and reads their state and results.

    Connections are opened on demand.

    Args:
        servers: addresses as `host:port` (several separated by commas) or `Address`.
        token: the token that the servers require.
        timeout: seconds to wait for an answer before another server is asked.
        patience: seconds without a success before a call gives up.
        spread: whether to use the servers in turn instead of always the first that works.
        connections: the most connections for one stream, so that the servers behind a balancer share it.
        tls: the encryption, made with `Encryption.trusting`; None for plain connections.

    Raises:
        ConfigurationError: an address is not valid.
    """

    def __init__(
        self,
        servers: Addresses,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        spread: bool = True,
        connections: int = CONNECTIONS,
        tls: Encryption | None = None,
    ) -> None:
        self._connections = connections
        self._pool = ConnectionPool(_addresses(servers), token, timeout, spread=spread, tls=tls)
        self._patience = patience

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
        requests = (None if submission is None else SubmitRequest(submission) for submission in submissions)
        for request, reply in self._pipeline(window).run(requests):
            yield convert(reply.ok, Accepted) if reply.ok is not None else _refused(request, reply)

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
        requests = (None if task_id is None else ResultRequest(task_id, timeout) for task_id in ids)
        for request, reply in self._pipeline(window).run(requests):
            yield convert(reply.ok, TaskOutcome) if reply.ok is not None else _refused(request, reply)

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
        outcome = self.outcome(task_id, timeout)
        match outcome.state:
            case State.DONE:
                return outcome.result
            case State.FAILED:
                error = outcome.error
                raise TaskFailed(f"{error.type}: {error.message}" if error else f"task {task_id} failed")
            case State.CANCELLED:
                raise TaskCancelled(f"task {task_id} was cancelled")
            case state:
                raise ResultNotReady(f"task {task_id} is {state}: it did not end within {timeout:g} seconds")

    def cancel(self, task_id: str) -> None:
        """Cancel a task before it runs.

        Raises:
            RequestRefused: there is no such task, or it is running or has ended.
            ServerUnavailable: no server answered.
        """
        self._send(CancelRequest(task_id))

    def stats(self) -> Statistics:
        """Return the ledger and the state of all processes.

        Raises:
            ServerUnavailable: no server answered.
        """
        return convert(self._send(StatsRequest()), Statistics)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _pipeline(self, window: int) -> RequestPipeline:
        connections = min(self._connections, max(1, window // REQUESTS_PER_CONNECTION))
        return RequestPipeline(self._pool, self._patience, window, connections)

    def _send(self, request: ClientRequest) -> dict[str, Json]:
        """Send one request, and return the members of its reply."""
        for _, reply in self._pipeline(1).run([request]):
            if reply.ok is not None:
                return reply.ok
            assert reply.error is not None
            if reply.ref is None:
                raise LocalProtocolError(reply.error.message)
            raise RequestRefused(reply.error.code, reply.error.message)
        raise RemoteProtocolError("the request has no answer")


class Handle:
    """A submitted task.

    Attributes:
        id: the task's id.
        state: the task's state when the server answered.
        duplicate: whether the task had been submitted before.
    """

    def __init__(self, client: Client, accepted: Accepted) -> None:
        self._client = client
        self.id = accepted.id
        self.state = accepted.state
        self.duplicate = accepted.duplicate

    def __repr__(self) -> str:
        return f"Handle(id={self.id!r}, state={self.state.value!r}, duplicate={self.duplicate})"

    def result(self, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait for the task's result, and return it; see `Client.result`."""
        return self._client.result(self.id, timeout)

    def outcome(self, timeout: float = 0.0) -> TaskOutcome:
        """Return the task's outcome or current state; see `Client.outcome`."""
        return self._client.outcome(self.id, timeout)

    def status(self) -> TaskStatus:
        """Return where the task is; see `Client.status`."""
        return self._client.status(self.id)

    def cancel(self) -> None:
        """Cancel the task before it runs; see `Client.cancel`."""
        self._client.cancel(self.id)


def _addresses(servers: Addresses) -> list[Address]:
    if isinstance(servers, Address):
        return [servers]
    addresses = servers.split(",") if isinstance(servers, str) else servers
    return [address if isinstance(address, Address) else Address.parse(address) for address in addresses]


def _refused(request: ClientRequest, reply: Reply) -> Refused:
    assert reply.error is not None
    return Refused(request.id, reply.error.code, reply.error.message)
