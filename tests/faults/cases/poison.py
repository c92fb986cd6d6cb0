"""Poisonous tasks: they kill their worker, raise or return anything at all, or flood the log."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from core.addresses import Address
from core.client import NewSubmission
from core.supervisor.logs.log_files import FLOOD_SIZE, MAX_ROTATED, MAX_SIZE
from tests.faults import journal_reader, poisons, sending
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.journal_reader import Row
from tests.faults.judge import Allowance, count_runs
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.supervised import Supervised, pid_of
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

MAX_RUNS = 5
"""Most runs of a task that kills its runner."""

PATIENCE = 500.0
MEGABYTE = 1 << 20
MAX_LOG_SIZE = MAX_ROTATED * FLOOD_SIZE + 2 * MAX_SIZE
"""Most bytes of a worker's logs, with what is written until the next check."""

FLOOD_NUMBER = 1_000_000
"""The number of the task that floods the log, above all others."""

Check = Callable[[Row], bool]


def _failed(task_id: str) -> bool:
    return task_id.startswith("p-")


def _honest(context: CaseContext, numbers: Iterable[int], seconds: float = 0.0) -> list[NewSubmission]:
    return [NewSubmission("honest", context.payload(number, seconds), f"t-{number}") for number in numbers]


def _poison(context: CaseContext, kind: str, names: Iterable[str]) -> list[NewSubmission]:
    trace = str(context.trace)
    return [NewSubmission(kind, {"trace": trace, "name": name}, f"p-{kind}-{n}") for n, name in enumerate(names)]


def _modules(context: CaseContext) -> tuple[str, ...]:
    return ("--tasks", context.tasks_module, "--tasks", str(Path(poisons.__file__)))


# Tasks that kill.


def _killing(*flags: str) -> Callable[[CaseContext], Outcome]:
    return lambda context: killing(context, flags)


def killing(context: CaseContext, flags: tuple[str, ...]) -> Outcome:
    """Mix tasks that kill their runners with honest ones: no worker dies, and no honest task runs more than twice."""
    count, workers = context.size(150, 5_000), context.size(3, 6)
    ways = list(poisons.CRASHES)
    killers = _poison(context, "kills", [ways[n % len(ways)] for n in range(context.size(3, 50))])
    tasks = [*_honest(context, range(count), 0.002), *killers]
    context.rng.shuffle(tasks)
    with Supervised(context.system) as system:
        report = system.up(1, workers, *_modules(context), *flags)
        began = time.monotonic()
        accepted = sending.send([Address.parse(report.listen)], context.submissions, tasks)
        assert accepted == len(tasks), f"{accepted} of {len(tasks)} were accepted"
        wait_until(lambda: journal_reader.unfinished(context.journal) == 0, "all tasks to end", PATIENCE)
        seconds = time.monotonic() - began
        lost = [unit.name for unit in report.processes if pid_of(system.status(), unit.name) != unit.pid]
        system.down()
        system.assert_nothing_left(report)
    outcome = context.judge(None, Allowance(failed=_failed, max_runs=40), faults=len(killers))
    rows = journal_reader.read(context.journal, thorough=False).rows
    broken = [
        *_too_often(context, rows),
        *_unexplained(rows, lambda row: row.error_type == "WorkerLost"),
        *(Finding(Invariant.HARMLESS, f"{name} died") for name in lost),
    ]
    return _with(outcome, broken, f"all tasks had ended {seconds:.0f} s after the first was sent")


def _too_often(context: CaseContext, rows: dict[str, Row]) -> list[Finding]:
    runs = count_runs(context.trace)
    # A task that survived its own signal for a moment and raised is retried, with as many runs again.
    limits = {task_id: MAX_RUNS * max(1, _attempts(rows, task_id)) if _failed(task_id) else 2 for task_id in runs}
    often = {task_id: number for task_id, number in runs.items() if number > limits[task_id]}
    return [Finding(Invariant.RUNS, f"ran more often than they may: {often}")] if often else []


def _attempts(rows: dict[str, Row], task_id: str) -> int:
    return rows[task_id].attempts if task_id in rows else 1


def _unexplained(rows: dict[str, Row], right: Check) -> list[Finding]:
    unexplained = [
        f"{row.id} ({row.state}, {row.error_type})" for row in rows.values() if _failed(row.id) and not right(row)
    ]
    return (
        [Finding(Invariant.ONCE, f"have no reason for their failure: {', '.join(unexplained[:9])}")]
        if unexplained
        else []
    )


