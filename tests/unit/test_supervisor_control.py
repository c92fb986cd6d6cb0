"""The control channel over a real socket: who is answered, and who isn't."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from core.errors import SupervisorError
from core.supervisor.control import LONGEST_LINE, Answering, ControlRequest, ControlServer, ask
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import SupervisorState
from core.supervisor.status import StopResult

STATUS = ControlRequest("", "status")
TOKEN = "the token"  # noqa: S105 - it opens nothing but this test's own server


def answer(request: ControlRequest) -> StopResult:
    if request.op == "down":
        raise SupervisorError(f"not within {request.timeout}")
    return StopResult(stopped=("s1",))


@contextmanager
def serving(answering: Answering = answer) -> Iterator[SupervisorState]:
    deaths: list[BaseException] = []
    with ControlServer(TOKEN, answering, deaths.append) as server:
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


def test_a_request_is_answered() -> None:
    with serving() as state:
        assert msgspec.json.decode(ask(state, STATUS, 10.0), type=StopResult) == StopResult(stopped=("s1",))


def test_an_error_of_ours_is_told_to_the_caller() -> None:
    with serving() as state, pytest.raises(SupervisorError, match=r"^not within 3\.5$"):
        ask(state, ControlRequest("", "down", timeout=3.5), 10.0)


@pytest.mark.parametrize("token", ["", "wrong", "the token ", "é"])
def test_a_wrong_token_is_refused(token: str) -> None:
    with serving() as state, pytest.raises(SupervisorError, match="the token is wrong"):
        ask(msgspec.structs.replace(state, token=token), STATUS, 10.0)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"nonsense",
        b"\xff",
        b'{"token": "the token", "op": "rm"}',
        b'{"token": "the token", "op": "status", "x": 1}',
    ],
)
def test_what_is_no_request_is_refused(line: bytes) -> None:
    with serving() as state:
        assert b"this is no request" in talk(state, line + b"\n")


@pytest.mark.parametrize("sent", [b"", b"half a line", b"x" * (LONGEST_LINE + 1)])
def test_who_says_nothing_or_too_much_gets_no_answer(sent: bytes) -> None:
    with serving() as state:
        try:
            assert talk(state, sent) == b""
        except ConnectionError:
            return


def test_a_supervisor_that_is_gone_is_told_so() -> None:
    with serving() as state:
        pass
    with pytest.raises(SupervisorError, match="doesn't answer"):
        ask(state, STATUS, 10.0)


def test_one_slow_caller_holds_up_nobody() -> None:
    with serving() as state:
        host, _, port = state.control.partition(":")
        with socket.create_connection((host, int(port)), 10):
            assert ask(state, STATUS, 10.0)
