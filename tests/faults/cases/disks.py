"""Disks that are full, slow, faulty or read-only, and a journal that another process keeps locked."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from core.client import Client
from core.heartbeat import LIVENESS_TIMEOUT
from core.jsontext import Json
from core.repository.journal import Journal
from tests.faults import tracing
from tests.faults.case import Case
from tests.faults.context import CaseContext
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
"""MiB of the disk: more than the largest write-ahead logs of journal and queue before a checkpoint."""

NOTICE_TIMEOUT = 60.0
RECOVERY_TIMEOUT = 60.0
SENTENCE = "the journal can't be written"
MAX_REPORTS = 3
"""Most log lines for one fault: it may pass for a moment after a checkpoint."""

REFUSED = 10
"""Tasks submitted while the journal can't be written; a log line for each would be a flood."""

READ_ONLY_CODE = 5
MAX_HEARTBEAT_AGE = LIVENESS_TIMEOUT
"""Largest age of a heartbeat on a slow disk, in seconds: a process with an older one does not count as alive."""

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


def full(context: CaseContext) -> Outcome:
    """Fill the disk, check that this is reported, and free it."""
    cycles = context.size(1, 5)
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(Disk(context.system, ROOM))
        except PermissionError as error:
            return Outcome(remarks=(f"skipped: {error}",))
        system, driver = stack.enter_context(_working(context))
        broken: list[Finding] = []
        for cycle in range(cycles):
            _wait_for_tasks(driver, 20)
            with _filled(disk):
                wait_until(partial(_was_logged, system, cycle + 1), "a full disk to be logged", NOTICE_TIMEOUT)
                broken += _refused(context, system, cycle)
            _wait_for_tasks(driver, 20)
            context.show_progress(f"{cycle + 1} of {cycles} times full, {driver.accepted:,} tasks")
        driver.end()
        context.drain()
        broken += _flooded(system, cycles)
        outcome = context.judge(driver, faults=cycles)
    return _with(outcome, broken)


@contextlib.contextmanager
def _filled(disk: Disk) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.free()


@contextlib.contextmanager
def _working(context: CaseContext) -> Iterator[Scene]:
    """Provide a server, a worker, and an honest client."""
    arguments = ("--tasks", context.tasks_module, "-c", "2")
    with LocalSystem(context.system, 1, 1, worker_arguments=arguments) as system:
        driver = context.driver(system.addresses[0], pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            yield system, driver
        finally:
            driver.end()


def _wait_for_tasks(driver: Driver, tasks: int) -> None:
    """Wait until so many more tasks are accepted."""
    wanted = driver.accepted + tasks
    wait_until(lambda: driver.accepted >= wanted or driver.over, f"{tasks} more tasks", RECOVERY_TIMEOUT)


def _was_logged(system: LocalSystem, times: int) -> bool:
    return _count_reports(system) >= times


def _count_reports(system: LocalSystem) -> int:
    """Return how often the server logged that its journal can't be written."""
    return system.log("s1").count(SENTENCE)


def _refused(context: CaseContext, system: LocalSystem, turn: int) -> list[Finding]:
    """Submit some tasks while the journal can't be written."""
    broken = [
        finding for number in range(REFUSED) for finding in _refused_one(context, system, turn * REFUSED + number)
    ]
    with Client(system.addresses, timeout=5.0) as client:
        journal = client.stats().journal
    return (
        broken
        if journal != "ready"
        else [*broken, Finding(Invariant.ANSWERED, "the statistics report the journal as ready")]
    )


def _refused_one(context: CaseContext, system: LocalSystem, number: int) -> list[Finding]:
    task_id = f"t-{1_000_000 + number}"
    context.submissions.record_sent([task_id])
    code = _answer(system, {"op": "submit", "ref": "full", "id": task_id, "kind": "honest", "payload": None})
    context.submissions.record_answers([(task_id, code)])
    return [] if code == "unavailable" else [Finding(Invariant.ANSWERED, f"a task was not refused, but {code}")]


def _answer(system: LocalSystem, request: dict[str, Json]) -> str:
    """Return the error code of a reply, or `accepted`; `silence` when there is no reply in time."""
    with socket.create_connection(system.addresses[0].pair, 5.0) as stream, stream.makefile("rwb") as file:
        file.write(msgspec.json.encode(request) + b"\n")
        file.flush()
        for line in file:
            reply = msgspec.json.decode(line)
            if reply.get("ref") == request["ref"]:
                return str(reply["error"]["code"]) if "error" in reply else "accepted"
    return "silence"


def _flooded(system: LocalSystem, cycles: int) -> list[Finding]:
    reports = {name: system.log(name).count(SENTENCE) for name in ("s1", "w1")}
    broken = [
        Finding(Invariant.HARMLESS, f"{name} logged {count} times that the journal can't be written")
        for name, count in reports.items()
        if count > MAX_REPORTS * cycles
    ]
    traced = [name for name in reports if "Traceback" in system.log(name)]
    return broken + [Finding(Invariant.HARMLESS, f"the log of {name} has a traceback") for name in traced]


def _with(outcome: Outcome, broken: Sequence[Finding], *remarks: str) -> Outcome:
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, *remarks))


