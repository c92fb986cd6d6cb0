"""The part of a system under test that a server and a client are elsewhere: requests and replies, without a socket.

The lines are those of the protocol, so that a test sees the limits and refusals of a real server.
"""

from core.client.base import members
from core.client.requests import ClientRequest
from core.errors import LocalProtocolError
from core.jsontext import Json
from core.model import NewTask, State, Task
from core.protocol import Cancel, ClientConnection, ErrorCode, Limits, Refusal, Reply, ServerConnection, Submit
from core.protocol.requests import Ref, Request, Result, Status
from core.repository.base import Repository
from core.server import reply_members
from core.server.handler import new_task
from core.task_state import task_state
from core.testing.clock import Clock


class LocalServer:
    """Answers the requests of one client from the journal.

    Args:
        repository: the journal.
        clock: the clock.
    """

    def __init__(self, repository: Repository, clock: Clock) -> None:
        self._repository = repository
        self._clock = clock
        self._client_end = ClientConnection()
        self._server_end = ServerConnection(server="here", limits=Limits())
        self._requests = 0

    def ask(self, request: ClientRequest) -> dict[str, Json]:
        """Send a request, and return the members of the reply.

        Raises:
            RequestRefused: the request was refused.
            LocalProtocolError: it breaks the protocol's limits.
        """
        self._requests += 1
        line = request.encode(self._client_end, self._requests, self._clock.now, self._clock.now)
        [event] = self._server_end.receive(line)
        [reply] = self._client_end.receive(event.reply if isinstance(event, Refusal) else self._answer(event))
        assert isinstance(reply, Reply)
        return members(reply)

    def _answer(self, request: Request) -> bytes:
        match request:
            case Submit():
                return self._accept(request.ref, new_task(request, self._clock.now))
            case Cancel(id=task_id):
                return self._cancel(request.ref, task_id)
            case Status(id=task_id) | Result(id=task_id):
                found = self._repository.find_all([task_id])
                return self._describe(request, found[0]) if found else self._unknown(request.ref, task_id)
            case _:
                raise LocalProtocolError(f"a system under test has no answer to {type(request).__name__}")

    def _accept(self, ref: Ref, task: NewTask) -> bytes:
        with self._repository.transaction():
            [accepted] = self._repository.accept([task], None, self._clock.now)
        self._clock.add_alarm(task.due_at)
        if accepted.conflict:
            return self._server_end.error(ref, ErrorCode.CONFLICT, f"id {accepted.id} was used for another task")
        reply = reply_members.submitted(accepted.id, accepted.state, duplicate=accepted.duplicate)
        return self._server_end.ok(ref, reply)

    def _cancel(self, ref: Ref, task_id: str) -> bytes:
        with self._repository.transaction():
            state = self._repository.cancel(task_id, self._clock.now)
        if state is None:
            return self._unknown(ref, task_id)
        if state not in {State.CANCELLED, State.CANCELLING}:
            return self._server_end.error(ref, ErrorCode.NOT_CANCELLABLE, f"the task is {state}")
        return self._server_end.ok(ref, {"id": task_id, "state": state})

    def _describe(self, request: Status | Result, task: Task) -> bytes:
        state = task_state(task, {})
        if isinstance(request, Result):
            return self._server_end.ok(request.ref, reply_members.result(task, state))
        former = self._repository.former_attempts([task.seq]).get(task.seq, ())
        note = reply_members.waits_for(task, "", self._clock.now)
        return self._server_end.ok(request.ref, reply_members.status(task, state, former, note))

    def _unknown(self, ref: Ref, task_id: str) -> bytes:
        return self._server_end.error(ref, ErrorCode.NOT_FOUND, f"there is no task {task_id}")
