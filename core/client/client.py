"""The client as a whole: what a program asks of the system, one thing at a time or in streams.

It may be used by several threads, also while a stream is being read: each call has a connection of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from core.addresses import Address
from core.client.pipeline import WINDOW, RequestPipeline
from core.client.pool import ConnectionPool
from core.client.requests import CancelRequest, ClientRequest, ResultRequest, StatsRequest, StatusRequest, SubmitRequest
from core.client.values import Accepted, NewSubmission, Refused, Statistics, TaskOutcome, TaskStatus, read
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
WORTH_A_CONNECTION = 100
"""For so many open requests a connection of their own is worth while."""

TIMEOUT = 10.0
PATIENCE = 30.0
RESULT_TIMEOUT = 60.0

Addresses: TypeAlias = str | Address | Sequence[str | Address]


class Client(Closeable):
    """Submits tasks and asks for them.

    Connections are made when they are needed.

    Args:
        servers: where to connect to: addresses as `host:port` (several parted by commas) or `Address`.
        token: what the servers want to be shown.
        timeout: how many seconds an answer may take before another server is asked.
        patience: how many seconds of nothing but trouble are borne.
        spread: take turns among the servers; otherwise the first that works is the one.
        connections: over how many connections a stream is spread, so that the servers behind a balancer share it.
        tls: what to encrypt with, as `Encryption.trusting` makes it; None for no encryption.

    Raises:
        ConfigurationError: an address is none.
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
            kind: of the task; the server's default when None.
            payload: what the task is given: any JSON value.
            id: an id of your own, with which it can be submitted again without doing it twice.
            delay: seconds before which it must not run.
            retries: how often a failure may be tried again; the kind's own number when None.

        Raises:
            RequestRefused: a server refused it.
            LocalProtocolError: no server would take it, so it was not sent.
            ServerUnavailable: no server answered.
        """
        ask = SubmitRequest(NewSubmission(kind, payload, id, delay, retries))
        accepted = read(self._answer(ask), Accepted)
        return Handle(self, accepted)

    def submit_many(
        self, submissions: Iterable[NewSubmission | None], *, window: int = WINDOW
    ) -> Iterator[Accepted | Refused]:
        """Submit a stream of tasks, many at a time, and give out the answers in the order in which they come.

        However many there are, only a window full of them is held. The stream has to be read to its end.

        Args:
            submissions: the tasks. None says that there are no more at this moment: what came is sent.
            window: how many may be without an answer.

        Raises:
            ServerUnavailable: no server answered; what was given out before is stored.
        """
        asks = (None if each is None else SubmitRequest(each) for each in submissions)
        for ask, reply in self._exchange(window).answers(asks):
            yield read(reply.ok, Accepted) if reply.ok is not None else _refusal(ask, reply)

    def results(
        self, ids: Iterable[str | None], *, timeout: float = RESULT_TIMEOUT, window: int = WINDOW
    ) -> Iterator[TaskOutcome | Refused]:
        """Wait for a stream of tasks, many at a time, and give out what came of each as soon as it has ended.

        However many there are, only a window full of them is held.

        Args:
            ids: of the tasks. None says that there are no more at this moment.
            timeout: for how many seconds to wait for each, once it is its turn;
                then it is given out with the state in which it is.
            window: how many are waited for at once.

        Raises:
            ServerUnavailable: no server answered.
        """
        asks = (None if each is None else ResultRequest(each, timeout) for each in ids)
        for ask, reply in self._exchange(window).answers(asks):
            yield read(reply.ok, TaskOutcome) if reply.ok is not None else _refusal(ask, reply)

    def status(self, task_id: str) -> TaskStatus:
        """Say where a task is, and how it came there.

        Raises:
            RequestRefused: there is no such task.
            ServerUnavailable: no server answered.
        """
        return read(self._answer(StatusRequest(task_id)), TaskStatus)

    def outcome(self, task_id: str, timeout: float = 0.0) -> TaskOutcome:
        """Say what came of a task, whatever it is; wait up to `timeout` seconds for its end.

        Raises:
            RequestRefused: there is no such task.
            ServerUnavailable: no server answered.
        """
        return read(self._answer(ResultRequest(task_id, timeout)), TaskOutcome)

    def result(self, task_id: str, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait up to `timeout` seconds for a task's result, and return it.

        Raises:
            TaskFailed: it has failed.
            TaskCancelled: it was cancelled.
            ResultNotReady: it has not ended within the time.
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
        """Take a task back before it runs.

        Raises:
            RequestRefused: there is no such task, or it runs already or has ended.
            ServerUnavailable: no server answered.
        """
        self._answer(CancelRequest(task_id))

    def stats(self) -> Statistics:
        """Say how everything is.

        Raises:
            ServerUnavailable: no server answered.
        """
        return read(self._answer(StatsRequest()), Statistics)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _exchange(self, window: int) -> RequestPipeline:
        connections = min(self._connections, max(1, window // WORTH_A_CONNECTION))
        return RequestPipeline(self._pool, self._patience, window, connections)

    def _answer(self, ask: ClientRequest) -> dict[str, Json]:
        """Ask one thing."""
        for _, reply in self._exchange(1).answers([ask]):
            if reply.ok is not None:
                return reply.ok
            assert reply.error is not None
            if reply.ref is None:
                raise LocalProtocolError(reply.error.message)
            raise RequestRefused(reply.error.code, reply.error.message)
        raise RemoteProtocolError("the request has no answer")


class Handle:
    """A task that was submitted.

    Attributes:
        id: of the task.
        state: in which it was when the server answered.
        duplicate: it had been submitted before.
    """

    def __init__(self, client: Client, accepted: Accepted) -> None:
        self._client = client
        self.id = accepted.id
        self.state = accepted.state
        self.duplicate = accepted.duplicate

    def __repr__(self) -> str:
        return f"Handle(id={self.id!r}, state={self.state.value!r}, duplicate={self.duplicate})"

    def result(self, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait for the result; see `Client.result`."""
        return self._client.result(self.id, timeout)

    def outcome(self, timeout: float = 0.0) -> TaskOutcome:
        """Say what came of it; see `Client.outcome`."""
        return self._client.outcome(self.id, timeout)

    def status(self) -> TaskStatus:
        """Say where it is; see `Client.status`."""
        return self._client.status(self.id)

    def cancel(self) -> None:
        """Take it back before it runs; see `Client.cancel`."""
        self._client.cancel(self.id)


def _addresses(servers: Addresses) -> list[Address]:
    if isinstance(servers, Address):
        return [servers]
    each = servers.split(",") if isinstance(servers, str) else servers
    return [one if isinstance(one, Address) else Address.parse(one) for one in each]


def _refusal(ask: ClientRequest, reply: Reply) -> Refused:
    assert reply.error is not None
    return Refused(ask.id, reply.error.code, reply.error.message)
