"""Clocks that are wrong or jump, and processes that are suspended: nothing is lost, and little runs twice."""

import os
import signal
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
from tests.faults import books, poisons, sending
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import Pace
from tests.faults.judge import Allowance, count_runs
from tests.faults.shifted import set_clock
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import Program
from tests.integration.supervised import Supervised, pid_of
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

HOUR = 3600.0
YEARS = 10 * 365 * 24 * HOUR
WRONG = (HOUR, -HOUR, YEARS, -YEARS, 0.0)
"""By how many seconds clocks are wrong."""

RATE = 50.0
SECONDS = 0.02
BESIDE = 1_000_000
"""The number of the first task that is not the driver's."""

RUN_TWICE = 0.02
ENDED_WITHIN = 30.0
"""Seconds in which all has to end once the clocks are right."""


def wrong_clocks(arena: Arena) -> Outcome:
    """Let servers and workers disagree about the time, set their clocks while they work, and kill some meanwhile."""
    jumps, tasks = arena.size(8, 60), arena.size(200, 5_000)
    modules = ("--tasks", arena.tasks_module, "--tasks", str(Path(poisons.__file__)))
    clocks = {name: arena.directory / f"{name}.clock" for name in ("s1", "s2", "w1", "w2", "w3")}
    for file in clocks.values():
        set_clock(file, arena.chance.choice(WRONG))
    with ExitStack() as stack:

        def start(name: str, *flags: str) -> Program:
            role = "server" if name.startswith("s") else "worker"
            flags = ("--role", role, "--clock", str(clocks[name]), *flags)
            return stack.enter_context(Program("tests.faults.shifted", arena.system, name, *flags))

        servers = [start(name, "--listen", "127.0.0.1:0") for name in ("s1", "s2")]
        workers = [start(name, *modules) for name in ("w1", "w2", "w3")]
        addresses = [_address(program) for program in servers]
        driver = arena.driver(*addresses, pace=Pace(rate=RATE), seconds=SECONDS)
        driver.start()
        try:
            for number in range(jumps):
                beside = _beside(arena, range(BESIDE + 10 * number, BESIDE + 10 * number + 10))
                sending.send(addresses, arena.ledger, beside)
                name = arena.chance.choice(list(clocks))
                set_clock(clocks[name], arena.chance.choice(WRONG))
                wanted = driver.accepted + 15
                wait_until(lambda wanted=wanted: driver.accepted >= wanted or driver.over, "tasks", 30)  # type: ignore[misc]  # mypy can't infer a lambda with a default
            wait_until(lambda: driver.accepted >= tasks or driver.over, "enough tasks", tasks / RATE + 60)
            _ahead_together(arena, clocks.values(), addresses)
        finally:
            driver.end()
        for file in clocks.values():
            set_clock(file, 0.0)
        began = time.monotonic()
        arena.drain(ENDED_WITHIN)
        took = time.monotonic() - began
        for program in (*workers, *servers):
            assert program.process.poll() is None, program.log
            program.terminate()
        codes = [program.wait() for program in (*workers, *servers)]
        assert not any(codes), codes
    outcome = arena.judge(driver, _unsteady_allowed(arena, RUN_TWICE), faults=jumps)
    remark = f"everything had ended {took:.1f} s after the clocks were right"
    return msgspec.structs.replace(outcome, remarks=(*outcome.remarks, _why_twice(arena), remark))


def _ahead_together(arena: Arena, clocks: Iterable[Path], servers: Sequence[Address]) -> None:
    """Let everything be submitted, and fail for the first time, on a machine whose clock is ahead."""
    for file in clocks:
        set_clock(file, YEARS)
    last = range(BESIDE - 10, BESIDE)
    sending.send(servers, arena.ledger, _beside(arena, last))
    failing = {f"t-{number}" for number in last if number % 2}
    wait_until(lambda: failing <= count_runs(arena.trace).keys(), "the first attempts to fail", 20)


def _address(server: Program) -> Address:
    """Where a server listens, once it does. One whose clock is ahead may forget the others for a moment."""
    wait_until(lambda: bool((record := server.record()) and record.address), f"{server.name} to be there", 20)
    server.ready()
    wait_until(lambda: server.record() is not None, f"{server.name} to be there again")
    return server.address


def _unsteady_allowed(arena: Arena, part: float) -> Allowance:
    """Those that fail the first time run twice, which is no fault."""
    rows = books.read(arena.journal, thorough=False).rows
    unsteady = sum(row.attempts > 1 for row in rows.values())
    return Allowance(run_twice=part + unsteady / max(1, len(rows)))


def _why_twice(arena: Arena) -> str:
    """How many ran twice since they were made to fail, and how many although they had not failed."""
    rows = books.read(arena.journal, thorough=False).rows
    runs = count_runs(arena.trace)
    failing = sum(runs[task_id] > 1 and row.attempts > 1 for task_id, row in rows.items())
    needless = sum(runs[task_id] > row.attempts for task_id, row in rows.items())
    return f"{failing:,} ran twice as they were made to fail once, {needless:,} though they had not failed"


def _beside(arena: Arena, numbers: Sequence[int]) -> list[NewSubmission]:
    """Tasks that wait for a while, and such as fail the first time."""
    return [
        NewSubmission("unsteady", arena.payload(number), f"t-{number}")
        if number % 2
        else NewSubmission("honest", arena.payload(number), f"t-{number}", delay=arena.chance.uniform(0.2, 2.0))
        for number in numbers
    ]