def _with(outcome: Outcome, broken: Iterable[Finding], *remarks: str) -> Outcome:
    return msgspec.structs.replace(
        outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, *filter(None, remarks))
    )


# Tasks that raise, return and print.


def anything_at_all(context: CaseContext) -> Outcome:
    """Give one worker every exception and every result, and check that it still works."""
    rounds = context.size(1, 10)
    with LocalSystem(context.system, 1, 1, worker_arguments=_modules(context)) as system:
        pid = system.process("w1").pid
        tasks = _honest(context, range(100 * rounds))
        for number in range(rounds):
            some = [
                *_poison(context, "raises", poisons.EXCEPTIONS),
                *_poison(context, "returns", poisons.RESULTS),
                *(_poison(context, "greedy", ["memory"]) if number == 0 else ()),
            ]
            tasks += [msgspec.structs.replace(task, id=f"{task.id}-{number}") for task in some]
        context.rng.shuffle(tasks)
        sending.send(system.addresses, context.submissions, tasks)
        context.drain()
        sending.send(system.addresses, context.submissions, _honest(context, range(100 * rounds, 100 * rounds + 20)))
        context.drain(20)
        broken = [] if system.process("w1").poll() is None else [Finding(Invariant.HARMLESS, "the worker died")]
        log = system.log("w1")
        assert system.process("w1").pid == pid
    if "Traceback" in log or "\x1b" in log:
        broken.append(Finding(Invariant.HARMLESS, "the worker's log has a traceback or terminal escapes"))
    outcome = context.judge(None, Allowance(failed=_failed), faults=sum(_failed(task.id or "") for task in tasks))
    rows = journal_reader.read(context.journal, thorough=False).rows
    return _with(outcome, [*broken, *_unexplained(rows, _has_reason)])


def _has_reason(row: Row) -> bool:
    if row.id.startswith("p-returns"):
        # A greedy task in another thread may have left no memory for the result.
        return row.error_type in {"ResultNotStorable", "MemoryError"}
    return row.error_type not in {None, "", "ResultNotStorable", "WorkerLost"}


def flood(context: CaseContext) -> Outcome:
    """Print far more than a log may hold, while other tasks run."""
    megabytes = context.size(100, 1_000)
    with Supervised(context.system) as system:
        report = system.up(1, 1, *_modules(context))
        worker = pid_of(report, "w1")
        payload = {**context.payload(FLOOD_NUMBER), "megabytes": megabytes}
        tasks = [NewSubmission("prints", payload, f"t-{FLOOD_NUMBER}"), *_honest(context, range(200))]
        sending.send([Address.parse(report.listen)], context.submissions, tasks)
        largest = 0

        def over() -> bool:
            nonlocal largest
            largest = max(largest, _size_of_logs(system))
            return journal_reader.unfinished(context.journal) == 0

        wait_until(over, "all tasks to end", PATIENCE)
        wait_until(lambda: _size_of_logs(system) <= MAX_LOG_SIZE, "the logs to be small")
        broken = [] if pid_of(system.status(), "w1") == worker else [Finding(Invariant.HARMLESS, "the worker died")]
        shown = system.run("logs", "w1").output
        if "\x1b" in shown:
            broken.append(Finding(Invariant.HARMLESS, "the log is shown with terminal escapes"))
        system.down()
        system.assert_nothing_left(report)
    outcome = context.judge(faults=1)
    return _with(outcome, broken, f"the logs had {largest // MEGABYTE} MiB at most, of {megabytes:,} MB printed")


def _size_of_logs(system: Supervised) -> int:
    size = 0
    for file in (system.home.directory / ".cauce" / "logs").glob("w1.log*"):
        try:
            size += file.stat().st_size
        except FileNotFoundError:  # it was just rotated
            continue
    return size


TARGET = (
    "50 tasks that kill their process among 5,000: each fails after 5 runs at most, no other runs more than twice, "
    "no worker dies"
)

CASES = (
    Case(name="anything raised or returned", target="failures are stored, the worker survives", run=anything_at_all),
    Case(name="a task that prints without end", target="1 GB printed: bounded logs, no task waits", run=flood),
    Case(name="tasks that kill, embedded", target=TARGET, run=_killing(), profiles=ONLY_LONG),
    Case(
        name="tasks that kill, RabbitMQ",
        target=TARGET,
        run=_killing("--broker", "local"),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
