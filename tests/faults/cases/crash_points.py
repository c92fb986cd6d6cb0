"""Death at a system call: of a server or worker at its Nth write, sync or send, and during a schema migration.

The critical moments are between a server's commit and its reply, and between a worker's commit and its
acknowledgement.
"""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import apsw
import msgspec

from core.errors import CauceError, JournalUnavailable
from core.repository.journal import Journal
from tests.faults import journal_reader, judge, nodes, submission_log, tracing
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import Pace, name
from tests.faults.tracing import Tracer
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import TOP, clean_environment
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 100.0
WORK = 0.002
CALLS = ("pwrite64", "fdatasync", "sendto")
"""Calls of both: write a page of a log, sync it, and reply, publish, acknowledge or wake another thread."""

LAST_CALL = {"pwrite64": 150, "fdatasync": 15, "sendto": 25}
"""The last call of a thread at which the process may die: after some commits."""

DEATH_TIMEOUT = 60.0
OLD_TASKS = 20

LAST_WRITE = 50
"""The last write of its start at which a server that migrates a journal may die."""

STARTS = 3
"""How often a process is started that can't have the journal."""


def embedded(context: CaseContext) -> Outcome:
    """Kill 200 times on the embedded queue."""
    return points(context, "embedded", context.size(8, 200))


def on_rabbitmq(context: CaseContext) -> Outcome:
    """Kill 100 times on RabbitMQ."""
    with nodes.rabbitmq_node(context.directory / "rabbitmq") as node:
        return points(context, node.url, 100)


def _start_again(system: LocalSystem, name: str) -> None:
    """Start a process. On a busy machine the journal may be locked for longer than it waits for it at its start."""
    for _ in range(STARTS - 1):
        try:
            system.start(name)
        except AssertionError as error:
            if f"{name} ended with {JournalUnavailable.exit_code}" not in str(error):
                raise
        else:
            return
    system.start(name)


def points(context: CaseContext, broker: str, count: int) -> Outcome:
    """Kill a server or a worker at a call, start it again, and repeat."""
    findings: list[Finding] = []
    seen: dict[str, int] = {}
    with LocalSystem(
        context.system, 1, 1, broker=broker, worker_arguments=("--tasks", context.tasks_module, "-c", "2")
    ) as system:
        driver = context.driver(system.addresses[0], pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            for number in range(count):
                # Each process at each kind of call equally often; the number of the call is random.
                victim = ("s1", "w1")[number % 2]
                call = CALLS[number // 2 % len(CALLS)]
                _die(system, victim, tracing.dying(call, 1 + context.rng.randrange(LAST_CALL[call])))
                if victim == "w1":
                    findings += _run_again(seen, _done(context))
                    seen = _done(context)
                _start_again(system, victim)
                if number % 10 == 9:
                    context.show_progress(f"{number + 1} of {count} deaths, {driver.accepted:,} tasks")
        finally:
            driver.end()
        context.drain()
        findings += _run_again(seen, _done(context))
        skipped = _count_skipped(context)
    outcome = context.judge(driver, faults=count)
    return msgspec.structs.replace(
        outcome,
        broken=(*outcome.broken, *findings),
        remarks=(*outcome.remarks, *_remarks(submission_log.read(context.submissions.path), skipped)),
    )


def _die(system: LocalSystem, victim: str, injection: str) -> None:
    process = system.process(victim)
    with Tracer(process.pid, injection):
        wait_until(lambda: process.poll() is not None, f"{victim} to die at {injection}", DEATH_TIMEOUT)
    system.kill(victim)


def _done(context: CaseContext) -> dict[str, int]:
    """Return the number of runs of each task that has ended."""
    rows = journal_reader.read(context.journal, thorough=False).rows
    runs = judge.count_runs(context.trace)
    return {row.id: runs[row.id] for row in rows.values() if row.ended}


def _run_again(before: Mapping[str, int], now: Mapping[str, int]) -> list[Finding]:
    """Return findings on tasks that had ended and ran again. Pure."""
    again = [task_id for task_id, runs in before.items() if now.get(task_id) != runs]
    text = f"{len(again):,} tasks ran although they were done, such as {', '.join(again[:5])}"
    return [Finding(Invariant.RUNS, text)] if again else []


def _count_skipped(context: CaseContext) -> int:
    """Return how often a worker received a task that had ended, and did not run it."""
    with Journal(context.journal.name, context.system).open_readonly() as repository:
        return sum(record.counters.discarded for record in repository.processes() if record.role == "worker")


def _remarks(submissions: submission_log.Submissions, skipped: int) -> list[str]:
    return [
        f"stored, and the server died before its reply: {len(submissions.repeated):,} tasks, duplicates later",
        f"stored, and the worker died before its acknowledgement: at least {skipped:,} tasks, redelivered and not run",
    ]


def migration(context: CaseContext) -> Outcome:
    """Kill a server at each write of a migration, and check that the next one finishes it."""
    count = context.size(5, 50)
    numbers = sorted(context.rng.sample(range(1, LAST_WRITE + 1), count))
    _make_old(context)
    for number in numbers:
        copy = context.directory / f"old-{number}"
        _copy_journal(context.journal, copy)
        _start_and_die(copy, number)
        problem = _repeat_migration(copy)
        if problem:
            return Outcome(faults=number, broken=(Finding(Invariant.SOUND, f"dead at write {number}: {problem}"),))
    _start_and_die(context.system, context.rng.choice(numbers))
    with LocalSystem(context.system, 1, 1, worker_arguments=("--tasks", context.tasks_module)):
        context.drain()
    return context.judge(faults=count + 1)


def _make_old(context: CaseContext) -> None:
    """Make a journal of the first schema, with accepted tasks."""
    script = (resources.files("core.repository") / "schema" / "0001_journal.sql").read_text("utf-8")
    connection = apsw.Connection(str(context.journal))
    try:
        connection.pragma("journal_mode", "wal")
        with connection:
            connection.execute(script)
            connection.pragma("user_version", 1)
            for number in range(OLD_TASKS):
                payload = msgspec.json.encode(context.payload(number)).decode()
                connection.execute(
                    "INSERT INTO tasks (id, kind, payload, state, received_at, accepted_at)"
                    " VALUES (?, 'honest', ?, 'accepted', 1.0, 1.0)",
                    (name(number), payload),
                )
            connection.execute("UPDATE ledger SET tasks = ? WHERE state = 'accepted'", (OLD_TASKS,))
    finally:
        connection.close()
    context.submissions.record_sent(name(number) for number in range(OLD_TASKS))
    context.submissions.record_answers((name(number), "accepted") for number in range(OLD_TASKS))


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
            timeout=DEATH_TIMEOUT,
            check=False,
            env=clean_environment(),
            cwd=TOP,
        )
    # strace dies as its program did.
    assert ended.returncode == -9, f"the server ended with {ended.returncode}"


def _repeat_migration(directory: Path) -> str:
    """Repeat a migration that was killed. Returns what is wrong with the journal, or an empty string."""
    journal = Journal("resultados.db", directory)
    try:
        with journal.open():
            read = journal_reader.read(journal.path)
    except CauceError as error:
        return str(error)
    if read.integrity != "ok":
        return read.integrity
    return "" if len(read.rows) == OLD_TASKS else f"{len(read.rows)} tasks of {OLD_TASKS} are left"


CASES = (
    Case(
        name="crash points, embedded",
        target="death at 200 system calls: none lost, done tasks never run again",
        run=embedded,
        programs=(tracing.PROGRAM,),
    ),
    Case(
        name="crash points, RabbitMQ",
        target="death at 100 system calls: none lost, done tasks never run again",
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
