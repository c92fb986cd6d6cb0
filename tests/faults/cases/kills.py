"""Kills of any process, also the supervisor, at any moment while tasks are submitted."""

import contextlib
from collections.abc import Callable

import psutil

from core.addresses import Address
from core.supervisor.plan import ProcessKind
from core.supervisor.processes import process_identity
from core.supervisor.status import SystemStatus
from tests.faults.case import Case
from tests.faults.console_check import ConsoleCheck
from tests.faults.context import CaseContext
from tests.faults.driver import Driver, Pace
from tests.faults.judge import Allowance
from tests.faults.values import Outcome
from tests.integration.supervised import Supervised, kill, pid_of, settled
from tests.services.waiting import wait_until

RECOVERY_TIMEOUT = 60.0
RATE = 60.0
"""Tasks a second."""

WORK = 0.02
"""Seconds of work in each task: enough for a kill to interrupt it."""

RUN_TWICE = 0.02
SUPERVISOR = "supervisor"
RUNNER = "a runner"
RUNNER_MODULE = "core.runner.start"

Flags = tuple[str, ...]


def _storm(*flags: str) -> Callable[[CaseContext], Outcome]:
    return lambda context: storm(context, flags)


def storm(context: CaseContext, flags: Flags) -> Outcome:
    """Kill one process after another, and wait each time until it is back."""
    kills, tasks = context.size(8, 100), context.size(400, 10_000)
    flags = (*flags, "--tasks", context.tasks_module)
    with Supervised(context.system) as system:
        report = system.up(2, 3, *flags)
        driver = context.driver(Address.parse(report.listen), pace=Pace(rate=RATE), seconds=WORK)
        check = ConsoleCheck(context.system)
        with check.watching():
            driver.start()
            try:
                _kill_each(context, system, report, flags, kills, driver)
                enough = tasks / RATE + RECOVERY_TIMEOUT
                wait_until(lambda: driver.accepted >= tasks or driver.over, "enough tasks", enough)
            finally:
                driver.end()
            context.drain()
        system.down()
        system.assert_nothing_left(report)
        check.open_anew(after_down=True)
    return check.added_to(context.judge(driver, Allowance(run_twice=RUN_TWICE), faults=kills))


def _kill_each(
    context: CaseContext, system: Supervised, report: SystemStatus, flags: Flags, kills: int, driver: Driver
) -> None:
    names = [*(unit.name for unit in report.processes), SUPERVISOR, RUNNER]
    victims: list[str] = []
    for number in range(kills):
        # Each is killed equally often, in random order.
        victims = victims or context.rng.sample(names, len(names))
        name = victims.pop()
        if name == SUPERVISOR:
            system.kill_supervisor()
            system.up(2, 3, *flags)
            continue
        if name == RUNNER:
            _kill_runner(context, system)
            continue
        old_pid = pid_of(system.status(), name)
        kill(old_pid)
        _wait_for_replacement(system, name, old_pid)
        if number % 10 == 9:
            context.show_progress(f"{number + 1} of {kills} kills, {driver.accepted:,} tasks")


def _kill_runner(context: CaseContext, system: Supervised) -> None:
    """Kill a runner, and wait until its worker, which goes on, has another one."""
    status = system.status()
    workers = [unit for unit in status.processes if unit.kind is ProcessKind.WORKER] if status else []
    worker = context.rng.choice(workers)
    wait_until(lambda: bool(_runners_of(worker.pid)), "a runner", RECOVERY_TIMEOUT)
    old = _runners_of(worker.pid)
    kill(context.rng.choice(sorted(old)))
    wait_until(lambda: bool(_runners_of(worker.pid) - old), "another runner", RECOVERY_TIMEOUT)
    assert pid_of(system.status(), worker.name) == worker.pid, "a worker died with its runner"


def _runners_of(worker: int | None) -> set[int]:
    """Return the process ids of a worker's runners."""
    found = set()
    for child in psutil.Process(worker).children():
        with contextlib.suppress(psutil.Error):
            if RUNNER_MODULE in child.cmdline():
                found.add(child.pid)
    return found


def _wait_for_replacement(system: Supervised, name: str, old_pid: int | None) -> None:
    def is_back() -> bool:
        report = system.status()
        return settled(report) and pid_of(report, name) not in {None, old_pid}

    wait_until(is_back, f"{name} to come back", RECOVERY_TIMEOUT)


def everything_at_once(context: CaseContext) -> Outcome:
    """Kill every process of the system at once, as a power cut would, and start it again."""
    rounds = context.size(2, 20)
    flags = ("--tasks", context.tasks_module)
    with Supervised(context.system) as system:
        report = system.up(2, 2, *flags)
        driver = context.driver(Address.parse(report.listen), pace=Pace(rate=RATE), seconds=WORK)
        check = ConsoleCheck(context.system)
        driver.start()
        try:
            for number in range(rounds):
                target = driver.accepted + 20 + context.rng.randrange(20)
                wait_until(lambda target=target: driver.accepted >= target or driver.over, "tasks", RECOVERY_TIMEOUT)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                for identity in process_identity.processes_of(system.home):
                    process_identity.kill(identity)
                wait_until(
                    lambda: not process_identity.processes_of(system.home), "everything to die", RECOVERY_TIMEOUT
                )
                check.open_anew()
                system.up(2, 2, *flags, "--listen", report.listen)
                check.open_anew()
                context.show_progress(f"{number + 1} of {rounds} power cuts, {driver.accepted:,} tasks")
        finally:
            driver.end()
        context.drain()
        system.down()
        system.assert_nothing_left(report)
    return check.added_to(context.judge(driver, faults=rounds))


STORM = "10,000 tasks, 100 kills of every process: none lost, at most 2 % run twice"

CASES = (
    Case(name="kill storm, embedded", target=STORM, run=_storm()),
    Case(
        name="kill storm, RabbitMQ and NGINX",
        target=STORM,
        run=_storm("--nginx", "--broker", "local"),
        rabbitmq=True,
        nginx=True,
    ),
    Case(
        name="power cut, embedded",
        target="every process killed at once, 20 times: none lost",
        run=everything_at_once,
    ),
)
