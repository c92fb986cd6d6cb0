"""Tasks that are poison for their workers: those that kill them, raise or return anything at all, flood the log."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from core.addresses import Address
from core.client import NewSubmission
from core.supervisor.logs.log_files import KEPT, LARGEST, TOO_LARGE
from core.supervisor.status import SystemStatus, UnitState
from tests.faults import books, poisons, sending
from tests.faults.arena import Arena
from tests.faults.books import Row
from tests.faults.case import ONLY_LONG, Case
from tests.faults.judge import Allowance, count_runs
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.supervised import Supervised, pid_of
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

MOST_RUNS = 5
"""How often a task may kill its worker before it is given up."""

PATIENCE = 500.0
MEGABYTE = 1 << 20
LOG_ROOM = KEPT * TOO_LARGE + 2 * LARGEST
"""Bytes that a worker's logs may take, with what is written until the next look at them."""

FLOOD_NUMBER = 1_000_000
"""The number of the task that floods the log, beyond those of the others."""

Check = Callable[[Row], bool]


def _failed(task_id: str) -> bool:
    return task_id.startswith("p-")


def _honest(arena: Arena, numbers: Iterable[int], seconds: float = 0.0) -> list[NewSubmission]:
    return [NewSubmission("honest", arena.payload(number, seconds), f"t-{number}") for number in numbers]


def _poison(arena: Arena, kind: str, names: Iterable[str]) -> list[NewSubmission]:
    trace = str(arena.trace)
    return [NewSubmission(kind, {"trace": trace, "name": name}, f"p-{kind}-{n}") for n, name in enumerate(names)]


def _modules(arena: Arena) -> tuple[str, ...]:
    return ("--tasks", arena.tasks_module, "--tasks", str(Path(poisons.__file__)))


# Those that kill.


def _killing(*flags: str) -> Callable[[Arena], Outcome]:
    return lambda arena: killing(arena, flags)


def killing(arena: Arena, flags: tuple[str, ...]) -> Outcome:
    """Mix tasks that kill their workers among honest ones, and start what is given up as an operator would."""
    count, workers = arena.size(150, 5_000), arena.size(3, 6)
    ways = list(poisons.WAYS)
    killers = _poison(arena, "kills", [ways[n % len(ways)] for n in range(arena.size(3, 50))])
    tasks = [*_honest(arena, range(count), 0.002), *killers]
    arena.chance.shuffle(tasks)
    with Supervised(arena.system) as system:
        report = system.up(1, workers, *_modules(arena), *flags)
        accepted = sending.send([Address.parse(report.listen)], arena.ledger, tasks)
        assert accepted == len(tasks), f"{accepted} of {len(tasks)} were accepted"
        started = _nurse(arena, system)
        wait_until(lambda: _all_ready(system.status()), "the workers to be well", 120)
        system.down()
        system.assert_nothing_left(report)
    outcome = arena.judge(None, Allowance(failed=_failed, most_runs=40), faults=len(killers))
    rows = books.read(arena.journal, thorough=False).rows
    broken = [
        *_too_often(arena, rows),
        *_unexplained(rows, lambda row: row.error_type in {"WorkerLost", "DeliveryLimit"}),
    ]
    return _with(outcome, broken, f"an operator started a worker {started} times that the supervisor had given up")


def _nurse(arena: Arena, system: Supervised) -> int:
    """Wait for the end of all tasks; what the supervisor gave up is started again. How often that was."""
    started = 0
    looks = 0

    def over() -> bool:
        nonlocal started, looks
        looks += 1
        report = system.status() if looks % 100 == 0 else None
        crashed = [part.name for part in report.processes if part.state is UnitState.CRASHED] if report else []
        for name in crashed:
            system.run("start", name, "--json")
            started += 1
        if report and looks % 500 == 0:
            arena.say(f"{books.unfinished(arena.journal):,} tasks to go")
        return books.unfinished(arena.journal) == 0

    wait_until(over, "all tasks to end", PATIENCE)
    return started


def _all_ready(report: SystemStatus | None) -> bool:
    return report is not None and all(part.state in {UnitState.READY, UnitState.CRASHED} for part in report.processes)


def _too_often(arena: Arena, rows: dict[str, Row]) -> list[Finding]:
    runs = {task_id: number for task_id, number in count_runs(arena.trace).items() if _failed(task_id)}
    # One that has outlived its own signal for a moment, and raised, is tried once more as often.
    often = {
        task_id: number for task_id, number in runs.items() if number > MOST_RUNS * max(1, _attempts(rows, task_id))
    }
    return [Finding(Invariant.RUNS, f"killed more than {MOST_RUNS} workers: {often}")] if often else []


def _attempts(rows: dict[str, Row], task_id: str) -> int:
    return rows[task_id].attempts if task_id in rows else 1


