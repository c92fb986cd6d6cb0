"""Clients that don't keep to the protocol: fuzzed lines, bombs of JSON, wrong lengths and tokens, one id for many."""

import json
import threading

from core.jsontext import Json
from tests.faults import books, fuzzing
from tests.faults.case import Case
from tests.faults.siege import MIB, Siege, besiege, split
from tests.faults.swarm import Peer, Swarm
from tests.faults.values import Invariant
from tests.integration.wire import Wire

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of a server that lives for seconds
HELLO = json.dumps({"op": "hello", "ref": "h", "token": TOKEN}).encode() + b"\n"
CONNECTIONS = 64
LINES = 40
"""That one connection sends together."""

MAX_LINE = 1024 * 1024
IN_TIME = 10.0
"""Seconds within which whatever is sent has to be answered, or its connection closed."""


class Fuzzer:
    """What a connection sends: a batch of lines at a time, when the former is answered or the server has cut it."""

    def __init__(self, siege: Siege, *, knows: bool) -> None:
        self._siege = siege
        self._knows = knows
        self._seen = -1
        self._wanted = 0

    def __call__(self, peer: Peer) -> bytes | None:
        """The next batch."""
        began = peer.cut != self._seen
        if not began and peer.lines < self._wanted:
            return None
        self._seen = peer.cut
        self._wanted = peer.lines + LINES + (began and self._knows)
        lines = fuzzing.batch(self._siege.arena.chance, LINES, greets=not self._knows)
        return HELLO + lines if began and self._knows else lines


def fuzz(siege: Siege) -> None:
    """Half of the connections show the token, and half never do."""
    wanted = siege.arena.size(20_000, 1_000_000)
    peers = [Peer(siege.address, Fuzzer(siege, knows=number % 2 == 0)) for number in range(CONNECTIONS)]
    with Swarm(peers, again=True) as swarm:
        over = swarm.run(lambda: swarm.lines >= wanted or not siege.alive, wanted / 500)
        siege.tries = swarm.lines
    siege.expect(over, Invariant.ANSWERED, f"only {swarm.lines:,} of {wanted:,} lines were answered")
    siege.remarks.append(f"{sum(peer.cut for peer in peers):,} connections ended by the server")
    siege.flat(64 * MIB)
    growth = siege.late_growth
    siege.expect(growth < 16 * MIB, Invariant.CLEAN, f"memory grew by {growth / MIB:.0f} MiB in the second half")


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


def bombs(siege: Siege) -> None:
    """Each on a connection of its own; and lines that don't end."""
    for _ in range(siege.arena.size(1, 3)):
        for name, line, codes in BOMBS:
            siege.tries += 1
            code = _ask(siege, line + b"\n")
            siege.expect(code in codes, Invariant.HARMLESS, f"{name}: the answer was {code or 'good'}")
    for _ in range(siege.arena.size(3, 30)):
        siege.tries += 1
        code = _ask(siege, b"x" * (8 * MAX_LINE))
        siege.expect(code == "too_large", Invariant.HARMLESS, f"a line without an end: the answer was {code or 'good'}")
    siege.flat(128 * MIB)


def _ask(siege: Siege, raw: bytes) -> str:
    """Send it over a new connection; the code of the first answer, empty when that is good."""
    with Wire(siege.address, IN_TIME) as wire:
        # From another thread: the server may read on only when its answer is read.
        sender = threading.Thread(target=_send_all, args=(wire, raw))
        sender.start()
        try:
            reply = wire.line()
        except TimeoutError:
            return "nothing in time"
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
        # It was refused before all of it was sent.
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
    """Sends one wrong token a connection."""

    def __init__(self, siege: Siege) -> None:
        self._siege = siege
        self._seen = -1

    def __call__(self, peer: Peer) -> bytes | None:
        """The next guess."""
        if peer.cut == self._seen:
            return None
        self._seen = peer.cut
        self._siege.tries += 1
        # What follows the guess must not be obeyed.
        return self._siege.arena.chance.choice(WRONG) + b'{"op":"submit","ref":2,"id":"stolen"}\n'