Suspend = Callable[[Sequence[str]], Sequence[str]]


def suspended(arena: Arena, names: Sequence[str], seconds: float, flags: Sequence[str] = ()) -> Outcome:
    """Suspend these processes of a system at the same time, for so long, and let them go on.

    Args:
        arena: where.
        names: of the processes; all of the system, the supervisor too, when empty.
        seconds: how long.
        flags: of the supervisor.
    """
    rounds = arena.size(1, 4)
    with Supervised(arena.system) as system:
        report = system.up(2, 3, "--tasks", arena.tasks_module, "--hung-after", "0", *flags)
        pids = [pid_of(report, name) for name in names] or [
            identity.pid for identity in process_identity.ours(system.home)
        ]
        addresses = [Address.parse(text) for text in report.servers]
        driver = arena.driver(*addresses, pace=Pace(rate=RATE), seconds=SECONDS)
        driver.start()
        try:
            for number in range(rounds):
                wanted = driver.accepted + 100
                wait_until(lambda wanted=wanted: driver.accepted >= wanted or driver.over, "tasks", 60)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                _hold(pids, seconds)
                arena.say(f"suspended {number + 1} of {rounds} times, {driver.accepted:,} tasks")
            wanted = driver.accepted + 200
            wait_until(lambda: driver.accepted >= wanted or driver.over, "tasks", 60)
        finally:
            driver.end()
        arena.drain(60)
        after = system.status()
        system.down()
        system.assert_nothing_left(report)
    outcome = arena.judge(driver, Allowance(run_twice=RUN_TWICE), faults=rounds)
    died = [part.name for part in after.processes if part.restarts] if after else ["the supervisor"]
    broken = [Finding(Invariant.HARMLESS, f"were started again: {', '.join(died)}")] if died else []
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken))


def _hold(pids: Sequence[int | None], seconds: float) -> None:
    """Suspend processes, and let them go on whatever happens."""
    found = [pid for pid in pids if pid is not None]
    end = time.monotonic() + seconds
    try:
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: time.monotonic() >= end, "the time to pass", seconds + 5)
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)


def late_outcome(arena: Arena) -> Outcome:
    """Suspend a worker beyond its lease in the midst of a task, and let it end the task when another has done it."""
    number = BESIDE
    with LocalSystem(arena.system, 1, 1, worker_arguments=("--tasks", arena.tasks_module)) as system:
        task = NewSubmission("honest", arena.payload(number, 3.0), f"t-{number}")
        sending.send(system.addresses, arena.ledger, [task])
        wait_until(arena.trace.exists, "the task to run")
        os.kill(system.process("w1").pid, signal.SIGSTOP)
        try:
            system.start("w2")
            with Client(system.addresses) as client:
                ended = client.outcome(f"t-{number}", 40)
                first = system.task(f"t-{number}")
                os.kill(system.process("w1").pid, signal.SIGCONT)
                wait_until(lambda: "went to others" in system.log("w1"), "the first worker to learn of it", 20)
                # The late outcome is in the books, if it will ever be, when those after it are.
                sending.send(
                    system.addresses,
                    arena.ledger,
                    [NewSubmission("honest", arena.payload(number + 1, 4.0), f"t-{number + 1}")],
                )
                arena.drain(30)
                second = system.task(f"t-{number}")
        finally:
            os.kill(system.process("w1").pid, signal.SIGCONT)
    broken = []
    if ended.state is not State.DONE or first is None or first.worker != "w2":
        broken.append(Finding(Invariant.NO_LOSS, f"another worker has not done the task: {ended.state}"))
    if first != second:
        broken.append(Finding(Invariant.ONCE, f"the late outcome has changed the books: {first} is {second}"))
    outcome = arena.judge(faults=1)
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken))


def _of(names: Sequence[str], seconds: float, *flags: str) -> Callable[[Arena], Outcome]:
    return partial(suspended, names=names, seconds=seconds, flags=flags)


LITTLE = "none lost, at most 2 % run twice"

CASES = (
    Case(name="clocks that are wrong and jump", target=f"by an hour and ten years: {LITTLE}", run=wrong_clocks),
    Case(
        name="outcome of a worker that was suspended",
        target="the task is done elsewhere, and the late outcome changes nothing",
        run=late_outcome,
        profiles=ONLY_LONG,
    ),
    Case(
        name="a worker suspended beyond its lease",
        target=LITTLE,
        run=_of(["w1"], 14.0),
        profiles=ONLY_LONG,
    ),
    Case(
        name="a worker suspended beyond its heartbeat, RabbitMQ",
        target=LITTLE,
        run=_of(["w1"], 50.0, "--broker", "local"),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(name="a server suspended", target=LITTLE, run=_of(["s1"], 10.0), profiles=ONLY_LONG),
    Case(
        name="everything suspended at once",
        target=f"as when a laptop sleeps: {LITTLE}",
        run=_of([], 15.0),
        profiles=ONLY_LONG,
    ),
    Case(
        name="everything suspended at once, RabbitMQ",
        target=f"as when a laptop sleeps: {LITTLE}",
        run=_of([], 15.0, "--broker", "local"),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
