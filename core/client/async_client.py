"""The client's interface for programs with an event loop: the methods of `Client`, as coroutines and streams.

Several coroutines of one event loop may use a client, also while a stream is read: each call has its own connection.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from core.addresses import Address
from core.client.async_pipeline import AsyncPipeline
from core.client.async_pool import AsyncConnectionPool
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
from core.client.pipeline import WINDOW
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
from core.encryption import Encryption
from core.errors import RemoteProtocolError
from core.jsontext import Json
from core.model import State


class AsyncClient(BaseClient[AsyncConnectionPool]):
    """Submits tasks, and reads their state and results; the arguments are those of `BaseClient`.

    Each method takes the arguments, and raises the errors, of the method of `Client` with the same name.
    A coroutine that waits in one may be cancelled: the client stays usable. Its request may have reached a server.
    A client belongs to one event loop.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def submit(
        self,
        kind: str | None = None,
        payload: Json = None,
        *,
        id: str | None = None,
        delay: float = 0.0,
        retries: int | None = None,
    ) -> "AsyncHandle":
        """Submit one task; see `Client.submit`."""
        request = SubmitRequest(NewSubmission(kind, payload, id, delay, retries))
        return AsyncHandle(self, convert(await self._send(request), Accepted))

    async def submit_many(
        self, submissions: Iterable[NewSubmission | None], *, window: int = WINDOW
    ) -> AsyncGenerator[Accepted | Refused]:
        """Submit a stream of tasks, many at a time, and yield the answers as they come; see `Client.submit_many`."""
        async with aclosing(self._pipeline(window).run(submit_requests(submissions))) as answers:
            async for answer in answers:
                yield value_or_refused(answer, Accepted)

    async def results(
        self, ids: Iterable[str | None], *, timeout: float = RESULT_TIMEOUT, window: int = WINDOW
    ) -> AsyncGenerator[TaskOutcome | Refused]:
        """Wait for a stream of tasks, and yield the outcome of each as soon as it has ended; see `Client.results`."""
        async with aclosing(self._pipeline(window).run(result_requests(ids, timeout))) as answers:
            async for answer in answers:
                yield value_or_refused(answer, TaskOutcome)

    async def status(self, task_id: str) -> TaskStatus:
        """Return where a task is, and its timeline; see `Client.status`."""
        return convert(await self._send(StatusRequest(task_id)), TaskStatus)

    async def outcome(self, task_id: str, timeout: float = 0.0) -> TaskOutcome:
        """Wait for a task to end, and return its outcome or current state; see `Client.outcome`."""
        return convert(await self._send(ResultRequest(task_id, timeout)), TaskOutcome)

    async def result(self, task_id: str, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait for a task's result, and return it; see `Client.result`."""
        return result_of(await self.outcome(task_id, timeout), timeout)

    async def cancel(self, task_id: str) -> State:
        """Cancel a task; see `Client.cancel`."""
        return convert(await self._send(CancelRequest(task_id)), TaskOutcome).state

    async def stats(self) -> Statistics:
        """Return the ledger and the state of all processes; see `Client.stats`."""
        return convert(await self._send(StatsRequest()), Statistics)

    async def kinds(self) -> tuple[TaskKind, ...]:
        """Return the kinds of task that workers have told of, without their schemas; see `Client.kinds`."""
        return convert(await self._send(KindsRequest()), TaskKinds).kinds

    async def describe(self, kind: str) -> TaskKind:
        """Return what is known of a kind of task; see `Client.describe`."""
        return only_kind(convert(await self._send(KindsRequest(kind)), TaskKinds))

    async def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._pool.close()

    def _make_pool(
        self, addresses: Sequence[Address], token: str | None, timeout: float, *, spread: bool, tls: Encryption | None
    ) -> AsyncConnectionPool:
        return AsyncConnectionPool(addresses, token, timeout, spread=spread, tls=tls)

    def _pipeline(self, window: int) -> AsyncPipeline:
        return AsyncPipeline(self._pool, self._patience, window, self._connection_count(window))

    async def _send(self, request: ClientRequest) -> dict[str, Json]:
        """Send one request, and return the members of its reply."""
        async with aclosing(self._pipeline(1).run([request])) as answers:
            async for _, reply in answers:
                return members(reply)
        raise RemoteProtocolError("the request has no answer")


class AsyncHandle(SubmittedTask):
    """A submitted task, and the methods of its client for it."""

    def __init__(self, client: AsyncClient, accepted: Accepted) -> None:
        super().__init__(accepted)
        self._client = client

    async def result(self, timeout: float = RESULT_TIMEOUT) -> Json:
        """Wait for the task's result, and return it; see `Client.result`."""
        return await self._client.result(self.id, timeout)

    async def outcome(self, timeout: float = 0.0) -> TaskOutcome:
        """Return the task's outcome or current state; see `Client.outcome`."""
        return await self._client.outcome(self.id, timeout)

    async def status(self) -> TaskStatus:
        """Return where the task is; see `Client.status`."""
        return await self._client.status(self.id)

    async def cancel(self) -> State:
        """Cancel the task; see `Client.cancel`."""
        return await self._client.cancel(self.id)
