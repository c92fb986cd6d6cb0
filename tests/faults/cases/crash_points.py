"""Death at a system call: of a server or a worker at its Nth write, sync or send, and of a schema's migration.

What was stored and not told is the interesting moment: a server that dies between its commit and its answer,
and a worker that dies between its commit and its acknowledgement.
"""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import apsw
import msgspec

from core.errors import CauceError
from core.repository.journal import Journal
from tests.faults import books, judge, ledger, nodes, tracing
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import Pace, name
from tests.faults.tracing import Tracer
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import TOP, clean_environment
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 100.0
WORK = 0.002
CALLS = ("pwrite64", "fdatasync", "sendto")
"""What both do: write a page of a log, sync it, and answer, publish, acknowledge or wake another thread."""

LARGEST = {"pwrite64": 150, "fdatasync": 15, "sendto": 25}
"""Up to which call of a thread the process lives: some commits."""

REACHED_WITHIN = 30.0
OLD_TASKS = 20

LAST_WRITE = 50
"""Up to which write of its start a server that migrates a journal may live."""


def embedded(arena: Arena) -> Outcome:
    """Two hundred deaths on the embedded queue."""
    return points(arena, "embedded", arena.size(8, 200))


def on_rabbitmq(arena: Arena) -> Outcome:
    """A hundred, on RabbitMQ."""
    with nodes.node_in(arena.directory / "rabbitmq") as node:
        return points(arena, node.url, 100)


