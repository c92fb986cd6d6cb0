"""Clients that break the protocol: fuzzed lines, JSON bombs, wrong lengths and tokens, one id for many tasks."""

import json
import threading

from core.jsontext import Json
from tests.faults import fuzzing, journal_reader
from tests.faults.attack_scene import MIB, AttackScene, attack_case, split
from tests.faults.case import Case
from tests.faults.raw_clients import ClientGroup, RawClient
from tests.faults.values import Invariant
from tests.integration.wire import Wire

TOKEN = "a-token-that-is-not-guessed"  # noqa: S105 - of a server that lives for seconds
HELLO = json.dumps({"op": "hello", "ref": "h", "token": TOKEN}).encode() + b"\n"
CONNECTIONS = 64
LINES = 40
"""Lines that one connection sends together."""

MAX_LINE = 1024 * 1024
REPLY_TIMEOUT = 60.0
"""Seconds within which every line must be answered, or its connection closed."""


class Fuzzer:
    """Sends a batch of lines at a time, when the batch before is answered or the connection was closed."""

    def __init__(self, scene: AttackScene, *, authenticated: bool) -> None:
        self._scene = scene
        self._authenticated = authenticated
        self._seen = -1
        self._wanted = 0

    def __call__(self, client: RawClient) -> bytes | None:
        """Return the next batch when it is due."""
        is_new = client.cut != self._seen
        if not is_new and client.lines < self._wanted:
            return None
        self._seen = client.cut
        self._wanted = client.lines + LINES + (is_new and self._authenticated)
        lines = fuzzing.batch(self._scene.context.rng, LINES, with_hello=not self._authenticated)
        return HELLO + lines if is_new and self._authenticated else lines


def fuzz(scene: AttackScene) -> None:
    """Send fuzzed lines on connections of which half have sent the token."""
    wanted = scene.context.size(10_000, 1_000_000)
    raw_clients = [
        RawClient(scene.address, Fuzzer(scene, authenticated=number % 2 == 0)) for number in range(CONNECTIONS)
    ]
    with ClientGroup(raw_clients, again=True) as group:
        finished = group.run(lambda: group.lines >= wanted or not scene.alive, scene.context.patience(wanted / 500))
        scene.tries = group.lines
    scene.expect(finished, Invariant.ANSWERED, f"only {group.lines:,} of {wanted:,} lines were answered")
    scene.remarks.append(f"{sum(client.cut for client in raw_clients):,} connections ended by the server")
    scene.expect_flat_memory(64 * MIB)
    growth = scene.late_growth
    scene.expect(growth < 16 * MIB, Invariant.CLEAN, f"memory grew by {growth / MIB:.0f} MiB in the second half")


def _submit(payload: bytes) -> bytes:
    return b'{"op":"submit","ref":1,"id":"bomb","kind":"echo","delay":3600,"payload":' + payload + b"}"


def _members(count: int) -> bytes:
    return b"{" + b",".join(b'"m%d":%d' % (number, number) for number in range(count)) + b"}"


def _padded(length: int) -> bytes:
    line = _submit(b'""')
    return line[:-2] + b"x" * (length - len(line)) + line[-2:]


