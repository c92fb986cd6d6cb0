"""What the clients for threads and for coroutines share: their construction, and what replies mean."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from core.addresses import Address
from core.client.pipeline import Answer
from core.client.pool import ServerPool
from core.client.requests import ClientRequest, ResultRequest, SubmitRequest
from core.client.values import Accepted, NewSubmission, Refused, TaskKind, TaskKinds, TaskOutcome, convert
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

PoolT = TypeVar("PoolT", bound=ServerPool[Any])
T = TypeVar("T", Accepted, TaskOutcome)


class BaseClient(ABC, Generic[PoolT]):
    """A client without its methods.

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
        self._pool = self._make_pool(_addresses(servers), token, timeout, spread=spread, tls=tls)
        self._patience = patience

    @abstractmethod
    def _make_pool(
        self, addresses: Sequence[Address], token: str | None, timeout: float, *, spread: bool, tls: Encryption | None
    ) -> PoolT:
        """Make the pool of connections."""

    def _connection_count(self, window: int) -> int:
        """Return the most connections for a stream with this window."""
        return min(self._connections, max(1, window // REQUESTS_PER_CONNECTION))


class SubmittedTask:
    """A submitted task.

    Attributes:
        id: the task's id.
        state: the task's state when the server answered.
        duplicate: whether the task had been submitted before.
    """

    def __init__(self, accepted: Accepted) -> None:
        self.id = accepted.id
        self.state = accepted.state
        self.duplicate = accepted.duplicate

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, state={self.state.value!r}, duplicate={self.duplicate})"


def submit_requests(submissions: Iterable[NewSubmission | None]) -> Iterator[SubmitRequest | None]:
    """Yield a request for each submission, and None for None."""
    return (None if submission is None else SubmitRequest(submission) for submission in submissions)


def result_requests(ids: Iterable[str | None], timeout: float) -> Iterator[ResultRequest | None]:
    """Yield a request for the outcome of each task, and None for None."""
    return (None if task_id is None else ResultRequest(task_id, timeout) for task_id in ids)


def value_or_refused(answer: Answer, value_type: type[T]) -> T | Refused:
    """Return the value in the answer to a request of a stream, or why the request was refused."""
    request, reply = answer
    if reply.ok is not None:
        return convert(reply.ok, value_type)
    return _refused(request, reply)


def members(reply: Reply) -> dict[str, Json]:
    """Return the members of the reply to a single request.

    Raises:
        LocalProtocolError: the request breaks the protocol's limits, and was not sent.
        RequestRefused: a server refused the request.
    """
    if reply.ok is not None:
        return reply.ok
    assert reply.error is not None
    if reply.ref is None:
        raise LocalProtocolError(reply.error.message)
    raise RequestRefused(reply.error.code, reply.error.message)


def only_kind(found: TaskKinds) -> TaskKind:
    """Return the kind that a server was asked for.

    Raises:
        RemoteProtocolError: it sent another number of kinds.
    """
    if len(found.kinds) != 1:
        raise RemoteProtocolError(f"the server's answer has {len(found.kinds)} kinds in place of one")
    return found.kinds[0]


def result_of(outcome: TaskOutcome, timeout: float) -> Json:
    """Return the result in an outcome.

    Args:
        outcome: the outcome or the current state of a task.
        timeout: the seconds for which it was waited for.

    Raises:
        TaskFailed: the task has failed.
        TaskCancelled: the task was cancelled.
        ResultNotReady: the task has not ended.
    """
    match outcome.state:
        case State.DONE:
            return outcome.result
        case State.FAILED:
            error = outcome.error
            raise TaskFailed(f"{error.type}: {error.message}" if error else f"task {outcome.id} failed")
        case State.CANCELLED:
            raise TaskCancelled(f"task {outcome.id} was cancelled")
        case state:
            raise ResultNotReady(f"task {outcome.id} is {state}: it did not end within {timeout:g} seconds")


def _addresses(servers: Addresses) -> list[Address]:
    if isinstance(servers, Address):
        return [servers]
    addresses = servers.split(",") if isinstance(servers, str) else servers
    return [address if isinstance(address, Address) else Address.parse(address) for address in addresses]


def _refused(request: ClientRequest, reply: Reply) -> Refused:
    assert reply.error is not None
    return Refused(request.id, reply.error.code, reply.error.message)