def points(arena: Arena, broker: str, count: int) -> Outcome:
    """Let a server or a worker die at a call, start it again, and so on."""
    findings: list[Finding] = []
    seen: dict[str, int] = {}
    with LocalSystem(
        arena.system, 1, 1, broker=broker, worker_arguments=("--tasks", arena.tasks_module, "-c", "2")
    ) as system:
        driver = arena.driver(system.addresses[0], pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            for number in range(count):
                # Each part at each call as often as the others; which call it is, is left to chance.
                victim = ("s1", "w1")[number % 2]
                call = CALLS[number // 2 % len(CALLS)]
                _die(system, victim, tracing.dying(call, 1 + arena.chance.randrange(LARGEST[call])))
                if victim == "w1":
                    findings += _run_again(seen, _done(arena))
                    seen = _done(arena)
                system.start(victim)
                if number % 10 == 9:
                    arena.say(f"{number + 1} of {count} deaths, {driver.accepted:,} tasks")
        finally:
            driver.end()
        arena.drain()
        findings += _run_again(seen, _done(arena))
        skipped = _skipped(arena)
    outcome = arena.judge(driver, faults=count)
    return msgspec.structs.replace(
        outcome,
        broken=(*outcome.broken, *findings),
        remarks=(*outcome.remarks, *_told(ledger.read(arena.ledger.path), skipped)),
    )


def _die(system: LocalSystem, victim: str, injection: str) -> None:
    process = system.process(victim)
    with Tracer(process.pid, injection):
        wait_until(lambda: process.poll() is not None, f"{victim} to die at {injection}", REACHED_WITHIN)
    system.kill(victim)


def _done(arena: Arena) -> dict[str, int]:
    """The tasks that are done, and how often each ran."""
    rows = books.read(arena.journal, thorough=False).rows
    runs = judge.count_runs(arena.trace)
    return {row.id: runs[row.id] for row in rows.values() if row.ended}


def _run_again(before: Mapping[str, int], now: Mapping[str, int]) -> list[Finding]:
    """What was done, and ran once more. Pure."""
    again = [task_id for task_id, runs in before.items() if now.get(task_id) != runs]
    text = f"{len(again):,} tasks ran although they were done, such as {', '.join(again[:5])}"
    return [Finding(Invariant.RUNS, text)] if again else []


def _skipped(arena: Arena) -> int:
    """How often a worker was given a task that had ended, and did not run it."""
    with Journal(arena.journal.name, arena.system).open_readonly() as repository:
        return sum(record.counters.discarded for record in repository.processes() if record.role == "worker")


def _told(noted: ledger.Noted, skipped: int) -> list[str]:
    return [
        f"stored, and the server died before it answered: {len(noted.repeated):,} tasks, told `repeated` afterwards",
        f"stored, and the worker died before it acknowledged: at least {skipped:,} tasks, delivered again and not run",
    ]


def migration(arena: Arena) -> Outcome:
    """Let a server die at each write of a migration, and see that the next one finishes it."""
    count = arena.size(5, 50)
    numbers = sorted(arena.chance.sample(range(1, LAST_WRITE + 1), count))
    _make_old(arena)
    for number in numbers:
        copy = arena.directory / f"old-{number}"
        _copy_journal(arena.journal, copy)
        _start_and_die(copy, number)
        problem = _mended(copy)
        if problem:
            return Outcome(faults=number, broken=(Finding(Invariant.SOUND, f"dead at write {number}: {problem}"),))
    _start_and_die(arena.system, arena.chance.choice(numbers))
    with LocalSystem(arena.system, 1, 1, worker_arguments=("--tasks", arena.tasks_module)):
        arena.drain()
    return arena.judge(faults=count + 1)


def _make_old(arena: Arena) -> None:
    """A journal of the first schema, with tasks that were accepted."""
    script = (resources.files("core.repository") / "schema" / "0001_journal.sql").read_text("utf-8")
    connection = apsw.Connection(str(arena.journal))
    try:
        connection.pragma("journal_mode", "wal")
        with connection:
            connection.execute(script)
            connection.pragma("user_version", 1)
            for number in range(OLD_TASKS):
                payload = msgspec.json.encode(arena.payload(number)).decode()
                connection.execute(
                    "INSERT INTO tasks (id, kind, payload, state, received_at, accepted_at)"
                    " VALUES (?, 'honest', ?, 'accepted', 1.0, 1.0)",
                    (name(number), payload),
                )
            connection.execute("UPDATE ledger SET tasks = ? WHERE state = 'accepted'", (OLD_TASKS,))
    finally:
        connection.close()
    arena.ledger.sending(name(number) for number in range(OLD_TASKS))
    arena.ledger.answered((name(number), "accepted") for number in range(OLD_TASKS))


def _copy_journal(journal: Path, directory: Path) -> None:
    directory.mkdir(mode=0o700)
    source = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
    target = apsw.Connection(str(directory / journal.name))
    with contextlib.closing(source), contextlib.closing(target), target.backup("main", source, "main") as backup:
        backup.step()


def _start_and_die(directory: Path, number: int) -> None:
    arguments = [sys.executable, "-m", "core.server", "--dir", str(directory), "--listen", "127.0.0.1:0"]
    with (directory / "s1.log").open("ab") as log:
        ended = subprocess.run(
            [*tracing.command([tracing.dying("pwrite64", number)]), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=REACHED_WITHIN,
            check=False,
            env=clean_environment(),
            cwd=TOP,
        )
    # strace dies as its program did.
    assert ended.returncode == -9, f"the server ended with {ended.returncode}"


def _mended(directory: Path) -> str:
    """What is wrong with a journal after a migration that died and is made again; empty when nothing is."""
    journal = Journal("resultados.db", directory)
    try:
        with journal.open():
            read = books.read(journal.path)
    except CauceError as error:
        return str(error)
    if read.integrity != "ok":
        return read.integrity
    return "" if len(read.rows) == OLD_TASKS else f"{len(read.rows)} tasks of {OLD_TASKS} are left"


CASES = (
    Case(
        name="crash points, embedded",
        target="death at 200 system calls: none lost, what is done never runs again",
        run=embedded,
        programs=(tracing.PROGRAM,),
    ),
    Case(
        name="crash points, RabbitMQ",
        target="death at 100 system calls: none lost, what is done never runs again",
        run=on_rabbitmq,
        profiles=ONLY_LONG,
        rabbitmq=True,
        programs=(tracing.PROGRAM,),
    ),
    Case(
        name="crash points, migration",
        target="death at 50 writes of a migration: the next start finishes it",
        run=migration,
        programs=(tracing.PROGRAM,),
    ),
)
