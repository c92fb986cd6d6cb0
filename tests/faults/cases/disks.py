"""Disks that are full, slow, broken or read-only, and a journal that somebody else keeps locked."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from core.client import Client
from core.jsontext import Json
from core.repository.journal import Journal
from tests.faults import tracing
from tests.faults.arena import Arena
from tests.faults.case import Case
from tests.faults.driver import Driver, Pace
from tests.faults.mounting import PROGRAMS, Disk
from tests.faults.tracing import Tracer
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration import programs
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 100.0
WORK = 0.002
ROOM = 40
"""MiB: more than the largest log that the journal and the queue may have, before they are carried over."""

NOTICED_WITHIN = 30.0
MENDED_WITHIN = 30.0
SENTENCE = "the journal can't be written"
MOST_SENTENCES = 3
"""How often one trouble may be told in the log: it may pass for a moment when something is carried over."""

REFUSED = 10
"""Tasks that are submitted while nothing can be stored; a log that tells each of them is a flood."""

READ_ONLY_CODE = 5
HEARTBEATS = 3.0
"""Seconds that a heartbeat may be late on a slow disk: it is written twice a second."""

LOCKING = """
import sys, threading, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(20_000)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
threading.Event().wait(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""

Scene = tuple[LocalSystem, Driver]


def full(arena: Arena) -> Outcome:
    """Fill the disk up, see that it is told, and free it."""
    cycles = arena.size(1, 5)
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(Disk(arena.system, ROOM))
        except PermissionError as error:
            return Outcome(remarks=(f"left out: {error}",))
        system, driver = stack.enter_context(_working(arena))
        broken: list[Finding] = []
        for cycle in range(cycles):
            _more(driver, 20)
            with _filled(disk):
                wait_until(lambda wanted=cycle + 1: _told(system) >= wanted, "a full disk to be told", NOTICED_WITHIN)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                broken += _refused(arena, system, cycle)
            _more(driver, 20)
            arena.say(f"{cycle + 1} of {cycles} times full, {driver.accepted:,} tasks")
        driver.end()
        arena.drain()
        broken += _flooded(system, cycles)
        outcome = arena.judge(driver, faults=cycles)
    return _with(outcome, broken)


@contextlib.contextmanager
def _filled(disk: Disk) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.free()


@contextlib.contextmanager
def _working(arena: Arena) -> Iterator[Scene]:
    """A server, a worker, and an honest client."""
    arguments = ("--tasks", arena.tasks_module, "-c", "2")
    with LocalSystem(arena.system, 1, 1, worker_arguments=arguments) as system:
        driver = arena.driver(system.addresses[0], pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            yield system, driver
        finally:
            driver.end()


def _more(driver: Driver, tasks: int) -> None:
    """Wait until so many more have been accepted."""
    wanted = driver.accepted + tasks
    wait_until(lambda: driver.accepted >= wanted or driver.over, f"{tasks} more tasks", MENDED_WITHIN)


def _told(system: LocalSystem) -> int:
    """How often the server's log says that its journal can't be written."""
    return system.log("s1").count(SENTENCE)


def _refused(arena: Arena, system: LocalSystem, turn: int) -> list[Finding]:
    """Submit some tasks while nothing can be stored."""
    broken = [finding for number in range(REFUSED) for finding in _refused_one(arena, system, turn * REFUSED + number)]
    with Client(system.addresses, timeout=5.0) as client:
        told = client.stats().journal
    return broken if told != "ready" else [*broken, Finding(Invariant.ANSWERED, "stats say that the journal is ready")]


def _refused_one(arena: Arena, system: LocalSystem, number: int) -> list[Finding]:
    task_id = f"t-{1_000_000 + number}"
    arena.ledger.sending([task_id])
    code = _answer(system, {"op": "submit", "ref": "full", "id": task_id, "kind": "honest", "payload": None})
    arena.ledger.answered([(task_id, code)])
    return [] if code == "unavailable" else [Finding(Invariant.ANSWERED, f"a task was not refused, but {code}")]


def _answer(system: LocalSystem, request: dict[str, Json]) -> str:
    """The code of a server's refusal, or `accepted`; `silence` when there is no answer in time."""
    with socket.create_connection(system.addresses[0].pair, 5.0) as stream, stream.makefile("rwb") as file:
        file.write(msgspec.json.encode(request) + b"\n")
        file.flush()
        for line in file:
            reply = msgspec.json.decode(line)
            if reply.get("ref") == request["ref"]:
                return str(reply["error"]["code"]) if "error" in reply else "accepted"
    return "silence"


def _flooded(system: LocalSystem, cycles: int) -> list[Finding]:
    told = {name: system.log(name).count(SENTENCE) for name in ("s1", "w1")}
    broken = [
        Finding(Invariant.HARMLESS, f"the log of {name} says {count} times that the journal can't be written")
        for name, count in told.items()
        if count > MOST_SENTENCES * cycles
    ]
    traced = [name for name in told if "Traceback" in system.log(name)]
    return broken + [Finding(Invariant.HARMLESS, f"the log of {name} has a traceback") for name in traced]


def _with(outcome: Outcome, broken: Sequence[Finding], *remarks: str) -> Outcome:
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, *remarks))


