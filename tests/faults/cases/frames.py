"""A connection that is cut after each number of bytes of what a client says: no half of a task is ever a task."""

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence

import msgspec

from core.jsontext import Json
from core.protocol import ClientConnection
from tests.faults.arena import Arena
from tests.faults.case import Case
from tests.faults.driver import name
from tests.faults.proxy import FAIR, Proxy, Weather
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.system import LocalSystem

PATIENCE = 10.0
"""Seconds in which a server answers, or ends a connection that was cut."""

NOTE = "añ€😀" * 3
"""Characters of one, two, three and four bytes: a cut may fall within each."""


class Frame(msgspec.Struct, frozen=True):
    """What a client says in one go, and which tasks it makes."""

    ids: tuple[str, ...]
    data: bytes
    ends: tuple[int, ...]
    """After how many bytes the line of each task is whole."""


class Attempt(msgspec.Struct, frozen=True):
    """What one connection came to."""

    known: dict[str, bool]
    """Of the tasks that were accepted, whether the server said that it had them already."""


def frames(arena: Arena) -> Outcome:
    """Cut at each offset of each kind of frame, and say all of it again on a fresh connection."""
    step = arena.size(7, 1)
    findings: list[Finding] = []
    cuts = first = 0
    flags = ("--tasks", arena.tasks_module)
    with (
        LocalSystem(arena.system, 1, 1, worker_arguments=flags) as system,
        Proxy(system.address("s1"), arena.seed) as proxy,
    ):
        for make in KINDS:
            # Numbers of as many digits: all frames of a kind are as long as the first one.
            length = len(make(arena, 100_000).data)
            for most in range(0, length + 2, step):
                frame = make(arena, 100_000 + first)
                first += len(frame.ids)
                findings += _cut_and_repeat(arena, proxy, frame, most)
                cuts += 1
            arena.say(f"{cuts} cuts")
        arena.drain()
    outcome = arena.judge(faults=cuts)
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *findings))


def _greeted(arena: Arena, number: int) -> Frame:
    """A greeting, and a task."""
    client = ClientConnection()
    hello = client.hello("hello", client="frames")
    return _frame(hello, [(number, _submit(arena, client, number, {}))])


def _many_alphabets(arena: Arena, number: int) -> Frame:
    """A task whose payload is more than ASCII."""
    return _frame(b"", [(number, _submit(arena, ClientConnection(), number, {"note": NOTE}))])


def _pipelined(arena: Arena, number: int) -> Frame:
    """Two tasks, the second without waiting for an answer to the first."""
    client = ClientConnection()
    return _frame(b"", [(each, _submit(arena, client, each, {})) for each in (number, number + 1)])


KINDS = (_greeted, _many_alphabets, _pipelined)


def _submit(arena: Arena, client: ClientConnection, number: int, more: dict[str, Json]) -> bytes:
    payload = arena.payload(number)
    assert isinstance(payload, dict)
    return client.submit(number, {**payload, **more}, task_id=name(number), kind="honest")


def _frame(head: bytes, lines: Sequence[tuple[int, bytes]]) -> Frame:
    data, ends = head, []
    for _, line in lines:
        data += line
        ends.append(len(data))
    return Frame(tuple(name(number) for number, _ in lines), data, tuple(ends))


def _cut_and_repeat(arena: Arena, proxy: Proxy, frame: Frame, most: int) -> Iterator[Finding]:
    arena.ledger.sending(frame.ids)
    proxy.weather = Weather(cut_after=most)
    cut = _say(proxy, frame, to_the_end=False)
    proxy.weather = FAIR
    whole = _say(proxy, frame, to_the_end=True)
    arena.ledger.answered((task_id, "repeated" if known else "accepted") for task_id, known in whole.known.items())
    where = f"cut after {most} of {len(frame.data)} bytes"
    for task_id, end in zip(frame.ids, frame.ends, strict=True):
        if task_id not in whole.known:
            yield Finding(Invariant.ANSWERED, f"{task_id} ({where}) was not accepted on a fresh connection")
        elif most < end and (whole.known[task_id] or task_id in cut.known):
            yield Finding(Invariant.NOTHING_INVENTED, f"{task_id} ({where}) was a task although its line had no end")
        elif task_id in cut.known and not whole.known[task_id]:
            yield Finding(Invariant.NO_LOSS, f"{task_id} ({where}) was accepted and then not known")


def _say(proxy: Proxy, frame: Frame, *, to_the_end: bool) -> Attempt:
    """Say a frame on a connection of its own, and take answers until all are there or the connection ends.

    Args:
        proxy: by way of which.
        frame: what to say.
        to_the_end: whether all answers have to come.
    """
    wanted = frame.data.count(b"\n")
    received = b""
    with contextlib.suppress(ConnectionError), socket.create_connection(proxy.address.pair, PATIENCE) as stream:
        stream.settimeout(PATIENCE)
        stream.sendall(frame.data)
        while received.count(b"\n") < wanted and (piece := stream.recv(65_536)):
            received += piece
    answers = [json.loads(line) for line in received.splitlines(keepends=True) if line.endswith(b"\n")]
    assert not to_the_end or len(answers) == wanted, f"{len(answers)} of {wanted} requests were answered: {received!r}"
    tasks = [answer["ok"] for answer in answers if "duplicate" in answer.get("ok", {})]
    return Attempt({task["id"]: task["duplicate"] for task in tasks})


CASES = (
    Case(
        name="cut at every byte",
        target="a task is one only once its line has ended, and the same id again gives one row",
        run=frames,
    ),
)
