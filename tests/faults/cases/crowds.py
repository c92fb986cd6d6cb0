"""Clients that want a server to run out of something: time, memory, descriptors, room for connections."""

import contextlib
import json
import socket
import struct
import sys
import threading
import time

import psutil

from tests.faults import books, fuzzing, rigged
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.siege import MIB, Siege, besiege, split
from tests.faults.swarm import Peer, Swarm
from tests.faults.values import Invariant, Outcome
from tests.integration.wire import Wire
from tests.services.waiting import wait_until

if sys.platform != "win32":
    import resource

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of a server that lives for seconds
HELLO = json.dumps({"op": "hello", "ref": "h", "token": TOKEN}).encode() + b"\n"
LATEST_CUT = 30.0
"""Seconds within which a client that dribbles has to be cut: 20 for a line, and what the server takes to look."""

HELD_UP_WITHIN = 30
"""Seconds within which a server has to read no further of clients that never read, however busy the machine."""

CALM = 20
"""Fewer tasks than these in a second are honest ones that have not ended."""

MOST_EACH = 32 * 1024
"""Bytes of memory that a connection may cost which does nothing."""

_RESET = struct.pack("ii", 1, 0)


def _request(operation: str, ref: int, task_id: str, **members: object) -> bytes:
    return json.dumps({"op": operation, "ref": ref, "id": task_id, **members}).encode() + b"\n"


def _submit(number: int, payload: object = None) -> bytes:
    """A task that runs much later."""
    return _request("submit", number, f"{fuzzing.PREFIX}{number}", kind="echo", delay=fuzzing.FAR, payload=payload)


class Dribble:
    """Sends a byte a second of a line that never ends."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        self._due = 0.0

    def __call__(self, peer: Peer) -> bytes | None:
        """The next byte, when it is time."""
        if self._greeting:
            greeting, self._greeting = self._greeting, b""
            return greeting
        now = time.monotonic()
        if now < self._due:
            return None
        self._due = now + 1.0
        return b"{" if peer.sent == 0 else b" "


def slow_loris(siege: Siege) -> None:
    """Half of them have shown the token before."""
    count = siege.arena.size(200, 1000)
    peers = [Peer(siege.address, Dribble(HELLO if number % 2 else b"")) for number in range(count)]
    with Swarm(peers) as swarm:
        siege.tries = count
        if siege.arena.size(0, 1):
            over = swarm.run(lambda: all(peer.cut for peer in peers), LATEST_CUT)
            siege.expect(over, Invariant.ANSWERED, f"{swarm.open} were not cut in {LATEST_CUT:g} s")
            told = sum(b"unauthorized" in peer.last or b"bad_frame" in peer.last for peer in peers)
            siege.expect(told == count, Invariant.ANSWERED, f"{count - told} were not told why")
        else:
            swarm.run(lambda: False, 2.0)
            siege.expect(swarm.open == count, Invariant.ANSWERED, f"{count - swarm.open} were cut too early")
    siege.flat(64 * MIB)
    siege.released()


class Torrent:
    """Sends very many requests."""

    def __init__(self, first: int, count: int) -> None:
        self._next = first
        self._end = first + count

    def __call__(self, peer: Peer) -> bytes | None:
        """A hundred of them."""
        numbers = range(self._next, min(self._end, self._next + 100))
        self._next += len(numbers)
        return b"".join(_submit(n) if n % 5 == 0 else b'{"op":"stats","ref":%d}\n' % n for n in numbers)


def deaf(siege: Siege) -> None:
    """They send and never read: the server must read no further, and cut them in the end."""
    clients, each = siege.arena.size(2, 20), siege.arena.size(40_000, 100_000)
    torrents = [Torrent(number * each, each) for number in range(clients)]
    peers = [Peer(siege.address, torrent, reads=False, room=4096) for torrent in torrents]
    with Swarm(peers) as swarm:
        siege.tries = clients * each
        if siege.arena.size(0, 1):
            over = swarm.run(lambda: all(peer.cut for peer in peers), siege.arena.size(3, 60))
            siege.expect(over, Invariant.ANSWERED, f"{swarm.open} were not cut")
        else:
            siege.expect(_held_up(siege, swarm), Invariant.CLEAN, "the server reads on and on")
    theirs, _ = split(books.read(siege.arena.journal, thorough=False))
    siege.remarks.append(f"{len(theirs.rows):,} of {clients * each // 5:,} of their tasks were taken")
    siege.expect(5 * len(theirs.rows) < clients * each, Invariant.CLEAN, "they were not held up")
    siege.flat(64 * MIB)
    siege.released()


def _held_up(siege: Siege, swarm: Swarm) -> bool:
    """Whether there comes a second in which the server takes hardly a task, while all of them send."""
    taken = -CALM
    for _ in range(HELD_UP_WITHIN):
        former, taken = taken, books.unfinished(siege.arena.journal)
        if taken - former < CALM:
            return True
        swarm.run(lambda: False, 1.0)
    return False


def greedy(siege: Siege) -> None:
    """They ask for a large result many times, and read nothing."""
    with Wire(siege.address) as wire:
        wire.ok("submit", id="fuzz-large", kind="echo", payload="x" * (MIB - 1000))
        wire.ok("result", id="fuzz-large", wait=30)
    times = siege.arena.size(300, 1000)
    lines = b"".join(_request("result", number, "fuzz-large") for number in range(times))
    peers = [Peer(siege.address, Once(lines), reads=False, room=4096) for _ in range(siege.arena.size(2, 10))]
    with Swarm(peers) as swarm:
        siege.tries = times * len(peers)
        swarm.run(lambda: False, siege.arena.size(3, 20))
    siege.flat(128 * MIB)
    siege.released()


class Once:
    """Sends one thing."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __call__(self, peer: Peer) -> bytes | None:
        """All of it, the first time."""
        raw, self._raw = self._raw, b""
        return raw


