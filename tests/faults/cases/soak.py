"""Many minutes of work under kills, cuts and reloads, to see what grows."""

import time

import msgspec
import psutil

from core.addresses import Address
from core.supervisor.status import SystemStatus
from tests.faults.arena import Arena
from tests.faults.books import MOST_LOG
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import Driver, Pace
from tests.faults.judge import Allowance
from tests.faults.proxy import Proxy
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.supervised import Supervised, kill, pid_of
from tests.services.waiting import wait_until

SECONDS = 20 * 60.0
RATE = 200.0
WORK = 0.005
"""Seconds of each task."""

KILL_EVERY = 5.0
CUT_EVERY = 20.0
RELOAD_EVERY = 60.0
LOOK_EVERY = 30.0
WARM_UP = 120.0
"""Seconds after which nothing should grow any more."""

MOST_GROWTH = 1.3
"""By which factor the supervisor's memory may grow after the warm-up; more is a leak."""

SPARE_DESCRIPTORS = 16
RUN_TWICE = 0.02


class Look(msgspec.Struct, frozen=True):
    """What was seen at one moment."""

    at: float
    """Seconds after the beginning."""
    memory: int
    """Bytes that the supervisor has in memory."""
    descriptors: int
    """That it has open."""
    log: int
    """Bytes of the journal's write-ahead log."""


class _Soak:
    """One soak: what is due when, and what was done."""

    def __init__(self, arena: Arena, system: Supervised, report: SystemStatus, proxy: Proxy, driver: Driver) -> None:
        self._arena = arena
        self._system = system
        self._proxy = proxy
        self._driver = driver
        self._names = [part.name for part in report.processes]
        self._supervisor = psutil.Process(report.pid)
        self._deck: list[str] = []
        self._servers = 2
        self.faults = 0
        self.looks: list[Look] = []

    def run(self, seconds: float) -> None:
        """Do everything at its time."""
        began = time.monotonic()
        plan = {
            self._kill: KILL_EVERY,
            self._cut: CUT_EVERY,
            self._reload: RELOAD_EVERY,
            lambda: self._look(time.monotonic() - began): LOOK_EVERY,
        }
        due = {act: began + every for act, every in plan.items()}
        while time.monotonic() < began + seconds and not self._driver.over:
            act = min(due, key=lambda each: due[each])
            wait_until(lambda at=due[act]: time.monotonic() >= at, "the time to come", RELOAD_EVERY)  # type: ignore[misc]  # mypy can't infer a lambda with a default
            act()  # type: ignore[no-untyped-call]  # what mypy makes of a lambda in a dict
            due[act] = max(due[act] + plan[act], time.monotonic())

    def _kill(self) -> None:
        # Each is killed as often as the others, in an order of chance; what is just down is passed over.
        self._deck = self._deck or self._arena.chance.sample(self._names, len(self._names))
        pid = pid_of(self._system.status(), self._deck.pop())
        if pid is not None and psutil.pid_exists(pid):
            kill(pid)
            self.faults += 1

    def _cut(self) -> None:
        self._proxy.cut(reset=self._arena.chance.random() < 0.5)
        self.faults += 1

    def _reload(self) -> None:
        self._servers = 5 - self._servers
        ended = self._system.run("scale", f"servers={self._servers}")
        if ended.code:
            self._arena.say(f"scale ended with {ended.code}: {ended.errors.strip()}")

    def _look(self, at: float) -> None:
        log = self._arena.journal.with_name(self._arena.journal.name + "-wal")
        self.looks.append(
            Look(
                at,
                self._supervisor.memory_info().rss,
                self._supervisor.num_fds() if hasattr(self._supervisor, "num_fds") else 0,
                log.stat().st_size if log.exists() else 0,
            )
        )
        self._arena.say(f"{at:.0f} s: {self._driver.accepted:,} tasks, {self.faults} faults, {self.looks[-1]}")


def soak(arena: Arena) -> Outcome:
    """Twenty minutes of it, on RabbitMQ behind NGINX."""
    flags = ("--nginx", "--broker", "local", "--tasks", arena.tasks_module)
    with Supervised(arena.system) as system:
        report = system.up(2, 3, *flags)
        with Proxy(Address.parse(report.listen), arena.seed) as proxy:
            driver = arena.driver(proxy.address, pace=Pace(rate=RATE, chunk=4), seconds=WORK)
            soaking = _Soak(arena, system, report, proxy, driver)
            driver.start()
            try:
                soaking.run(SECONDS)
            finally:
                driver.end()
        arena.drain()
        system.down()
        system.assert_nothing_left(report)
    outcome = arena.judge(driver, Allowance(run_twice=RUN_TWICE), faults=soaking.faults)
    return msgspec.structs.replace(
        outcome,
        broken=(*outcome.broken, *grown(soaking.looks)),
        remarks=(*outcome.remarks, *_told(soaking.looks)),
    )


def grown(looks: list[Look]) -> list[Finding]:
    """What has grown that must not. Pure."""
    later = [look for look in looks if look.at >= WARM_UP]
    if not later:
        return []
    first, last = later[0], later[-1]
    findings = []
    if last.memory > first.memory * MOST_GROWTH:
        findings.append(Finding(Invariant.CLEAN, f"the supervisor grew from {first.memory:,} to {last.memory:,} bytes"))
    if last.descriptors > first.descriptors + SPARE_DESCRIPTORS:
        text = f"the supervisor's open descriptors grew from {first.descriptors} to {last.descriptors}"
        findings.append(Finding(Invariant.CLEAN, text))
    most = max(look.log for look in looks)
    if most > MOST_LOG:
        findings.append(Finding(Invariant.SOUND, f"the write-ahead log had {most:,} bytes"))
    return findings


def _told(looks: list[Look]) -> list[str]:
    later = [look for look in looks if look.at >= WARM_UP]
    if not later:
        return []
    first, last = later[0], later[-1]
    mebibyte = 2**20
    return [
        f"supervisor after {first.at:.0f} s: {first.memory / mebibyte:.0f} MiB, {first.descriptors} descriptors",
        f"supervisor after {last.at:.0f} s: {last.memory / mebibyte:.0f} MiB, {last.descriptors} descriptors",
        f"write-ahead log: {max(look.log for look in looks) / mebibyte:.1f} MiB at most",
    ]


CASES = (
    Case(
        name="soak",
        target="20 minutes of 200 tasks/s, a kill every 5 s, cuts and reloads: none lost, nothing grows",
        run=soak,
        profiles=ONLY_LONG,
        rabbitmq=True,
        nginx=True,
    ),
)
