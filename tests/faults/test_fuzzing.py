"""The generator of malformed lines."""

import json
import random

from core.protocol import Limits, ServerConnection, Submit
from core.protocol.server import Refusal
from tests.faults import fuzzing

RANDOM = random.Random


def events(line: bytes) -> list[object]:
    """Return the events of a server's protocol for a line."""
    connection = ServerConnection(server="s", limits=Limits())
    return list(connection.receive(line + b"\n"))


def test_the_same_seed_makes_the_same_lines() -> None:
    assert fuzzing.batch(RANDOM(1), 50) == fuzzing.batch(RANDOM(1), 50)
    assert fuzzing.batch(RANDOM(1), 50) != fuzzing.batch(RANDOM(2), 50)


def test_a_valid_request_is_accepted() -> None:
    rng = RANDOM(3)
    for _ in range(300):
        request = fuzzing.valid_request(rng)
        request.pop("payload", None)
        (event,) = events(json.dumps(request).encode())
        assert not isinstance(event, Refusal), request


def test_mutated_lines_mostly_leave_the_connection_open() -> None:
    rng = RANDOM(4)
    closed = 0
    for _ in range(2000):
        (event,) = events(fuzzing.mutated(rng))
        closed += isinstance(event, Refusal) and event.close
    assert closed < 600


def test_malformed_lines_mostly_close_it() -> None:
    rng = RANDOM(5)
    closed = sum(
        any(isinstance(event, Refusal) and event.close for event in events(fuzzing.malformed(rng))) for _ in range(2000)
    )
    assert closed > 1000


def test_a_batch_has_the_requested_number_of_lines() -> None:
    rng = RANDOM(6)
    for _ in range(200):
        lines = fuzzing.batch(rng, 20).split(b"\n")
        assert len(lines) == 21
        assert lines[-1] == b""
        assert all(line for line in lines[:-1])


def test_no_task_that_it_submits_has_an_honest_id() -> None:
    rng = RANDOM(7)
    lines = [fuzzing.mutated(rng) for _ in range(5000)] + [fuzzing.malformed(rng) for _ in range(5000)]
    submits = [event for line in lines for event in events(line) if isinstance(event, Submit)]
    assert len(submits) > 100
    assert not [submit.id for submit in submits if submit.id and submit.id.startswith("t-")]


def test_a_batch_without_hello() -> None:
    lines = fuzzing.batch(RANDOM(8), 500, with_hello=False).split(b"\n")[:-2]
    assert not [line for line in lines if b'"hello"' in line]