def erratic(arena: Arena) -> Outcome:
    """Let some writes and syncs of both parts fail, now and then, all the time."""
    tasks = arena.size(150, 5_000)

    def injections() -> list[str]:
        chance = arena.chance
        return [
            tracing.failing("pwrite64", chance.choice(["ENOSPC", "EIO"]), 50 + chance.randrange(200), 397),
            tracing.failing("fdatasync", chance.choice(["ENOSPC", "EIO"]), 5 + chance.randrange(20), 41),
        ]

    with _working(arena) as (system, driver):
        with Tracer(system.process("s1").pid, *injections()), Tracer(system.process("w1").pid, *injections()):
            wait_until(lambda: driver.accepted >= tasks or driver.over, "enough tasks", tasks / 10 + MENDED_WITHIN)
        driver.end()
        arena.drain()
        told = system.log("s1").count(SENTENCE) + system.log("w1").count(SENTENCE)
        traced = [name for name in ("s1", "w1") if "Traceback" in system.log(name)]
    outcome = arena.judge(driver, faults=told)
    broken = [Finding(Invariant.HARMLESS, f"the log of {name} has a traceback") for name in traced]
    return _with(outcome, broken)


def slow(arena: Arena) -> Outcome:
    """Make each sync take a fifth of a second."""
    seconds = arena.size(3, 60)
    with _working(arena) as (system, driver):
        _more(driver, 20)
        before, began = driver.accepted, time.monotonic()
        latest = 0.0
        injection = tracing.slow("fdatasync", 0.2)
        with Tracer(system.process("s1").pid, injection), Tracer(system.process("w1").pid, injection):
            while time.monotonic() < began + seconds:
                end = time.monotonic() + 0.2
                wait_until(lambda end=end: time.monotonic() >= end, "a moment")  # type: ignore[misc]  # mypy can't infer a lambda with a default
                latest = max(latest, _late(system))
        pace = (driver.accepted - before) / (time.monotonic() - began)
        driver.end()
        arena.drain()
    outcome = arena.judge(driver, faults=1)
    broken = [Finding(Invariant.ANSWERED, f"a heartbeat was {latest:.1f} s late")] if latest > HEARTBEATS else []
    if pace > RATE / 2:
        broken.append(Finding(Invariant.CLEAN, f"nothing was slow: {pace:.0f} tasks a second"))
    return _with(outcome, broken, f"{pace:.0f} tasks a second, heartbeats {latest:.1f} s old at most")


def _late(system: LocalSystem) -> float:
    """How old the older of the two last heartbeats is."""
    pids = {system.process(name).pid for name in ("s1", "w1")}
    with Journal("resultados.db", system.directory).open_readonly() as repository:
        seen = [record.seen_at for record in repository.processes() if record.pid in pids]
    return time.time() - min(seen)


def read_only(arena: Arena) -> Outcome:
    """Start on a read-only disk, and have a disk become read-only, and writable again, under a system that runs."""
    broken: list[Finding] = []
    remarks: list[str] = []
    with _working(arena) as (system, driver):
        _more(driver, 20)
        with Tracer(system.process("s1").pid, tracing.failing("pwrite64", "EROFS", 1, 1)):
            wait_until(lambda: _told(system) > 0, "a read-only disk to be told", NOTICED_WITHIN)
            broken += _refused(arena, system, 0)
        _more(driver, 20)
        driver.end()
        arena.drain()
        broken += _flooded(system, 1)
    outcome = arena.judge(driver, faults=1)
    place = arena.directory / "read-only"
    place.mkdir()
    try:
        with Disk(place, ROOM) as disk:
            with programs.server(place) as server:
                server.ready()
            with disk.read_only():
                broken += [*_starts("core.server", place), *_starts("core.worker", place)]
    except PermissionError as error:
        remarks.append(f"the start was left out: {error}")
    return _with(outcome, broken, *remarks)


def _starts(module: str, place: object) -> list[Finding]:
    """What is wrong with how a program ends that can't write its journal."""
    listen = ["--listen", "127.0.0.1:0"] if module == "core.server" else []
    ended = programs.run(module, "--dir", str(place), *listen)
    told = ended.errors.strip()
    if ended.code == READ_ONLY_CODE and "read" in told and len(told.splitlines()) == 1:
        return []
    return [Finding(Invariant.ANSWERED, f"{module} on a read-only disk ended with {ended.code}: {told}")]


def locked(arena: Arena) -> Outcome:
    """Let another process hold the journal's lock for a while."""
    times, seconds = arena.size(1, 5), arena.size(2, 10)
    with _working(arena) as (_, driver):
        for _ in range(times):
            _more(driver, 20)
            held = subprocess.run(
                [sys.executable, "-c", LOCKING, str(arena.journal), str(seconds)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds + 60,
                check=False,
            )
            assert held.stdout == "held\n", held.stderr
        _more(driver, 20)
        driver.end()
        arena.drain()
    outcome = arena.judge(driver, faults=times)
    waited = max(driver.seconds)
    broken = [] if waited > seconds / 2 else [Finding(Invariant.CLEAN, f"nobody waited longer than {waited:.1f} s")]
    return _with(outcome, broken)


def _case(name: str, target: str, run: Callable[[Arena], Outcome], *needed: str) -> Case:
    return Case(name=name, target=target, run=run, programs=needed)


CASES = (
    _case("disk full", "5 times: refused, told, none lost, goes on by itself", full, *PROGRAMS),
    _case("disk that fails now and then", "5,000 tasks: none lost, no traceback", erratic, tracing.PROGRAM),
    _case("slow disk", "0.2 s a sync: slower, none lost, heartbeats go on", slow, tracing.PROGRAM),
    _case(
        "read-only disk",
        "refused and told; at the start a sentence and exit code 5",
        read_only,
        tracing.PROGRAM,
        *PROGRAMS,
    ),
    _case("locked journal", "10 s: waits, none lost", locked),
)
