"""Clients that exhaust a resource of a server: time, memory, descriptors or connections."""

import contextlib
import json
import socket
import struct
import sys
import threading
import time

import psutil

from tests.faults import fuzzing, journal_reader, rigged
from tests.faults.attack_scene import MIB, AttackScene, attack_case, split
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import PATIENCE
from tests.faults.raw_clients import ClientGroup, RawClient
from tests.faults.values import Invariant, Outcome
from tests.integration.wire import Wire
from tests.services.waiting import wait_until

if sys.platform != "win32":
    import resource

TOKEN = "a-token-that-is-not-guessed"  # noqa: S105 - of a server that lives for seconds
HELLO = json.dumps({"op": "hello", "ref": "h", "token": TOKEN}).encode() + b"\n"
CUT_TIMEOUT = 30.0
"""Seconds within which a slow client must be disconnected: 20 for a line, and the interval of the server's check."""

THROTTLE_TIMEOUT = 30
"""Seconds within which a server must stop reading from clients that never read, also on a busy machine."""

HONEST_TASKS = 20
"""Fewer new tasks than these in a second are only those of the honest client."""

MAX_BYTES_EACH = 32 * 1024
"""Most bytes of memory for an idle connection."""

_RESET = struct.pack("ii", 1, 0)


def _request(operation: str, ref: int, task_id: str, **members: object) -> bytes:
    return json.dumps({"op": operation, "ref": ref, "id": task_id, **members}).encode() + b"\n"


def _submit(number: int, payload: object = None) -> bytes:
    """Return a submission with a long delay."""
    return _request("submit", number, f"{fuzzing.PREFIX}{number}", kind="echo", delay=fuzzing.DELAY, payload=payload)


