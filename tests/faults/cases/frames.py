"""A connection cut after each number of bytes that a client sends: a partial request never makes a task."""

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence

import msgspec

from core.jsontext import Json
from core.protocol import ClientConnection
from tests.faults.case import Case
from tests.faults.context import CaseContext
from tests.faults.driver import name
from tests.faults.proxy import NORMAL, NetworkConditions, Proxy
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.system import LocalSystem

PATIENCE = 60.0
"""Seconds within which a server replies, or closes a connection that was cut."""

NOTE = "añ€😀" * 3
"""Characters of one, two, three and four bytes: a cut may fall within each."""


class Frame(msgspec.Struct, frozen=True):
    """Bytes that a client sends at once, and the tasks that they submit."""

    ids: tuple[str, ...]
    data: bytes
    ends: tuple[int, ...]
    """The end of each task's line, in bytes."""


class Attempt(msgspec.Struct, frozen=True):
    """The result of one connection."""

    known: dict[str, bool]
    """The accepted tasks, and whether the server had each of them already."""


def frames(context: CaseContext) -> Outcome:
    """Cut at each offset of each kind of frame, and send all of it again on a new connection."""
    step = context.size(7, 1)
    findings: list[Finding] = []
    cuts = first = 0
    flags = ("--tasks", context.tasks_module)
    with (
        LocalSystem(context.system, 1, 1, worker_arguments=flags) as system,
        Proxy(system.address("s1"), context.seed) as proxy,
    ):
        for make in KINDS:
            # Numbers with equally many digits: all frames of a kind have the same length.
            length = len(make(context, 100_000).data)
            for offset in range(0, length + 2, step):
                frame = make(context, 100_000 + first)
                first += len(frame.ids)
                findings += _cut_and_repeat(context, proxy, frame, offset)
                cuts += 1
            context.show_progress(f"{cuts} cuts")
        context.drain()
    outcome = context.judge(faults=cuts)
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *findings))


def _with_hello(context: CaseContext, number: int) -> Frame:
    """Return a hello and a task."""
    client = ClientConnection()
    hello = client.hello("hello", client="frames")
    return _frame(hello, [(number, _submit(context, client, number, {}))])


def _non_ascii(context: CaseContext, number: int) -> Frame:
    """Return a task with a non-ASCII payload."""
    return _frame(b"", [(number, _submit(context, ClientConnection(), number, {"note": NOTE}))])


def _pipelined(context: CaseContext, number: int) -> Frame:
    """Return two tasks, the second sent without waiting for the first reply."""
    client = ClientConnection()
    return _frame(b"", [(each, _submit(context, client, each, {})) for each in (number, number + 1)])


KINDS = (_with_hello, _non_ascii, _pipelined)


def _submit(context: CaseContext, client: ClientConnection, number: int, more: dict[str, Json]) -> bytes:
    payload = context.payload(number)
    assert isinstance(payload, dict)
    return client.submit(number, {**payload, **more}, task_id=name(number), kind="honest")


def _frame(head: bytes, lines: Sequence[tuple[int, bytes]]) -> Frame:
    data, ends = head, []
    for _, line in lines:
        data += line
        ends.append(len(data))
    return Frame(tuple(name(number) for number, _ in lines), data, tuple(ends))


def _cut_and_repeat(context: CaseContext, proxy: Proxy, frame: Frame, offset: int) -> Iterator[Finding]:
    context.submissions.record_sent(frame.ids)
    proxy.conditions = NetworkConditions(cut_after=offset)
    cut = _send(proxy, frame, complete=False)
    proxy.conditions = NORMAL
    whole = _send(proxy, frame, complete=True)
    context.submissions.record_answers(
        (task_id, "repeated" if known else "accepted") for task_id, known in whole.known.items()
    )
    where = f"cut after {offset} of {len(frame.data)} bytes"
    for task_id, end in zip(frame.ids, frame.ends, strict=True):
        if task_id not in whole.known:
            yield Finding(Invariant.ANSWERED, f"{task_id} ({where}) was not accepted on a new connection")
        elif offset < end and (whole.known[task_id] or task_id in cut.known):
            yield Finding(
                Invariant.NOTHING_INVENTED, f"{task_id} ({where}) was stored although its line was incomplete"
            )
        elif task_id in cut.known and not whole.known[task_id]:
            yield Finding(Invariant.NO_LOSS, f"{task_id} ({where}) was accepted and then unknown")


def _send(proxy: Proxy, frame: Frame, *, complete: bool) -> Attempt:
    """Send a frame on a new connection, and read replies until all are there or the connection ends.

    Args:
        proxy: to connect through.
        frame: to send.
        complete: whether all replies must come.
    """
    expected = frame.data.count(b"\n")
    received = b""
    with contextlib.suppress(ConnectionError), socket.create_connection(proxy.address.pair, PATIENCE) as stream:
        stream.settimeout(PATIENCE)
        stream.sendall(frame.data)
        while received.count(b"\n") < expected and (chunk := stream.recv(65_536)):
            received += chunk
    answers = [json.loads(line) for line in received.splitlines(keepends=True) if line.endswith(b"\n")]
    assert not complete or len(answers) == expected, (
        f"{len(answers)} of {expected} requests were answered: {received!r}"
    )
    tasks = [answer["ok"] for answer in answers if "duplicate" in answer.get("ok", {})]
    return Attempt({task["id"]: task["duplicate"] for task in tasks})


CASES = (
    Case(
        name="cut at every byte",
        target="a task is stored only with its whole line, and the same id again gives one row",
        run=frames,
    ),
)