REFUSED = frozenset({"bad_frame", "invalid", "too_large"})
TAKEN = frozenset({"", "conflict"})
BOMBS: tuple[tuple[str, bytes, frozenset[str]], ...] = (
    ("lists in lists", _submit(b"[" * 100_000 + b"]" * 100_000), REFUSED),
    ("objects in objects", _submit(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), REFUSED),
    ("lists that never end", b"[" * 1_000_000, REFUSED),
    ("a huge integer", _submit(b"9" * 1_000_000), REFUSED),
    ("a huge negative integer", _submit(b"-" + b"9" * 20), REFUSED),
    ("beyond floating point", _submit(b"1e999"), REFUSED),
    ("no number", _submit(b"NaN"), REFUSED),
    ("infinity", _submit(b"-Infinity"), REFUSED),
    ("many digits behind the point", _submit(b"0." + b"1" * 1_000_000), REFUSED | TAKEN),
    ("a name given twice", _submit(b'{"a":1,"a":2}'), REFUSED),
    ("an operation given twice", b'{"op":"stats","ref":1,"op":"hello"}', REFUSED),
    ("a lone surrogate", _submit(b'"\\ud800"'), REFUSED),
    ("a lone surrogate as a name", _submit(b'{"\\udfff":1}'), REFUSED),
    ("a surrogate as bytes", _submit(b'"\xed\xa0\x80"'), REFUSED),
    ("an overlong encoding", _submit(b'"\xc0\xaf"'), REFUSED),
    ("a byte order mark", b"\xef\xbb\xbf" + _submit(b"1"), REFUSED),
    ("UTF-16", _submit(b"1").decode().encode("utf-16-be"), REFUSED),
    ("a raw NUL", _submit(b'"\x00"'), REFUSED),
    ("an escaped NUL", _submit(b'"\\u0000"'), REFUSED | TAKEN),
    ("a long name", _submit(b'{"' + b"n" * 900_000 + b'":1}'), TAKEN),
    ("many members", _submit(_members(70_000)), TAKEN),
    ("many colons", _submit(b'"' + b":" * 900_000 + b'"'), TAKEN),
    ("many names that look like some", _submit(b'"' + b'\\":' * 300_000 + b'"'), TAKEN),
    ("escapes only", _submit(b'"' + b"\\u00e9" * 170_000 + b'"'), TAKEN),
    ("blanks only", b"{" + b" " * 1_000_000 + b"}", REFUSED),
    ("a list", b"[1,2,3]", REFUSED),
    ("half an object", b'{"op":"stats","ref":1', REFUSED),
    ("two objects", b'{"op":"stats","ref":1}{"op":"stats","ref":2}', REFUSED),
    ("the longest line", _padded(MAX_LINE), TAKEN),
    ("a byte too many", _padded(MAX_LINE + 1), frozenset({"too_large"})),
    ("twice as much", _padded(2 * MAX_LINE), frozenset({"too_large"})),
)


def bombs(scene: AttackScene) -> None:
    """Send each bomb on its own connection, and lines without an end."""
    for _ in range(scene.context.size(1, 3)):
        for name, line, codes in BOMBS:
            scene.tries += 1
            code = _send(scene, line + b"\n")
            scene.expect(code in codes, Invariant.HARMLESS, f"{name}: the answer was {code or 'valid_request'}")
    for _ in range(scene.context.size(3, 30)):
        scene.tries += 1
        code = _send(scene, b"x" * (8 * MAX_LINE))
        scene.expect(
            code == "too_large", Invariant.HARMLESS, f"a line without an end: the answer was {code or 'valid_request'}"
        )
    scene.expect_flat_memory(128 * MIB)


def _send(scene: AttackScene, raw: bytes) -> str:
    """Send bytes over a new connection. Returns the error code of the first reply, empty for success."""
    with Wire(scene.address, REPLY_TIMEOUT) as wire:
        # In another thread: the server may read on only when its reply is read.
        sender = threading.Thread(target=_send_all, args=(wire, raw))
        sender.start()
        try:
            reply = wire.line()
        except TimeoutError:
            return "timeout"
        except ConnectionError:
            return "cut"
        finally:
            wire.socket.settimeout(1.0)
            sender.join()
    return _code(reply)


def _send_all(wire: Wire, raw: bytes) -> None:
    try:
        wire.send_bytes(raw)
    except OSError:
        # The server refused it before all was sent.
        return


def _code(reply: Json) -> str:
    if reply is None:
        return "cut"
    return str(reply["error"]["code"]) if "error" in reply else ""


def _hello(token: Json) -> bytes:
    return json.dumps({"op": "hello", "ref": 1, "token": token}).encode() + b"\n"


WRONG = (
    _hello(""),
    _hello(TOKEN[:-1]),
    _hello(TOKEN + "x"),
    _hello(TOKEN + "\x00"),
    _hello("contraseña-ñandú"),
    _hello("😀" * 100),
    _hello("x" * MIB),
    _hello(None),
    _hello(7),
    _hello([TOKEN]),
    b'{"op":"hello","ref":1,"token":"\\ud800"}\n',
    b'{"op":"hello","ref":1,"token":"' + b"\xff" * 50 + b'"}\n',
    b'{"op":"hello","ref":1}\n',
    b'{"op":"stats","ref":1}\n',
    b'{"op":"submit","ref":1,"id":"stolen","kind":"echo","payload":1}\n',
)