class SlowSender:
    """Sends an endless line, one byte a second."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        self._due = 0.0

    def __call__(self, client: RawClient) -> bytes | None:
        """Return the next byte when it is due."""
        if self._greeting:
            greeting, self._greeting = self._greeting, b""
            return greeting
        now = time.monotonic()
        if now < self._due:
            return None
        self._due = now + 1.0
        return b"{" if client.sent == 0 else b" "


def slow_loris(scene: AttackScene) -> None:
    """Send lines one byte a second; half of the clients have sent the token before."""
    count = scene.context.size(200, 1000)
    raw_clients = [RawClient(scene.address, SlowSender(HELLO if number % 2 else b"")) for number in range(count)]
    with ClientGroup(raw_clients) as group:
        scene.tries = count
        if scene.context.size(0, 1):
            over = group.run(lambda: all(client.cut for client in raw_clients), scene.context.patience(CUT_TIMEOUT))
            scene.expect(over, Invariant.ANSWERED, f"{group.open} were not cut in {CUT_TIMEOUT:g} s")
            informed = sum(b"unauthorized" in client.last or b"bad_frame" in client.last for client in raw_clients)
            scene.expect(informed == count, Invariant.ANSWERED, f"{count - informed} received no error")
        else:
            group.run(lambda: False, 2.0)
            scene.expect(group.open == count, Invariant.ANSWERED, f"{count - group.open} were cut too early")
    scene.expect_flat_memory(64 * MIB)
    scene.expect_released()


class RequestFlood:
    """Sends very many requests."""

    def __init__(self, first: int, count: int) -> None:
        self._next = first
        self._end = first + count

    def __call__(self, client: RawClient) -> bytes | None:
        """Return the next hundred."""
        numbers = range(self._next, min(self._end, self._next + 100))
        self._next += len(numbers)
        return b"".join(_submit(n) if n % 5 == 0 else b'{"op":"stats","ref":%d}\n' % n for n in numbers)


def deaf(scene: AttackScene) -> None:
    """Send without reading: the server must stop reading, and disconnect the clients in the end."""
    clients, each = scene.context.size(2, 20), scene.context.size(40_000, 100_000)
    torrents = [RequestFlood(number * each, each) for number in range(clients)]
    raw_clients = [RawClient(scene.address, torrent, reads=False, room=4096) for torrent in torrents]
    with ClientGroup(raw_clients) as group:
        scene.tries = clients * each
        if scene.context.size(0, 1):
            over = group.run(lambda: all(client.cut for client in raw_clients), scene.context.size(3, 60))
            scene.expect(over, Invariant.ANSWERED, f"{group.open} were not cut")
        else:
            scene.expect(_is_throttled(scene, group), Invariant.CLEAN, "the server never stops reading")
    theirs, _ = split(journal_reader.read(scene.context.journal, thorough=False))
    scene.remarks.append(f"{len(theirs.rows):,} of {clients * each // 5:,} of their tasks were accepted")
    scene.expect(5 * len(theirs.rows) < clients * each, Invariant.CLEAN, "they were not throttled")
    scene.expect_flat_memory(64 * MIB)
    scene.expect_released()


def _is_throttled(scene: AttackScene, group: ClientGroup) -> bool:
    """Return whether the server comes to a second with hardly any new task while all clients send."""
    taken = -HONEST_TASKS
    for _ in range(THROTTLE_TIMEOUT):
        former, taken = taken, journal_reader.unfinished(scene.context.journal)
        if taken - former < HONEST_TASKS:
            return True
        group.run(lambda: False, 1.0)
    return False


def greedy(scene: AttackScene) -> None:
    """Request a large result many times without reading."""
    with Wire(scene.address) as wire:
        wire.ok("submit", id="fuzz-large", kind="echo", payload="x" * (MIB - 1000))
        wire.ok("result", id="fuzz-large", wait=30)
    times = scene.context.size(300, 1000)
    lines = b"".join(_request("result", number, "fuzz-large") for number in range(times))
    raw_clients = [
        RawClient(scene.address, SendOnce(lines), reads=False, room=4096) for _ in range(scene.context.size(2, 10))
    ]
    with ClientGroup(raw_clients) as group:
        scene.tries = times * len(raw_clients)
        group.run(lambda: False, scene.context.size(3, 20))
    scene.expect_flat_memory(128 * MIB)
    scene.expect_released()


class SendOnce:
    """Sends some bytes once."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __call__(self, client: RawClient) -> bytes | None:
        """Return the bytes at the first call."""
        raw, self._raw = self._raw, b""
        return raw


def flood(scene: AttackScene) -> None:
    """Open connections that end at once, in every way."""
    seconds, rate = scene.context.size(2, 60), 2000
    began = time.monotonic()
    pause = threading.Event()
    while (passed := time.monotonic() - began) < seconds:
        if scene.tries > passed * rate:
            pause.wait(0.001)
            continue
        scene.tries += 1
        with socket.socket() as connected:
            connected.settimeout(10.0)
            connected.connect(scene.address.pair)
            if scene.context.rng.random() < 0.3:
                connected.sendall(scene.context.rng.choice([b"{", b"\n", b'{"op":"stats","ref":1}\n']))
            if scene.context.rng.random() < 0.5:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    scene.remarks.append(f"{scene.tries / seconds:,.0f} connections a second")
    scene.expect_released()
    # A leaked connection costs some 1.5 KiB: together more than this in the long profile.
    scene.expect_flat_memory(scene.context.size(8, 32) * MIB)


def unfinished(scene: AttackScene) -> None:
    """Send long lines without an end, together more than a server may hold in memory."""
    raw_clients = [
        RawClient(scene.address, SendOnce(b'{"op":"submit","payload":"' + b"x" * 1_000_000))
        for _ in range(scene.context.size(600, 1000))
    ]
    with ClientGroup(raw_clients) as group:
        scene.tries = len(raw_clients)
        over = group.run(lambda: all(client.cut for client in raw_clients), scene.context.patience(CUT_TIMEOUT))
        scene.expect(over, Invariant.ANSWERED, f"{group.open} were not cut in {CUT_TIMEOUT:g} s")
        refused = sum(b"overloaded" in client.last for client in raw_clients)
    scene.remarks.append(f"{refused} were refused for lack of memory")
    # The limit is 256 MiB; growing buffers take somewhat more than their contents.
    scene.expect_flat_memory(448 * MIB)
    scene.expect_released()


