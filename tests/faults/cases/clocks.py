"""Clocks that are wrong or jump, and processes that are suspended: no task is lost, and few run twice."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from core.addresses import Address
from core.client import Client, NewSubmission
from core.model import State
from core.supervisor.processes import process_identity
from tests.faults import journal_reader, poisons, sending
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import Pace
from tests.faults.judge import Allowance, count_runs
from tests.faults.shifted import set_clock
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import Program
from tests.integration.supervised import Supervised, pid_of
from tests.services.suspension import resume, suspend
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

HOUR = 3600.0
YEARS = 10 * 365 * 24 * HOUR
WRONG = (HOUR, -HOUR, YEARS, -YEARS, 0.0)
"""Errors of the clocks, in seconds."""

RATE = 50.0
WORK = 0.02
FIRST_EXTRA = 1_000_000
"""The number of the first task extra those of the honest client."""

RUN_TWICE = 0.02
END_TIMEOUT = 60.0
"""Seconds within which every task must end once the clocks are right."""


def wrong_clocks(context: CaseContext) -> Outcome:
    """Start servers and workers with different clocks, and change the clocks while they work."""
    jumps, tasks = context.size(8, 60), context.size(200, 5_000)
    modules = ("--tasks", context.tasks_module, "--tasks", str(Path(poisons.__file__)))
    clocks = {name: context.directory / f"{name}.clock" for name in ("s1", "s2", "w1", "w2", "w3")}
    for file in clocks.values():
        set_clock(file, context.rng.choice(WRONG))
    with ExitStack() as stack:

        def start(name: str, *flags: str) -> Program:
            role = "server" if name.startswith("s") else "worker"
            flags = ("--role", role, "--clock", str(clocks[name]), *flags)
            return stack.enter_context(Program("tests.faults.shifted", context.system, name, *flags))

        servers = [start(name, "--listen", "127.0.0.1:0") for name in ("s1", "s2")]
        workers = [start(name, *modules) for name in ("w1", "w2", "w3")]
        addresses = [_address(program) for program in servers]
        driver = context.driver(*addresses, pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            for number in range(jumps):
                extra = _extra_tasks(context, range(FIRST_EXTRA + 10 * number, FIRST_EXTRA + 10 * number + 10))
                sending.send(addresses, context.submissions, extra)
                name = context.rng.choice(list(clocks))
                set_clock(clocks[name], context.rng.choice(WRONG))
                target = driver.accepted + 15
                wait_until(lambda target=target: driver.accepted >= target or driver.over, "tasks")  # type: ignore[misc]  # mypy can't infer a lambda with a default
            wait_until(lambda: driver.accepted >= tasks or driver.over, "enough tasks", tasks / RATE + 60)
            _submit_ahead(context, clocks.values(), addresses)
        finally:
            driver.end()
        for file in clocks.values():
            set_clock(file, 0.0)
        began = time.monotonic()
        context.drain(END_TIMEOUT)
        took = time.monotonic() - began
        for program in (*workers, *servers):
            assert program.process.poll() is None, program.log
            program.terminate()
        codes = [program.wait() for program in (*workers, *servers)]
        assert not any(codes), codes
    outcome = context.judge(driver, _allowance(context, RUN_TWICE), faults=jumps)
    remark = f"everything had ended {took:.1f} s after the clocks were right"
    return msgspec.structs.replace(outcome, remarks=(*outcome.remarks, _describe_repeats(context), remark))


def _submit_ahead(context: CaseContext, clocks: Iterable[Path], servers: Sequence[Address]) -> None:
    """Submit tasks, and let them fail once, on a machine whose clock is ahead."""
    for file in clocks:
        set_clock(file, YEARS)
    last = range(FIRST_EXTRA - 10, FIRST_EXTRA)
    sending.send(servers, context.submissions, _extra_tasks(context, last))
    failing = {f"t-{number}" for number in last if number % 2}
    wait_until(lambda: failing <= count_runs(context.trace).keys(), "the first attempts to fail")


def _address(server: Program) -> Address:
    """Wait until a server listens, and return its address. A clock that is ahead may hide its record for a moment."""
    wait_until(lambda: bool((record := server.record()) and record.address), f"{server.name} to be there")
    server.ready()
    wait_until(lambda: server.record() is not None, f"{server.name} to be there again")
    return server.address


def _allowance(context: CaseContext, fraction: float) -> Allowance:
    """Return an allowance that includes the tasks made to fail once, which run twice."""
    rows = journal_reader.read(context.journal, thorough=False).rows
    unsteady = sum(row.attempts > 1 for row in rows.values())
    return Allowance(run_twice=fraction + unsteady / max(1, len(rows)))


def _describe_repeats(context: CaseContext) -> str:
    """Describe how many tasks ran twice because they were made to fail, and how many without a failure."""
    rows = journal_reader.read(context.journal, thorough=False).rows
    runs = count_runs(context.trace)
    failing = sum(runs[task_id] > 1 and row.attempts > 1 for task_id, row in rows.items())
    needless = sum(runs[task_id] > row.attempts for task_id, row in rows.items())
    return f"{failing:,} ran twice because they were made to fail once, {needless:,} without a failure"


def _extra_tasks(context: CaseContext, numbers: Sequence[int]) -> list[NewSubmission]:
    """Make tasks with a delay, and tasks that fail at their first attempt."""
    return [
        NewSubmission("unsteady", context.payload(number), f"t-{number}")
        if number % 2
        else NewSubmission("honest", context.payload(number), f"t-{number}", delay=context.rng.uniform(0.2, 2.0))
        for number in numbers
    ]


Suspend = Callable[[Sequence[str]], Sequence[str]]


def suspended(context: CaseContext, names: Sequence[str], seconds: float, flags: Sequence[str] = ()) -> Outcome:
    """Suspend processes of a system at the same time, and resume them.

    Args:
        context: of the case.
        names: of the processes; empty for all, with the supervisor.
        seconds: of each suspension.
        flags: of the supervisor.
    """
    rounds = context.size(1, 4)
    with Supervised(context.system) as system:
        report = system.up(2, 3, "--tasks", context.tasks_module, "--hung-after", "0", *flags)
        pids = [pid_of(report, name) for name in names] or [
            identity.pid for identity in process_identity.processes_of(system.home)
        ]
        addresses = [Address.parse(text) for text in report.servers]
        driver = context.driver(*addresses, pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            for number in range(rounds):
                target = driver.accepted + 100
                wait_until(lambda target=target: driver.accepted >= target or driver.over, "tasks", 60)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                _suspend(pids, seconds)
                context.show_progress(f"suspended {number + 1} of {rounds} times, {driver.accepted:,} tasks")
            target = driver.accepted + 200
            wait_until(lambda: driver.accepted >= target or driver.over, "tasks", 60)
        finally:
            driver.end()
        context.drain(60)
        after = system.status()
        system.down()
        system.assert_nothing_left(report)
    outcome = context.judge(driver, Allowance(run_twice=RUN_TWICE), faults=rounds)
    restarted = [unit.name for unit in after.processes if unit.restarts] if after else ["the supervisor"]
    broken = [Finding(Invariant.HARMLESS, f"were started again: {', '.join(restarted)}")] if restarted else []
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken))


def _suspend(pids: Sequence[int | None], seconds: float) -> None:
    """Suspend processes, and resume them in any case."""
    running = [pid for pid in pids if pid is not None]
    end = time.monotonic() + seconds
    try:
        for pid in running:
            suspend(pid)
        wait_until(lambda: time.monotonic() >= end, "the time to pass", seconds + 5)
    finally:
        for pid in running:
            resume(pid)


def late_outcome(context: CaseContext) -> Outcome:
    """Suspend a worker during a task beyond its lease, and let it end the task after another worker has."""
    number = FIRST_EXTRA
    with LocalSystem(context.system, 1, 1, worker_arguments=("--tasks", context.tasks_module)) as system:
        task = NewSubmission("honest", context.payload(number, 3.0), f"t-{number}")
        sending.send(system.addresses, context.submissions, [task])
        wait_until(context.trace.exists, "the task to run")
        suspend(system.process("w1").pid)
        try:
            system.start("w2")
            with Client(system.addresses) as client:
                ended = client.outcome(f"t-{number}", 40)
                first = system.task(f"t-{number}")
                resume(system.process("w1").pid)
                wait_until(lambda: "went to others" in system.log("w1"), "the first worker to notice")
                # The late outcome, if it is stored at all, is stored before that of this task.
                sending.send(
                    system.addresses,
                    context.submissions,
                    [NewSubmission("honest", context.payload(number + 1, 4.0), f"t-{number + 1}")],
                )
                context.drain(30)
                second = system.task(f"t-{number}")
        finally:
            resume(system.process("w1").pid)
    broken = []
    if ended.state is not State.DONE or first is None or first.worker != "w2":
        broken.append(Finding(Invariant.NO_LOSS, f"another worker has not done the task: {ended.state}"))
    if first != second:
        broken.append(Finding(Invariant.ONCE, f"the late outcome changed the journal: {first} is {second}"))
    outcome = context.judge(faults=1)
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken))


def _of(names: Sequence[str], seconds: float, *flags: str) -> Callable[[CaseContext], Outcome]:
    return partial(suspended, names=names, seconds=seconds, flags=flags)


TARGET = "none lost, at most 2 % run twice"

CASES = (
    Case(name="clocks that are wrong and jump", target=f"by an hour and ten years: {TARGET}", run=wrong_clocks),
    Case(
        name="outcome of a worker that was suspended",
        target="the task is done elsewhere, and the late outcome changes nothing",
        run=late_outcome,
        profiles=ONLY_LONG,
    ),
    Case(
        name="a worker suspended beyond its lease",
        target=TARGET,
        run=_of(["w1"], 14.0),
        profiles=ONLY_LONG,
    ),
    Case(
        name="a worker suspended beyond its heartbeat, RabbitMQ",
        target=TARGET,
        run=_of(["w1"], 50.0, "--broker", "local"),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(name="a server suspended", target=TARGET, run=_of(["s1"], 10.0), profiles=ONLY_LONG),
    Case(
        name="everything suspended at once",
        target=f"as when a laptop sleeps: {TARGET}",
        run=_of([], 15.0),
        profiles=ONLY_LONG,
    ),
    Case(
        name="everything suspended at once, RabbitMQ",
        target=f"as when a laptop sleeps: {TARGET}",
        run=_of([], 15.0, "--broker", "local"),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
