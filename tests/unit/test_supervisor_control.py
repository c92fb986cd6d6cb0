"""The control channel over a real socket: which requests it accepts, and which it refuses."""

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from core.errors import SupervisorError
from core.supervisor import control
from core.supervisor.control import (
    MAX_CONNECTIONS,
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
from tests.services.waiting import wait_until

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


@contextmanager
def strangers(state: SupervisorState, count: int) -> Iterator[list[socket.socket]]:
    """Open connections that begin a request and do not end it."""
    host, _, port = state.control.partition(":")
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.create_connection((host, int(port)), 10)))
            opened[-1].sendall(b"{")
        yield opened


def test_strangers_that_talk_slowly_do_not_keep_the_owner_out() -> None:
    with serving() as state, strangers(state, 3 * MAX_CONNECTIONS) as opened:
        for _ in range(5):
            send_request(state, STATUS, 10.0)
        assert opened[0].recv(10) == b""  # the first ones made room
        for each in opened[-5:]:
            each.sendall(b"}\n")
            assert b"not a valid request" in each.recv(1000)


def test_callers_that_wait_for_their_reply_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 2)
    go = threading.Event()
    entered = threading.Semaphore(0)

    def wait(_: ControlRequest) -> StopResult:
        entered.release()
        assert go.wait(30)
        return StopResult()

    with serving(wait) as state:
        replies: list[bytes] = []
        threads = [threading.Thread(target=lambda: replies.append(send_request(state, STATUS, 30.0))) for _ in range(2)]
        for thread in threads:
            thread.start()
            assert entered.acquire(timeout=30)
        with pytest.raises(SupervisorError):
            send_request(state, STATUS, 10.0)
        go.set()
        for thread in threads:
            thread.join(30)
        assert len(replies) == 2


def test_a_request_has_one_deadline_however_its_pieces_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_TIMEOUT", 0.3)
    with serving() as state, strangers(state, 1) as [slow]:
        slow.settimeout(0.05)
        ended = False
        while not ended:
            with contextlib.suppress(TimeoutError):
                ended = slow.recv(10) == b""
            with contextlib.suppress(OSError):
                slow.sendall(b" ")  # it never pauses for as long as the deadline


def test_a_listener_without_descriptors_tries_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    mended = threading.Event()
    accept = socket.socket.accept

    def refuse(listener: socket.socket) -> tuple[socket.socket, object]:
        nonlocal tries
        tries += 1
        if not mended.is_set():
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refuse)
    with serving() as state:
        wait_until(lambda: tries >= 3, "some tries")
        assert tries < 50  # without a pause there would be thousands
        mended.set()
        reply = send_request(state, STATUS, 30.0)
        assert msgspec.json.decode(reply, type=StopResult) == StopResult(stopped=("s1",))


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