EXTRA = 50
"""Connections beyond the limit of the server."""

REFUSAL_TIMEOUT = 10.0
"""Seconds within which it must refuse all of them."""


def idle(context: CaseContext, server: str = rigged.SERVER) -> Outcome:
    """Open as many idle connections as the server allows, and some more."""
    count = min(context.size(1000, 10_000), _allow_descriptors() - 500)
    with AttackScene(context, "--max-connections", str(count), server=server) as scene:
        _hold_idle_connections(scene, count)
        scene.expect(scene.alive, Invariant.HARMLESS, "the server died")
        scene.await_honest()
    return scene.outcome()


def _hold_idle_connections(scene: AttackScene, count: int) -> None:
    with contextlib.ExitStack() as stack:
        # The honest client has one connection, and may open another.
        crowd = [stack.enter_context(Wire(scene.address)) for _ in range(count - 2)]
        scene.tries = len(crowd) + EXTRA
        scene.await_honest()
        for wire in scene.context.rng.sample(crowd, 20):
            scene.expect("ledger" in wire.ok("stats"), Invariant.ANSWERED, "an idle client was not answered")
        per_connection = (scene.usage().memory - scene.before.memory) / len(crowd)
        scene.remarks.append(f"{per_connection / 1024:.1f} KiB for each of {len(crowd):,} idle connections")
        scene.expect(
            per_connection < MAX_BYTES_EACH,
            Invariant.CLEAN,
            f"an idle connection takes {per_connection / 1024:.0f} KiB",
        )
        _refuse_further(scene)
        for wire in crowd[:100]:
            wire.close()
        scene.expect_descriptors(scene.before.descriptors + count - 50)
        began = time.monotonic()
        with Wire(scene.address) as wire:
            wire.ok("submit", id="fuzz-after", kind="echo", delay=fuzzing.DELAY)
        scene.remarks.append(f"a new client had its answer in {1000 * (time.monotonic() - began):.0f} ms")
    scene.expect_released()


def _refuse_further(scene: AttackScene) -> None:
    """Open connections beyond the limit, and expect refusals."""
    raw_clients = [RawClient(scene.address, SendOnce(b"")) for _ in range(EXTRA)]
    with ClientGroup(raw_clients) as group:
        # There may be room for two: the connections of the honest client.
        group.run(
            lambda: sum(client.cut for client in raw_clients) >= EXTRA - 2, scene.context.patience(REFUSAL_TIMEOUT)
        )
    refused = sum(b"overloaded" in client.last for client in raw_clients)
    scene.expect(refused >= EXTRA - 2, Invariant.ANSWERED, f"{EXTRA - refused} too many were not refused")


def _allow_descriptors() -> int:
    """Raise the limit of descriptors of this process. Returns the limit."""
    if sys.platform == "win32":
        return 4096
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 65_536
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def starve(scene: AttackScene) -> None:
    """Open more connections than the server has descriptors."""
    if sys.platform != "linux":
        scene.remarks.append("skipped: only Linux changes the limits of another process")
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(scene.process.pid, resource.RLIMIT_NOFILE, (scene.before.descriptors + 20, hard))
    seconds = scene.context.size(2, 60)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Wire(scene.address))
        scene.tries = 200
        scene.wait(0.5)
        worked = sum(scene.process.cpu_times()[:2])
        scene.wait(seconds)
        part = (sum(scene.process.cpu_times()[:2]) - worked) / seconds
        scene.remarks.append(f"{part:.0%} of a processor while there were no descriptors")
        scene.expect(part < 0.5, Invariant.HARMLESS, f"the server spins: {part:.0%} of a processor")
        scene.await_honest()
    began = time.monotonic()
    with Wire(scene.address) as wire:
        scene.expect("ledger" in wire.ok("stats"), Invariant.ANSWERED, "no answer after the connections were closed")
    scene.remarks.append(
        f"a new client had its answer {time.monotonic() - began:.1f} s after the connections were closed"
    )
    scene.expect_released()


