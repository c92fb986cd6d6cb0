"""Kills of whatever runs, at any moment, while tasks come in; the supervisor among them."""

from collections.abc import Callable

from core.addresses import Address
from core.supervisor.processes import process_identity
from core.supervisor.status import SystemStatus
from tests.faults.arena import Arena
from tests.faults.case import Case
from tests.faults.driver import Driver, Pace
from tests.faults.judge import Allowance
from tests.faults.values import Outcome
from tests.integration.supervised import Supervised, kill, pid_of, settled
from tests.services.waiting import wait_until

MENDING = 60.0
RATE = 60.0
"""Tasks a second."""

SECONDS = 0.02
"""Of work in each task: enough to be killed in the middle of."""

RUN_TWICE = 0.02
SUPERVISOR = "supervisor"

Flags = tuple[str, ...]


def _storm(*flags: str) -> Callable[[Arena], Outcome]:
    return lambda arena: storm(arena, flags)


def storm(arena: Arena, flags: Flags) -> Outcome:
    """Kill one after the other, and wait each time until everything is well again."""
    kills, tasks = arena.size(8, 100), arena.size(400, 10_000)
    flags = (*flags, "--tasks", arena.tasks_module)
    with Supervised(arena.system) as system:
        report = system.up(2, 3, *flags)
        driver = arena.driver(Address.parse(report.listen), pace=Pace(rate=RATE), seconds=SECONDS)
        driver.start()
        try:
            _kill_all_around(arena, system, report, flags, kills, driver)
            wait_until(lambda: driver.accepted >= tasks or driver.over, "enough tasks", tasks / RATE + MENDING)
        finally:
            driver.end()
        arena.drain()
        system.down()
        system.assert_nothing_left(report)
    return arena.judge(driver, Allowance(run_twice=RUN_TWICE), faults=kills)


def _kill_all_around(
    arena: Arena, system: Supervised, report: SystemStatus, flags: Flags, kills: int, driver: Driver
) -> None:
    names = [part.name for part in report.processes] + [SUPERVISOR]
    deck: list[str] = []
    for number in range(kills):
        # Each is killed as often as the others, in an order of chance.
        deck = deck or arena.chance.sample(names, len(names))
        name = deck.pop()
        if name == SUPERVISOR:
            system.kill_supervisor()
            system.up(2, 3, *flags)
            continue
        former = pid_of(system.status(), name)
        kill(former)
        _wait_for_another(system, name, former)
        if number % 10 == 9:
            arena.say(f"{number + 1} of {kills} kills, {driver.accepted:,} tasks")


def _wait_for_another(system: Supervised, name: str, former: int | None) -> None:
    def mended() -> bool:
        report = system.status()
        return settled(report) and pid_of(report, name) not in {None, former}

    wait_until(mended, f"{name} to come back", MENDING)


def everything_at_once(arena: Arena) -> Outcome:
    """Kill every process of the system in one go, as a power cut would, and start it again."""
    rounds = arena.size(2, 20)
    flags = ("--tasks", arena.tasks_module)
    with Supervised(arena.system) as system:
        report = system.up(2, 2, *flags)
        driver = arena.driver(Address.parse(report.listen), pace=Pace(rate=RATE), seconds=SECONDS)
        driver.start()
        try:
            for number in range(rounds):
                wanted = driver.accepted + 20 + arena.chance.randrange(20)
                wait_until(lambda wanted=wanted: driver.accepted >= wanted or driver.over, "tasks", MENDING)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                for identity in process_identity.ours(system.home):
                    process_identity.kill(identity)
                wait_until(lambda: not process_identity.ours(system.home), "everything to die", MENDING)
                system.up(2, 2, *flags, "--listen", report.listen)
                arena.say(f"{number + 1} of {rounds} power cuts, {driver.accepted:,} tasks")
        finally:
            driver.end()
        arena.drain()
        system.down()
        system.assert_nothing_left(report)
    return arena.judge(driver, faults=rounds)


STORM = "10,000 tasks, 100 kills of every part: none lost, at most 2 % run twice"

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
        target="every process killed in one go, 20 times: none lost",
        run=everything_at_once,
    ),
)
