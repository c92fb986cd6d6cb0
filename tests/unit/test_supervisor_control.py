"""The control channel over a real socket: which requests it accepts, and which it refuses."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from core.errors import SupervisorError
from core.supervisor.control import (
    MAX_REQUEST,
    ControlReply,
    ControlRequest,
    ControlServer,
    DownRequest,
    KillRequest,
    RequestHandler,
    RestartRequest,
    ScaleRequest,
    StartRequest,
    StopRequest,
    SystemStatusRequest,
    operation_name,
    send_request,
)
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.stopping import StopTimeout
from core.supervisor.state import SupervisorState
from core.supervisor.status import StopResult

STATUS = SystemStatusRequest()
TOKEN = "the token"  # noqa: S105 - it opens nothing but this test's own server


def handle(request: ControlRequest) -> StopResult:
    if isinstance(request, DownRequest):
        raise SupervisorError(f"not within {request.stop_timeout}")
    return StopResult(stopped=("s1",))


@contextmanager
def serving(handler: RequestHandler = handle) -> Iterator[SupervisorState]:
    deaths: list[BaseException] = []
    with ControlServer(TOKEN, handler, deaths.append) as server:
        yield SupervisorState(ProcessIdentity(4711, 0.0), str(server.address), TOKEN)
    assert deaths == []


def talk(state: SupervisorState, sent: bytes) -> bytes:
    host, _, port = state.control.partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(1000):
            received += piece
    return received


def test_a_sentis_answered() -> None:
    with serving() as state:
        reply = send_request(state, STATUS, 10.0)
        assert msgspec.json.decode(reply, type=StopResult) == StopResult(stopped=("s1",))


def test_an_error_of_ours_is_sent_to_the_caller() -> None:
    with serving() as state, pytest.raises(SupervisorError, match=r"^not within 3\.5$"):
        send_request(state, DownRequest(stop_timeout=3.5), 10.0)


@pytest.mark.parametrize("token", ["", "wrong", "the token ", "é"])
def test_a_wrong_token_is_refused(token: str) -> None:
    with serving() as state, pytest.raises(SupervisorError, match="the token is wrong"):
        send_request(msgspec.structs.replace(state, token=token), STATUS, 10.0)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"nonsense",
        b"\xff",
        b'{"token": "the token", "op": "rm"}',
        b'{"token": "the token", "op": "status", "x": 1}',
        b'{"token": "the token", "op": "status", "names": []}',
        b'{"token": "the token", "op": "start", "names": ["w1"], "timeout": 3}',
        b'{"token": "the token", "op": "start"}',
    ],
)
def test_an_invalid_sentis_refused(line: bytes) -> None:
    with serving() as state:
        assert b"this is not a valid request" in talk(state, line + b"\n")


@pytest.mark.parametrize(
    ("sent", "members"),
    [
        (SystemStatusRequest(), {}),
        (DownRequest(stop_timeout=3.5), {"timeout": 3.5}),
        (StartRequest(names=("w1",)), {"names": ["w1"], "patience": 600.0}),
        (
            StopRequest(names=("w1",), stop_timeout=StopTimeout(2.0)),
            {"names": ["w1"], "timeout": {"seconds": 2.0, "for_all": True}, "patience": 600.0},
        ),
        (RestartRequest(names=("w1",)), {"names": ["w1"], "timeout": None, "patience": 600.0}),
        (KillRequest(names=("w1",), reply_timeout=9.0), {"names": ["w1"], "patience": 9.0}),
        (ScaleRequest(workers=3), {"servers": None, "workers": 3, "patience": 600.0}),
    ],
)
def test_each_request_has_the_members_that_a_supervisor_reads(sent: ControlRequest, members: dict[str, object]) -> None:
    received: list[ControlRequest] = []

    def keep(request: ControlRequest) -> ControlReply:
        received.append(request)
        return ControlReply()

    operation = sent.__struct_config__.tag
    assert msgspec.json.decode(msgspec.json.encode(sent)) == {"op": operation, "token": "", **members}
    with serving(keep) as state:
        send_request(state, sent, 10.0)
    assert received == [msgspec.structs.replace(sent, token=TOKEN)]


def test_an_operation_has_the_name_of_its_command() -> None:
    assert operation_name(ScaleRequest(workers=3)) == "scale"


@pytest.mark.parametrize("sent", [b"", b"half a line", b"x" * (MAX_REQUEST + 1)])
def test_a_caller_that_sends_nothing_or_too_much_gets_no_reply(sent: bytes) -> None:
    with serving() as state:
        try:
            assert talk(state, sent) == b""
        except ConnectionError:
            return


def test_a_supervisor_that_is_gone_is_an_error() -> None:
    with serving() as state:
        pass
    with pytest.raises(SupervisorError, match="doesn't answer"):
        send_request(state, STATUS, 10.0)


def test_a_slow_caller_holds_up_no_other() -> None:
    with serving() as state:
        host, _, port = state.control.partition(":")
        with socket.create_connection((host, int(port)), 10):
            assert send_request(state, STATUS, 10.0)