def guess(siege: Siege) -> None:
    """Wrong tokens, missing ones, and some that are none."""
    wanted = siege.arena.size(300, 10_000)
    peers = [Peer(siege.address, Guesser(siege)) for _ in range(siege.arena.size(100, 400))]
    with Swarm(peers, again=True) as swarm:
        over = swarm.run(lambda: sum(peer.cut for peer in peers) >= wanted or not siege.alive, wanted / 10)
    cut = sum(peer.cut for peer in peers)
    siege.expect(over, Invariant.ANSWERED, f"only {cut:,} of {wanted:,} guessers were cut")
    accepted = [peer for peer in peers if b'"ok"' in peer.last]
    siege.expect(not accepted, Invariant.HARMLESS, "somebody was let in with a wrong token")
    theirs, _ = split(books.read(siege.arena.journal, thorough=False))
    siege.expect(not theirs.rows, Invariant.HARMLESS, f"strangers stored {len(theirs.rows)} tasks")
    siege.flat(64 * MIB)


def one_id(siege: Siege) -> None:
    """One id for two tasks of the same payload, then 64 at once, then of another payload."""
    rounds = siege.arena.size(50, 1000)
    wires = [Wire(siege.address) for _ in range(CONNECTIONS)]
    try:
        for number in range(rounds):
            _one_id(siege, wires, f"{fuzzing.PREFIX}{number}")
    finally:
        for wire in wires:
            wire.close()
    theirs, _ = split(books.read(siege.arena.journal, thorough=False))
    siege.expect(len(theirs.rows) == rounds, Invariant.ONCE, f"{len(theirs.rows)} rows of {rounds} ids")


def _one_id(siege: Siege, wires: list[Wire], task_id: str) -> None:
    """The odd ones submit another payload; whoever is first, the others of the same payload are told `duplicate`."""
    chance = siege.arena.chance
    task = {"op": "submit", "id": task_id, "kind": "echo", "delay": fuzzing.FAR}
    other = chance.random() < 0.5
    payloads = [int(other and chance.random() < 0.5) for _ in wires]
    for ref, (wire, payload) in enumerate(zip(wires, payloads, strict=True)):
        wire.send({**task, "ref": ref, "payload": payload}, {**task, "ref": f"again {ref}", "payload": payload})
    replies = [[(payload, wire.reply()) for _ in range(2)] for wire, payload in zip(wires, payloads, strict=True)]
    told = [(payload, reply) for pair in replies for payload, reply in pair]
    siege.tries += len(told)
    taken = {payload for payload, reply in told if "ok" in reply}
    new = sum("ok" in reply and not reply["ok"]["duplicate"] for _, reply in told)
    wrong = {_code(reply) for payload, reply in told if payload not in taken} - {"conflict"}
    lost = [reply for payload, reply in told if payload in taken and "ok" not in reply]
    held = len(taken) == 1 and new == 1 and not wrong and not lost
    siege.expect(held, Invariant.ONCE, f"{task_id}: taken {taken}, {new} new, wrong codes {wrong}, {len(lost)} refused")


CASES = (
    Case(
        name="hostile, fuzzed lines",
        target="1,000,000 lines on 64 connections: no traceback, no death, memory flat",
        run=besiege(fuzz, token=TOKEN),
    ),
    Case(name="hostile, bombs of JSON", target="each refused or taken, and the server alive", run=besiege(bombs)),
    Case(
        name="hostile, wrong tokens",
        target="10,000 guesses refused, none obeyed",
        run=besiege(guess, token=TOKEN),
    ),
    Case(name="hostile, one id for all", target="1,000 ids on 64 connections: one row each", run=besiege(one_id)),
)