def flood(siege: Siege) -> None:
    """Connections that end at once, in every way."""
    seconds, rate = siege.arena.size(2, 60), 2000
    began = time.monotonic()
    pause = threading.Event()
    while (passed := time.monotonic() - began) < seconds:
        if siege.tries > passed * rate:
            pause.wait(0.001)
            continue
        siege.tries += 1
        with socket.socket() as connected:
            connected.settimeout(10.0)
            connected.connect(siege.address.pair)
            if siege.arena.chance.random() < 0.3:
                connected.sendall(siege.arena.chance.choice([b"{", b"\n", b'{"op":"stats","ref":1}\n']))
            if siege.arena.chance.random() < 0.5:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    siege.remarks.append(f"{siege.tries / seconds:,.0f} connections a second")
    siege.released()
    # If none of them is forgotten, each costs some 1.5 KiB: that is more than this in the long profile.
    siege.flat(siege.arena.size(8, 32) * MIB)


def begun(siege: Siege) -> None:
    """Long lines that they begin and don't end: all together are more than a server may hold."""
    peers = [
        Peer(siege.address, Once(b'{"op":"submit","payload":"' + b"x" * 1_000_000))
        for _ in range(siege.arena.size(600, 1000))
    ]
    with Swarm(peers) as swarm:
        siege.tries = len(peers)
        over = swarm.run(lambda: all(peer.cut for peer in peers), LATEST_CUT)
        siege.expect(over, Invariant.ANSWERED, f"{swarm.open} were not cut in {LATEST_CUT:g} s")
        refused = sum(b"overloaded" in peer.last for peer in peers)
    siege.remarks.append(f"{refused} were refused for the memory that all took")
    # The limit is 256 MiB; buffers that grow take somewhat more than what is in them.
    siege.flat(448 * MIB)
    siege.released()


EXTRA = 50
"""Connections beyond those that a server takes."""

REFUSED_WITHIN = 10.0
"""Seconds that it has to say so to all of them."""


def idle(arena: Arena, server: str = rigged.SERVER) -> Outcome:
    """As many connections as a server takes, that do nothing, and some more."""
    count = min(arena.size(1000, 10_000), _allow_descriptors() - 500)
    with Siege(arena, "--max-connections", str(count), server=server) as siege:
        _crowd(siege, count)
        siege.expect(siege.alive, Invariant.HARMLESS, "the server died")
        siege.await_honest()
    return siege.outcome()


def _crowd(siege: Siege, count: int) -> None:
    with contextlib.ExitStack() as stack:
        # The honest client has one, and may take another.
        crowd = [stack.enter_context(Wire(siege.address)) for _ in range(count - 2)]
        siege.tries = len(crowd) + EXTRA
        siege.await_honest()
        for wire in siege.arena.chance.sample(crowd, 20):
            siege.expect("ledger" in wire.ok("stats"), Invariant.ANSWERED, "an idle client was forgotten")
        per_connection = (siege.figures().memory - siege.before.memory) / len(crowd)
        siege.remarks.append(f"{per_connection / 1024:.1f} KiB for each of {len(crowd):,} idle connections")
        siege.expect(
            per_connection < MOST_EACH, Invariant.CLEAN, f"an idle connection takes {per_connection / 1024:.0f} KiB"
        )
        _refuse_further(siege)
        for wire in crowd[:100]:
            wire.close()
        siege.released_to(siege.before.descriptors + count - 50)
        began = time.monotonic()
        with Wire(siege.address) as wire:
            wire.ok("submit", id="fuzz-after", kind="echo", delay=fuzzing.FAR)
        siege.remarks.append(f"a new client had its answer in {1000 * (time.monotonic() - began):.0f} ms")
    siege.released()