def erratic(context: CaseContext) -> Outcome:
    """Let some writes and syncs of server and worker fail."""
    tasks = context.size(150, 5_000)

    def injections() -> list[str]:
        rng = context.rng
        return [
            tracing.failing("pwrite64", rng.choice(["ENOSPC", "EIO"]), 50 + rng.randrange(200), 397),
            tracing.failing("fdatasync", rng.choice(["ENOSPC", "EIO"]), 5 + rng.randrange(20), 41),
        ]

    with _working(context) as (system, driver):
        with Tracer(system.process("s1").pid, *injections()), Tracer(system.process("w1").pid, *injections()):
            wait_until(lambda: driver.accepted >= tasks or driver.over, "enough tasks", tasks / 10 + RECOVERY_TIMEOUT)
        driver.end()
        context.drain()
        reports = system.log("s1").count(SENTENCE) + system.log("w1").count(SENTENCE)
        traced = [name for name in ("s1", "w1") if "Traceback" in system.log(name)]
    outcome = context.judge(driver, faults=reports)
    broken = [Finding(Invariant.HARMLESS, f"the log of {name} has a traceback") for name in traced]
    return _with(outcome, broken)


def slow(context: CaseContext) -> Outcome:
    """Delay each sync by a fifth of a second."""
    seconds = context.size(3, 60)
    with _working(context) as (system, driver):
        _wait_for_tasks(driver, 20)
        before, began = driver.accepted, time.monotonic()
        latest = 0.0
        injection = tracing.slow("fdatasync", 0.2)
        with Tracer(system.process("s1").pid, injection), Tracer(system.process("w1").pid, injection):
            while time.monotonic() < began + seconds:
                end = time.monotonic() + 0.2
                wait_until(lambda end=end: time.monotonic() >= end, "a moment")  # type: ignore[misc]  # mypy can't infer a lambda with a default
                latest = max(latest, _heartbeat_age(system))
        pace = (driver.accepted - before) / (time.monotonic() - began)
        driver.end()
        context.drain()
    outcome = context.judge(driver, faults=1)
    broken = [Finding(Invariant.ANSWERED, f"a heartbeat was {latest:.1f} s late")] if latest > MAX_HEARTBEAT_AGE else []
    if pace > RATE / 2:
        broken.append(Finding(Invariant.CLEAN, f"nothing was slow: {pace:.0f} tasks a second"))
    return _with(outcome, broken, f"{pace:.0f} tasks a second, heartbeats {latest:.1f} s old at most")


def _heartbeat_age(system: LocalSystem) -> float:
    """Return the age of the older heartbeat of the two processes."""
    pids = {system.process(name).pid for name in ("s1", "w1")}
    with Journal("resultados.db", system.directory).open_readonly() as repository:
        seen = [record.seen_at for record in repository.processes() if record.pid in pids]
    return time.time() - min(seen)


def read_only(context: CaseContext) -> Outcome:
    """Start on a read-only disk, and make the disk of a running system read-only for a while."""
    broken: list[Finding] = []
    remarks: list[str] = []
    with _working(context) as (system, driver):
        _wait_for_tasks(driver, 20)
        with Tracer(system.process("s1").pid, tracing.failing("pwrite64", "EROFS", 1, 1)):
            wait_until(lambda: _count_reports(system) > 0, "a read-only disk to be reported", NOTICE_TIMEOUT)
            broken += _refused(context, system, 0)
        _wait_for_tasks(driver, 20)
        driver.end()
        context.drain()
        broken += _flooded(system, 1)
    outcome = context.judge(driver, faults=1)
    place = context.directory / "read-only"
    place.mkdir()
    try:
        with Disk(place, ROOM) as disk:
            with programs.server(place) as server:
                server.ready()
            with disk.read_only():
                broken += [*_starts("core.server", place), *_starts("core.worker", place)]
    except PermissionError as error:
        remarks.append(f"the start was skipped: {error}")
    return _with(outcome, broken, *remarks)


def _starts(module: str, place: object) -> list[Finding]:
    """Return findings on how a program ends that can't write its journal."""
    listen = ["--listen", "127.0.0.1:0"] if module == "core.server" else []
    ended = programs.run(module, "--dir", str(place), *listen)
    message = ended.errors.strip()
    if ended.code == READ_ONLY_CODE and "read" in message and len(message.splitlines()) == 1:
        return []
    return [Finding(Invariant.ANSWERED, f"{module} on a read-only disk ended with {ended.code}: {message}")]


def locked(context: CaseContext) -> Outcome:
    """Let another process lock the journal for a while."""
    times, seconds = context.size(1, 5), context.size(2, 10)
    with _working(context) as (_, driver):
        for _ in range(times):
            _wait_for_tasks(driver, 20)
            held = subprocess.run(
                [sys.executable, "-c", LOCKING, str(context.journal), str(seconds)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds + 60,
                check=False,
            )
            assert held.stdout == "held\n", held.stderr
        _wait_for_tasks(driver, 20)
        driver.end()
        context.drain()
    outcome = context.judge(driver, faults=times)
    waited = max(driver.seconds)
    broken = [] if waited > seconds / 2 else [Finding(Invariant.CLEAN, f"no answer took longer than {waited:.1f} s")]
    return _with(outcome, broken)


def _case(name: str, target: str, run: Callable[[CaseContext], Outcome], *needed: str) -> Case:
    return Case(name=name, target=target, run=run, programs=needed)


CASES = (
    _case("disk full", "5 times: refused, reported, none lost, recovers by itself", full, *PROGRAMS),
    _case("disk with occasional errors", "5,000 tasks: none lost, no traceback", erratic, tracing.PROGRAM),
    _case("slow disk", "0.2 s a sync: slower, none lost, heartbeats go on", slow, tracing.PROGRAM),
    _case(
        "read-only disk",
        "refused and reported; at the start a sentence and exit code 5",
        read_only,
        tracing.PROGRAM,
        *PROGRAMS,
    ),
    _case("locked journal", "10 s: waits, none lost", locked),
)