class Guesser:
    """Sends one wrong token per connection."""

    def __init__(self, scene: AttackScene) -> None:
        self._scene = scene
        self._seen = -1

    def __call__(self, client: RawClient) -> bytes | None:
        """Return the next guess on a new connection."""
        if client.cut == self._seen:
            return None
        self._seen = client.cut
        self._scene.tries += 1
        # The request after the guess must not be executed.
        return self._scene.context.rng.choice(WRONG) + b'{"op":"submit","ref":2,"id":"stolen"}\n'


def guess(scene: AttackScene) -> None:
    """Send wrong, missing and invalid tokens."""
    wanted = scene.context.size(300, 10_000)
    raw_clients = [RawClient(scene.address, Guesser(scene)) for _ in range(scene.context.size(100, 400))]
    with ClientGroup(raw_clients, again=True) as group:
        finished = group.run(
            lambda: sum(client.cut for client in raw_clients) >= wanted or not scene.alive, wanted / 10
        )
    cut = sum(client.cut for client in raw_clients)
    scene.expect(finished, Invariant.ANSWERED, f"only {cut:,} of {wanted:,} guessers were cut")
    accepted = [client for client in raw_clients if b'"ok"' in client.last]
    scene.expect(not accepted, Invariant.HARMLESS, "a wrong token was accepted")
    theirs, _ = split(journal_reader.read(scene.context.journal, thorough=False))
    scene.expect(not theirs.rows, Invariant.HARMLESS, f"unauthorised clients stored {len(theirs.rows)} tasks")
    scene.expect_flat_memory(64 * MIB)


def one_id(scene: AttackScene) -> None:
    """Submit each id from 64 connections at once, twice each, with one or two payloads."""
    rounds = scene.context.size(50, 1000)
    wires = [Wire(scene.address) for _ in range(CONNECTIONS)]
    try:
        for number in range(rounds):
            _one_id(scene, wires, f"{fuzzing.PREFIX}{number}")
    finally:
        for wire in wires:
            wire.close()
    theirs, _ = split(journal_reader.read(scene.context.journal, thorough=False))
    scene.expect(len(theirs.rows) == rounds, Invariant.ONCE, f"{len(theirs.rows)} rows of {rounds} ids")


def _one_id(scene: AttackScene, wires: list[Wire], task_id: str) -> None:
    """Submit one id on every connection: the first payload wins, equal ones are duplicates, others conflict."""
    rng = scene.context.rng
    task = {"op": "submit", "id": task_id, "kind": "echo", "delay": fuzzing.DELAY}
    other = rng.random() < 0.5
    payloads = [int(other and rng.random() < 0.5) for _ in wires]
    for ref, (wire, payload) in enumerate(zip(wires, payloads, strict=True)):
        wire.send({**task, "ref": ref, "payload": payload}, {**task, "ref": f"again {ref}", "payload": payload})
    replies = [[(payload, wire.reply()) for _ in range(2)] for wire, payload in zip(wires, payloads, strict=True)]
    replies_by_payload = [(payload, reply) for pair in replies for payload, reply in pair]
    scene.tries += len(replies_by_payload)
    taken = {payload for payload, reply in replies_by_payload if "ok" in reply}
    new = sum("ok" in reply and not reply["ok"]["duplicate"] for _, reply in replies_by_payload)
    wrong = {_code(reply) for payload, reply in replies_by_payload if payload not in taken} - {"conflict"}
    lost = [reply for payload, reply in replies_by_payload if payload in taken and "ok" not in reply]
    held = len(taken) == 1 and new == 1 and not wrong and not lost
    scene.expect(held, Invariant.ONCE, f"{task_id}: taken {taken}, {new} new, wrong codes {wrong}, {len(lost)} refused")


CASES = (
    Case(
        name="hostile, fuzzed lines",
        target="1,000,000 lines on 64 connections: no traceback, no death, memory flat",
        run=attack_case(fuzz, token=TOKEN),
    ),
    Case(name="hostile, JSON bombs", target="each refused or accepted, and the server alive", run=attack_case(bombs)),
    Case(
        name="hostile, wrong tokens",
        target="10,000 guesses refused, none executed",
        run=attack_case(guess, token=TOKEN),
    ),
    Case(name="hostile, one id for all", target="1,000 ids on 64 connections: one row each", run=attack_case(one_id)),
)
