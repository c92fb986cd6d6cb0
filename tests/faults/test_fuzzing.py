"""The generator of hostile lines."""

import json
import random

from core.protocol import Limits, ServerConnection, Submit
from core.protocol.server import Refusal
from tests.faults import fuzzing

CHANCE = random.Random


def events(line: bytes) -> list[object]:
    """What a server's protocol makes of a line."""
    connection = ServerConnection(server="s", limits=Limits())
    return list(connection.receive(line + b"\n"))


def test_the_same_seed_makes_the_same_lines() -> None:
    assert fuzzing.batch(CHANCE(1), 50) == fuzzing.batch(CHANCE(1), 50)
    assert fuzzing.batch(CHANCE(1), 50) != fuzzing.batch(CHANCE(2), 50)


def test_a_good_request_is_taken() -> None:
    chance = CHANCE(3)
    for _ in range(300):
        request = fuzzing.good(chance)
        request.pop("payload", None)
        (event,) = events(json.dumps(request).encode())
        assert not isinstance(event, Refusal), request


def test_gentle_lines_leave_the_connection_open_mostly() -> None:
    chance = CHANCE(4)
    closed = 0
    for _ in range(2000):
        (event,) = events(fuzzing.gentle(chance))
        closed += isinstance(event, Refusal) and event.close
    assert closed < 600


def test_wild_lines_close_it_mostly() -> None:
    chance = CHANCE(5)
    closed = sum(
        any(isinstance(event, Refusal) and event.close for event in events(fuzzing.wild(chance))) for _ in range(2000)
    )
    assert closed > 1000


def test_a_batch_has_as_many_lines_as_it_was_to_have() -> None:
    chance = CHANCE(6)
    for _ in range(200):
        lines = fuzzing.batch(chance, 20).split(b"\n")
        assert len(lines) == 21
        assert lines[-1] == b""
        assert all(line for line in lines[:-1])


def test_no_task_that_it_submits_has_an_honest_id() -> None:
    chance = CHANCE(7)
    lines = [fuzzing.gentle(chance) for _ in range(5000)] + [fuzzing.wild(chance) for _ in range(5000)]
    submits = [event for line in lines for event in events(line) if isinstance(event, Submit)]
    assert len(submits) > 100
    assert not [submit.id for submit in submits if submit.id and submit.id.startswith("t-")]


def test_a_batch_does_not_greet_when_it_must_not() -> None:
    lines = fuzzing.batch(CHANCE(8), 500, greets=False).split(b"\n")[:-2]
    assert not [line for line in lines if b'"hello"' in line]