def _unexplained(rows: dict[str, Row], right: Check) -> list[Finding]:
    wrong = [f"{row.id} ({row.state}, {row.error_type})" for row in rows.values() if _failed(row.id) and not right(row)]
    return [Finding(Invariant.ONCE, f"do not say what they died of: {', '.join(wrong[:9])}")] if wrong else []


def _with(outcome: Outcome, broken: Iterable[Finding], *remarks: str) -> Outcome:
    return msgspec.structs.replace(
        outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, *filter(None, remarks))
    )


# Those that raise, return and print.


def anything_at_all(arena: Arena) -> Outcome:
    """Give one worker every exception and every result, and see that it is still the same one, and works."""
    rounds = arena.size(1, 10)
    with LocalSystem(arena.system, 1, 1, worker_arguments=_modules(arena)) as system:
        pid = system.process("w1").pid
        tasks = _honest(arena, range(100 * rounds))
        for number in range(rounds):
            some = [
                *_poison(arena, "raises", poisons.EXCEPTIONS),
                *_poison(arena, "returns", poisons.RESULTS),
                *(_poison(arena, "greedy", ["memory"]) if number == 0 else ()),
            ]
            tasks += [msgspec.structs.replace(task, id=f"{task.id}-{number}") for task in some]
        arena.chance.shuffle(tasks)
        sending.send(system.addresses, arena.ledger, tasks)
        arena.drain()
        sending.send(system.addresses, arena.ledger, _honest(arena, range(100 * rounds, 100 * rounds + 20)))
        arena.drain(20)
        broken = [] if system.process("w1").poll() is None else [Finding(Invariant.HARMLESS, "the worker died")]
        log = system.log("w1")
        assert system.process("w1").pid == pid
    if "Traceback" in log or "\x1b" in log:
        broken.append(Finding(Invariant.HARMLESS, "the worker's log has a traceback, or what a terminal obeys"))
    outcome = arena.judge(None, Allowance(failed=_failed), faults=sum(_failed(task.id or "") for task in tasks))
    rows = books.read(arena.journal, thorough=False).rows
    return _with(outcome, [*broken, *_unexplained(rows, _says_why)])


def _says_why(row: Row) -> bool:
    if row.id.startswith("p-returns"):
        # A greedy one beside it may have left it no memory for what it wants to return.
        return row.error_type in {"ResultNotStorable", "MemoryError"}
    return row.error_type not in {None, "", "ResultNotStorable", "WorkerLost"}


def flood(arena: Arena) -> Outcome:
    """Print far more than a log may hold, while others work."""
    megabytes = arena.size(100, 1_000)
    with Supervised(arena.system) as system:
        report = system.up(1, 1, *_modules(arena))
        worker = pid_of(report, "w1")
        payload = {**arena.payload(FLOOD_NUMBER), "megabytes": megabytes}
        tasks = [NewSubmission("prints", payload, f"t-{FLOOD_NUMBER}"), *_honest(arena, range(200))]
        sending.send([Address.parse(report.listen)], arena.ledger, tasks)
        largest = 0

        def over() -> bool:
            nonlocal largest
            largest = max(largest, _size_of_logs(system))
            return books.unfinished(arena.journal) == 0

        wait_until(over, "all tasks to end", PATIENCE)
        wait_until(lambda: _size_of_logs(system) <= LOG_ROOM, "the logs to be small", 10)
        broken = [] if pid_of(system.status(), "w1") == worker else [Finding(Invariant.HARMLESS, "the worker died")]
        shown = system.run("logs", "w1").output
        if "\x1b" in shown:
            broken.append(Finding(Invariant.HARMLESS, "the log is shown with what a terminal obeys"))
        system.down()
        system.assert_nothing_left(report)
    outcome = arena.judge(faults=1)
    return _with(outcome, broken, f"the logs had {largest // MEGABYTE} MiB at most, of {megabytes:,} MB printed")


def _size_of_logs(system: Supervised) -> int:
    size = 0
    for file in (system.home.directory / ".cauce" / "logs").glob("w1.log*"):
        try:
            size += file.stat().st_size
        except FileNotFoundError:  # it was just renamed
            continue
    return size


TARGET = "50 tasks that kill their worker among 5,000: each fails after 5 runs at most, all others are done"

CASES = (
    Case(name="anything raised or returned", target="stored failures, the worker lives", run=anything_at_all),
    Case(name="a task that prints without end", target="1 GB printed: bounded logs, nobody waits", run=flood),
    Case(name="tasks that kill, embedded", target=TARGET, run=_killing(), profiles=ONLY_LONG),
    Case(
        name="tasks that kill, RabbitMQ",
        target=TARGET,
        run=_killing("--broker", "local"),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
