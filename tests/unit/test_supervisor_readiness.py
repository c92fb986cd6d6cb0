"""The health of a process by its record, and by greeting a server."""

import socket
import threading

import pytest
from msgspec.structs import replace

from core.addresses import Address
from core.heartbeat import LIVENESS_TIMEOUT, Liveness
from core.model import Part, ProcessPhase, ProcessRecord, Role, Trouble
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.readiness import (
    Condition,
    ProbeTarget,
    ask_port_mapper,
    greet,
    judge,
    judge_age,
    probe_port,
    was_ready,
)

TARGET = ProbeTarget(
    name="w1",
    kind=ProcessKind.WORKER,
    pids=frozenset({42}),
    host="here",
    spawned_at=100.0,
    identity=ProcessIdentity(42, 100.0),
)
RECORD = ProcessRecord(
    number=7, role=Role.WORKER, name="w1", host="here", pid=42, started_at=100.5, beat=1, phase=ProcessPhase.READY
)
AWAY = (Trouble(Part.BROKER, "away"),)
ABSENT = Condition(False, "not in the journal yet")
SILENT = Condition(False, "silent: it writes no heartbeat", silent=True)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], ABSENT),
        ([RECORD], Condition(True)),
        ([replace(RECORD, phase=ProcessPhase.STARTING)], Condition(False, "starting")),
        (
            [replace(RECORD, phase=ProcessPhase.DRAINING, troubles=AWAY)],
            Condition(False, "draining; broker: away", troubles=AWAY),
        ),
        ([replace(RECORD, phase=ProcessPhase.READY, troubles=AWAY)], Condition(True, "broker: away", troubles=AWAY)),
        ([replace(RECORD, phase=ProcessPhase.LEFT)], SILENT),
        ([replace(RECORD, pid=43)], ABSENT),
        ([replace(RECORD, host="there")], ABSENT),
        ([replace(RECORD, started_at=90.0)], ABSENT),
        ([replace(RECORD, number=6, phase=ProcessPhase.LEFT), RECORD], Condition(True)),
    ],
)
def test_the_health_by_a_record(records: list[ProcessRecord], expected: Condition) -> None:
    assert judge(TARGET, records, Liveness(), 1000.0) == expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], False),
        ([RECORD], True),
        ([replace(RECORD, phase=ProcessPhase.READY, troubles=AWAY)], True),
        ([replace(RECORD, phase=ProcessPhase.STARTING)], False),
        ([replace(RECORD, pid=43)], False),
        ([replace(RECORD, started_at=90.0)], False),
    ],
)
def test_whether_an_ended_process_was_ready(records: list[ProcessRecord], expected: bool) -> None:
    assert was_ready(TARGET, records) is expected


def test_a_heartbeat_that_stands_still_is_noticed() -> None:
    liveness = Liveness()
    liveness.observe([RECORD], 1000.0)
    liveness.observe([RECORD], 1000.0 + LIVENESS_TIMEOUT)
    assert judge(TARGET, [RECORD], liveness, 1000.0 + LIVENESS_TIMEOUT) == SILENT


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (b'{"ref": 0, "ok": {"server": "s1", "version": 1, "limits": {}}}\n', ""),
        (b'{"ref": 0, "error": {"code": "unauthorized", "message": "show the token"}}\n', ""),
        (b"", "closes the connection"),
        (b"220 mail.example ESMTP\r\n", "doesn't answer"),
    ],
)
def test_greeting_a_server(answer: bytes, trouble: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        error = greet(Address("127.0.0.1", listener.getsockname()[1]), "token", 5.0)
        serving.join()
    assert trouble in error
    assert bool(error) == bool(trouble)


def test_a_server_that_accepts_and_hangs_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "doesn't answer" in greet(Address("127.0.0.1", listener.getsockname()[1]), None, 0.05)


def test_a_port_that_listens_and_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        assert probe_port(address, 5.0) == ""
    assert probe_port(address, 5.0) == f"{address} takes no connection: Connection refused"


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [(b"\0\0\x11\x11name a at port 5\n", ""), (b"\0\0\x11\x11", ""), (b"", "closes the connection without an answer")],
)
def test_a_port_mapper_is_asked_for_its_names(answer: bytes, trouble: str) -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        error = ask_port_mapper(Address("127.0.0.1", listener.getsockname()[1]), 5.0)
        serving.join()
    assert asked == [b"\0\1n"]
    assert trouble in error
    assert bool(error) == bool(trouble)


def test_a_port_mapper_that_is_away_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
    assert ask_port_mapper(address, 5.0) == f"{address} doesn't answer: Connection refused"


@pytest.mark.parametrize(
    ("ready_after", "wall", "expected"),
    [
        (None, 100.0, Condition(True)),
        (2.0, 101.9, Condition(False, "has just started")),
        (2.0, 102.0, Condition(True)),
    ],
)
def test_a_process_that_can_only_be_seen_to_live_is_ready_after_its_time(
    ready_after: float | None, wall: float, expected: Condition
) -> None:
    assert judge_age(replace(TARGET, kind=ProcessKind.DECLARED, ready_after=ready_after), wall) == expected