LARGE = "x" * (MIB - 1000)
ROOM = 96 * MIB
"""Bytes of address space that the server may still allocate."""


class LargeTasks:
    """Sends large tasks."""

    def __init__(self, first: int, count: int) -> None:
        self._numbers = iter(range(first, first + count))

    def __call__(self, client: RawClient) -> bytes | None:
        """Return the next task."""
        number = next(self._numbers, None)
        return None if number is None else _submit(number, LARGE)


def squeeze(context: CaseContext) -> Outcome:
    """Limit the server's memory and send large tasks: it must refuse them, or die without losing one."""
    count, clients = context.size(96, 960), 8
    each = count // clients
    with AttackScene(context) as scene:
        if sys.platform == "linux":
            most = psutil.Process(scene.process.pid).memory_info().vms + ROOM
            _, hard = resource.prlimit(scene.process.pid, resource.RLIMIT_AS)
            resource.prlimit(scene.process.pid, resource.RLIMIT_AS, (most, hard))
        raw_clients = [RawClient(scene.address, LargeTasks(number * each, each)) for number in range(clients)]
        with ClientGroup(raw_clients) as group:
            over = group.run(
                lambda: group.lines >= count or not scene.alive or all(client.cut for client in raw_clients), count
            )
            scene.tries = count
            scene.mark_accepted()
            cut = sum(client.cut for client in raw_clients)
        scene.remarks.append(f"{group.lines} of {count} large tasks answered, {cut} clients cut")
        scene.expect(over, Invariant.ANSWERED, f"only {group.lines} of {count} large tasks were answered")
        wait_until(lambda: scene.recovered or not scene.alive, "the server to work again, or to die", 60)
        if not scene.alive:
            scene.remarks.append("the server died of it, and was started again")
            scene.restart()
        elif sys.platform == "linux":
            resource.prlimit(scene.process.pid, resource.RLIMIT_AS, (hard, hard))
        scene.await_honest()
    return scene.outcome(may_die=True)


CASES = (
    Case(
        name="hostile, slow loris",
        target="1,000 clients of a byte a second: disconnected, honest ones unharmed",
        run=attack_case(slow_loris, token=TOKEN),
    ),
    Case(
        name="hostile, clients that never read",
        target="2,000,000 requests of 20 clients: throttled, disconnected, memory bounded",
        run=attack_case(deaf),
    ),
    Case(
        name="hostile, large unread replies",
        target="10,000 times a result of 1 MiB: memory bounded",
        run=attack_case(greedy),
        profiles=ONLY_LONG,
    ),
    Case(
        name="hostile, long lines that do not end",
        target="1,000 times 1 MB: memory bounded",
        run=attack_case(unfinished),
        profiles=ONLY_LONG,
    ),
    Case(
        name="hostile, connections that end at once",
        target="2,000 a second for 60 s: descriptors and memory flat",
        run=attack_case(flood),
    ),
    Case(name="hostile, idle connections", target="10,000: served, and more refused cleanly", run=idle),
    Case(
        name="hostile, no descriptors",
        target="accepting waits without spinning, and recovers",
        # A connection that it gave up, because the machine is busy, could not be replaced.
        run=attack_case(starve, answer_timeout=PATIENCE),
    ),
    Case(name="hostile, little memory", target="refused, or a death that loses nothing", run=squeeze),
)
