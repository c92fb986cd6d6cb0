"""Makes lines that a server must survive: mutations of valid requests, and random bytes. Pure.

A *mutated* line is still a JSON object: the server answers it, mostly with an error, and reads on.
At a *malformed* line the server closes the connection, and the lines after it are lost.
Ids begin with `PREFIX`, which distinguishes these tasks from honest ones.
"""

import json
import random
from collections.abc import Callable

from core.jsontext import Json

PREFIX = "fuzz-"

DELAY = 3600
"""Seconds of delay of the tasks, so that none runs."""

_TEXTS = (
    "",
    "x",
    "\x00",
    "é" * 40,
    "\u202e\u2066",
    "\x1b[2J",
    "😀" * 30,
    "a" * 5000,
    "'; DROP TABLE tasks; --",
    "../" * 9,
)
_NUMBERS = (0, -1, 1, 2**31, 2**53, -(2**53), 2**53 + 1, 2**63, 10**30, 0.5, -0.0, 1e308, 5e-324)
_NAMES = ("op", "ref", "id", "kind", "delay", "retries", "sent", "payload", "wait", "version", "token", "client", "ok")

Request = dict[str, Json]


def mutated(rng: random.Random) -> bytes:
    """Return a valid request with mutations, mostly a JSON object without duplicate names."""
    request = valid_request(rng)
    for _ in range(rng.randrange(1, 4)):
        rng.choice(_MUTATIONS)(rng, request)
    return _encode(request)


def malformed(rng: random.Random) -> bytes:
    """Return a malformed line, mostly a request with changed bytes."""
    return rng.choice(_MALFORMED)(rng) or b"?"


def batch(rng: random.Random, size: int, *, with_hello: bool = True) -> bytes:
    """Return some lines: mutated ones, and a malformed one at the end.

    Args:
        rng: the random numbers.
        size: number of lines.
        with_hello: whether a hello is allowed; without the token, it makes a server close the connection.
    """
    lines: list[bytes] = []
    while len(lines) < size - 1:
        line = mutated(rng)
        if with_hello or b'"hello"' not in line:
            lines.append(line)
    return b"".join(line + b"\n" for line in [*lines, malformed(rng)])


def valid_request(rng: random.Random) -> Request:
    """Return a valid request that changes nothing, or submits a task with a long delay."""
    ref = rng.choice([rng.randrange(1000), f"r{rng.randrange(1000)}"])
    task_id = f"{PREFIX}{rng.randrange(10_000)}"
    match rng.randrange(7):
        case 0:
            return {"op": "hello", "ref": ref, "version": 1, "client": "fuzz"}
        case 1:
            payload = value(rng, 3)
            return {"op": "submit", "ref": ref, "id": task_id, "kind": "echo", "delay": DELAY, "payload": payload}
        case 2:
            return {"op": "status", "ref": ref, "id": task_id}
        case 3:
            return {"op": "result", "ref": ref, "id": task_id, "wait": 0}
        case 4:
            return {"op": "cancel", "ref": ref, "id": task_id}
        case 5:
            return {"op": "kinds", "ref": ref, "kind": rng.choice(["echo", "nowhere", None])}
        case _:
            return {"op": "stats", "ref": ref}


def value(rng: random.Random, depth: int) -> Json:
    """Return a random JSON value."""
    match rng.randrange(7 if depth else 5):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.choice(_NUMBERS)
        case 3 | 4:
            return rng.choice(_TEXTS)
        case 5:
            return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {rng.choice(_NAMES): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def _leave_out(rng: random.Random, request: Request) -> None:
    # A task without its delay would run.
    names = [name for name in request if name not in {"delay", "id"}]
    if names:
        del request[rng.choice(names)]


def _replace(rng: random.Random, request: Request) -> None:
    names = [name for name in request if name not in {"delay", "id"}] or ["ref"]
    request[rng.choice(names)] = value(rng, 2)


def _add(rng: random.Random, request: Request) -> None:
    request[rng.choice(_TEXTS)] = value(rng, 2)


def _other_operation(rng: random.Random, request: Request) -> None:
    # None of these makes the request a submission.
    request["op"] = rng.choice(
        ["hello", "status", "result", "cancel", "stats", "kinds", "Submit", "", None, 7, ["submit"]]
    )


def _other_id(rng: random.Random, request: Request) -> None:
    request["id"] = rng.choice([f"{PREFIX}{'x' * 80}", "", None if "delay" in request else 7, PREFIX + "\n", [PREFIX]])


def _deep(rng: random.Random, request: Request) -> None:
    deep: Json = 0
    for _ in range(rng.choice([5, 30])):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    request["payload"] = deep


_MUTATIONS: tuple[Callable[[random.Random, Request], None], ...] = (
    _leave_out,
    _replace,
    _add,
    _other_operation,
    _other_id,
    _deep,
)


def _encode(request: Json) -> bytes:
    return json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _flipped(rng: random.Random) -> bytes:
    """Return a request with some bytes changed."""
    line = bytearray(mutated(rng))
    for _ in range(rng.randrange(1, 5)):
        line[rng.randrange(len(line))] = rng.randrange(256)
    return _one_line(line)


def _cut(rng: random.Random) -> bytes:
    line = mutated(rng)
    return line[: rng.randrange(1, len(line))]


def _spliced(rng: random.Random) -> bytes:
    first, second = mutated(rng), mutated(rng)
    return first[: rng.randrange(1, len(first))] + second[rng.randrange(len(second)) :]


def _doubled(rng: random.Random) -> bytes:
    """Return an object with a duplicate name."""
    line = _encode(valid_request(rng))
    return line[:-1] + b', "ref": 1, "ref": 2}'


def _noise(rng: random.Random) -> bytes:
    return _one_line(bytearray(rng.randbytes(rng.randrange(1, 200))))


def _bomb(rng: random.Random) -> bytes:
    return rng.choice(
        [
            b"[" * 500,
            b'{"a":' * 500,
            b"9" * 5000,
            b"1e999",
            b"-",
            b"NaN",
            b'{"op":"stats","ref":Infinity}',
            b"\xef\xbb\xbf{}",
            '{"op":"stats","ref":1}'.encode("utf-16"),
            b'{"op":"stats","ref":"\\ud800"}',
            b'{"op":"stats","ref":"\xed\xa0\x80"}',
            b'{"op":"stats","ref":"\x00"}',
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/1.1\r",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r",
            b"null",
            b"[]",
            b'"',
        ]
    )


_MALFORMED: tuple[Callable[[random.Random], bytes], ...] = (_flipped, _cut, _spliced, _doubled, _noise, _bomb)


def _one_line(line: bytearray) -> bytes:
    return bytes(line).replace(b"\n", b" ")
