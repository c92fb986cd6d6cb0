"""Makes lines that a server must survive: mutations of good requests, and bytes of chance. Pure.

A line is *gentle* when it is a JSON object still: the server answers it, with an error mostly, and reads on.
Whatever comes after any other is lost, because the server closes the connection at it.
Ids that it makes begin with `PREFIX`, so that what was stored can be told from honest tasks.
"""

import json
import random
from collections.abc import Callable

from core.jsontext import Json

PREFIX = "fuzz-"

FAR = 3600
"""Seconds for which the tasks must not run, so that they stay where they are."""

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


def gentle(chance: random.Random) -> bytes:
    """A good request with something wrong in it, and mostly a JSON object that names nothing twice."""
    request = good(chance)
    for _ in range(chance.randrange(1, 4)):
        chance.choice(_MUTATIONS)(chance, request)
    return _written(request)


def wild(chance: random.Random) -> bytes:
    """One line of anything: mostly a request whose bytes were changed."""
    return chance.choice(_WILD)(chance) or b"?"


def batch(chance: random.Random, size: int, *, greets: bool = True) -> bytes:
    """Lines in one piece: gentle ones, and a wild one at the end.

    Args:
        chance: what it is left to.
        size: how many.
        greets: a server that wants a token closes the connection at a greeting without it.
    """
    lines: list[bytes] = []
    while len(lines) < size - 1:
        line = gentle(chance)
        if greets or b'"hello"' not in line:
            lines.append(line)
    return b"".join(line + b"\n" for line in [*lines, wild(chance)])


def good(chance: random.Random) -> Request:
    """A request without a fault, that leaves the system as it is or enters a task for much later."""
    ref = chance.choice([chance.randrange(1000), f"r{chance.randrange(1000)}"])
    task_id = f"{PREFIX}{chance.randrange(10_000)}"
    match chance.randrange(6):
        case 0:
            return {"op": "hello", "ref": ref, "version": 1, "client": "fuzz"}
        case 1:
            payload = value(chance, 3)
            return {"op": "submit", "ref": ref, "id": task_id, "kind": "echo", "delay": FAR, "payload": payload}
        case 2:
            return {"op": "status", "ref": ref, "id": task_id}
        case 3:
            return {"op": "result", "ref": ref, "id": task_id, "wait": 0}
        case 4:
            return {"op": "cancel", "ref": ref, "id": task_id}
        case _:
            return {"op": "stats", "ref": ref}


def value(chance: random.Random, depth: int) -> Json:
    """A JSON value."""
    match chance.randrange(7 if depth else 5):
        case 0:
            return None
        case 1:
            return chance.random() < 0.5
        case 2:
            return chance.choice(_NUMBERS)
        case 3 | 4:
            return chance.choice(_TEXTS)
        case 5:
            return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case _:
            return {chance.choice(_NAMES): value(chance, depth - 1) for _ in range(chance.randrange(4))}


def _leave_out(chance: random.Random, request: Request) -> None:
    # A task without its delay would run.
    names = [name for name in request if name not in {"delay", "id"}]
    if names:
        del request[chance.choice(names)]


def _replace(chance: random.Random, request: Request) -> None:
    names = [name for name in request if name not in {"delay", "id"}] or ["ref"]
    request[chance.choice(names)] = value(chance, 2)


def _add(chance: random.Random, request: Request) -> None:
    request[chance.choice(_TEXTS)] = value(chance, 2)


def _other_operation(chance: random.Random, request: Request) -> None:
    # None of them becomes a submission.
    request["op"] = chance.choice(["hello", "status", "result", "cancel", "stats", "Submit", "", None, 7, ["submit"]])


def _other_id(chance: random.Random, request: Request) -> None:
    request["id"] = chance.choice(
        [f"{PREFIX}{'x' * 80}", "", None if "delay" in request else 7, PREFIX + "\n", [PREFIX]]
    )


def _deep(chance: random.Random, request: Request) -> None:
    deep: Json = 0
    for _ in range(chance.choice([5, 30])):
        deep = [deep] if chance.random() < 0.5 else {"a": deep}
    request["payload"] = deep


_MUTATIONS: tuple[Callable[[random.Random, Request], None], ...] = (
    _leave_out,
    _replace,
    _add,
    _other_operation,
    _other_id,
    _deep,
)


def _written(request: Json) -> bytes:
    return json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _flipped(chance: random.Random) -> bytes:
    """Some bytes changed."""
    line = bytearray(gentle(chance))
    for _ in range(chance.randrange(1, 5)):
        line[chance.randrange(len(line))] = chance.randrange(256)
    return _one_line(line)


def _cut(chance: random.Random) -> bytes:
    line = gentle(chance)
    return line[: chance.randrange(1, len(line))]


def _spliced(chance: random.Random) -> bytes:
    first, second = gentle(chance), gentle(chance)
    return first[: chance.randrange(1, len(first))] + second[chance.randrange(len(second)) :]


def _doubled(chance: random.Random) -> bytes:
    """An object that names something twice."""
    line = _written(good(chance))
    return line[:-1] + b', "ref": 1, "ref": 2}'


def _noise(chance: random.Random) -> bytes:
    return _one_line(bytearray(chance.randbytes(chance.randrange(1, 200))))


def _bomb(chance: random.Random) -> bytes:
    return chance.choice(
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


_WILD: tuple[Callable[[random.Random], bytes], ...] = (_flipped, _cut, _spliced, _doubled, _noise, _bomb)


def _one_line(line: bytearray) -> bytes:
    return bytes(line).replace(b"\n", b" ")