def _refuse_further(siege: Siege) -> None:
    """Come in addition, and expect to be told that there is no room."""
    peers = [Peer(siege.address, Once(b"")) for _ in range(EXTRA)]
    with Swarm(peers) as swarm:
        # There may be room for two: the honest client's own connections.
        swarm.run(lambda: sum(peer.cut for peer in peers) >= EXTRA - 2, REFUSED_WITHIN)
    refused = sum(b"overloaded" in peer.last for peer in peers)
    siege.expect(refused >= EXTRA - 2, Invariant.ANSWERED, f"{EXTRA - refused} too many were not refused")


def _allow_descriptors() -> int:
    """Allow this process as many as it may have; how many."""
    if sys.platform == "win32":
        return 4096
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 65_536
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def starve(siege: Siege) -> None:
    """More connections than the server has descriptors for."""
    if sys.platform != "linux":
        siege.remarks.append("left out: only Linux changes the limits of another process")
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(siege.process.pid, resource.RLIMIT_NOFILE, (siege.before.descriptors + 20, hard))
    seconds = siege.arena.size(2, 60)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Wire(siege.address))
        siege.tries = 200
        siege.rest(0.5)
        worked = sum(siege.process.cpu_times()[:2])
        siege.rest(seconds)
        part = (sum(siege.process.cpu_times()[:2]) - worked) / seconds
        siege.remarks.append(f"{part:.0%} of a processor while there were no descriptors")
        siege.expect(part < 0.5, Invariant.HARMLESS, f"the server spins: {part:.0%} of a processor")
        siege.await_honest()
    began = time.monotonic()
    with Wire(siege.address) as wire:
        siege.expect("ledger" in wire.ok("stats"), Invariant.ANSWERED, "no answer after the crowd had left")
    siege.remarks.append(f"a new client had its answer {time.monotonic() - began:.1f} s after the crowd had left")
    siege.released()


LARGE = "x" * (MIB - 1000)
ROOM = 96 * MIB
"""Of address space that the server may take beyond what it has."""


class Heap:
    """Sends large tasks."""

    def __init__(self, first: int, count: int) -> None:
        self._numbers = iter(range(first, first + count))

    def __call__(self, peer: Peer) -> bytes | None:
        """The next one."""
        number = next(self._numbers, None)
        return None if number is None else _submit(number, LARGE)


def squeeze(arena: Arena) -> Outcome:
    """A limit of memory, and much to hold: refusals, or a death that loses nothing."""
    count, clients = arena.size(96, 960), 8
    each = count // clients
    with Siege(arena) as siege:
        if sys.platform == "linux":
            most = psutil.Process(siege.process.pid).memory_info().vms + ROOM
            _, hard = resource.prlimit(siege.process.pid, resource.RLIMIT_AS)
            resource.prlimit(siege.process.pid, resource.RLIMIT_AS, (most, hard))
        peers = [Peer(siege.address, Heap(number * each, each)) for number in range(clients)]
        with Swarm(peers) as swarm:
            over = swarm.run(lambda: swarm.lines >= count or not siege.alive or all(peer.cut for peer in peers), count)
            siege.tries = count
            siege.begin_again()
            cut = sum(peer.cut for peer in peers)
        siege.remarks.append(f"{swarm.lines} of {count} large tasks answered, {cut} clients cut")
        siege.expect(over, Invariant.ANSWERED, f"only {swarm.lines} of {count} large tasks were answered")
        wait_until(lambda: siege.recovered or not siege.alive, "the server to work again, or to die", 60)
        if not siege.alive:
            siege.remarks.append("the server died of it, and was started again")
            siege.restart()
        elif sys.platform == "linux":
            resource.prlimit(siege.process.pid, resource.RLIMIT_AS, (hard, hard))
        siege.await_honest()
    return siege.outcome(may_die=True)


CASES = (
    Case(
        name="hostile, slow loris",
        target="1,000 clients of a byte a second: cut, honest ones unharmed",
        run=besiege(slow_loris, token=TOKEN),
    ),
    Case(
        name="hostile, clients that never read",
        target="2,000,000 requests of 20 clients: held up, cut, memory bounded",
        run=besiege(deaf),
    ),
    Case(
        name="hostile, large answers that nobody reads",
        target="10,000 times a result of 1 MiB: memory bounded",
        run=besiege(greedy),
        profiles=ONLY_LONG,
    ),
    Case(
        name="hostile, long lines that do not end",
        target="1,000 times 1 MB: memory bounded",
        run=besiege(begun),
        profiles=ONLY_LONG,
    ),
    Case(
        name="hostile, connections that end at once",
        target="2,000 a second for 60 s: descriptors and memory flat",
        run=besiege(flood),
    ),
    Case(name="hostile, idle connections", target="10,000: served, and more refused cleanly", run=idle),
    Case(
        name="hostile, no descriptors",
        target="accepting waits without spinning, and recovers",
        run=besiege(starve),
    ),
    Case(name="hostile, little memory", target="refused, or a death that loses nothing", run=squeeze),
)
