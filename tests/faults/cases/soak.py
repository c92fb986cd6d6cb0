"""Many minutes of work under kills, cuts and reloads, to find what grows."""

import time

import msgspec
import psutil

from core.addresses import Address
from core.supervisor.status import SystemStatus
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import Driver, Pace
from tests.faults.journal_reader import MAX_LOG_BYTES
from tests.faults.judge import Allowance
from tests.faults.proxy import Proxy
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.supervised import Supervised, kill, pid_of
from tests.services.waiting import wait_until

DURATION = 20 * 60.0
RATE = 200.0
WORK = 0.005
"""Seconds of each task."""

KILL_INTERVAL = 5.0
CUT_INTERVAL = 20.0
RELOAD_INTERVAL = 60.0
SAMPLE_INTERVAL = 30.0
WARM_UP = 120.0
"""Seconds after which memory and descriptors should be stable."""

MAX_GROWTH = 1.3
"""Largest growth factor of the supervisor's memory after the warm-up."""

SPARE_DESCRIPTORS = 16
RUN_TWICE = 0.02


class Sample(msgspec.Struct, frozen=True):
    """Measurements of one moment."""

    at: float
    """Seconds after the start."""
    memory: int
    """Bytes of memory of the supervisor."""
    descriptors: int
    """Open descriptors of the supervisor."""
    log: int
    """Bytes of the journal's write-ahead log."""


class _Soak:
    """One soak: makes the faults and measurements at their intervals."""

    def __init__(
        self, context: CaseContext, system: Supervised, report: SystemStatus, proxy: Proxy, driver: Driver
    ) -> None:
        self._context = context
        self._system = system
        self._proxy = proxy
        self._driver = driver
        self._names = [unit.name for unit in report.processes]
        self._supervisor = psutil.Process(report.pid)
        self._victims: list[str] = []
        self._servers = 2
        self.faults = 0
        self.samples: list[Sample] = []

    def run(self, seconds: float) -> None:
        """Run every action at its interval."""
        began = time.monotonic()
        intervals = {
            self._kill: KILL_INTERVAL,
            self._cut: CUT_INTERVAL,
            self._reload: RELOAD_INTERVAL,
            lambda: self._sample(time.monotonic() - began): SAMPLE_INTERVAL,
        }
        due = {act: began + every for act, every in intervals.items()}
        while time.monotonic() < began + seconds and not self._driver.over:
            act = min(due, key=lambda each: due[each])
            wait_until(lambda at=due[act]: time.monotonic() >= at, "the time to come", RELOAD_INTERVAL)  # type: ignore[misc]  # mypy can't infer a lambda with a default
            act()  # type: ignore[no-untyped-call]  # what mypy makes of a lambda in a dict
            due[act] = max(due[act] + intervals[act], time.monotonic())

    def _kill(self) -> None:
        # Each is killed equally often, in random order; one that is down is skipped.
        self._victims = self._victims or self._context.rng.sample(self._names, len(self._names))
        pid = pid_of(self._system.status(), self._victims.pop())
        if pid is not None and psutil.pid_exists(pid):
            kill(pid)
            self.faults += 1

    def _cut(self) -> None:
        self._proxy.cut(reset=self._context.rng.random() < 0.5)
        self.faults += 1

    def _reload(self) -> None:
        self._servers = 5 - self._servers
        ended = self._system.run("scale", f"servers={self._servers}")
        if ended.code:
            self._context.show_progress(f"scale ended with {ended.code}: {ended.errors.strip()}")

    def _sample(self, at: float) -> None:
        log = self._context.journal.with_name(self._context.journal.name + "-wal")
        self.samples.append(
            Sample(
                at,
                self._supervisor.memory_info().rss,
                self._supervisor.num_fds() if hasattr(self._supervisor, "num_fds") else 0,
                log.stat().st_size if log.exists() else 0,
            )
        )
        self._context.show_progress(
            f"{at:.0f} s: {self._driver.accepted:,} tasks, {self.faults} faults, {self.samples[-1]}"
        )


def soak(context: CaseContext) -> Outcome:
    """Run for twenty minutes on RabbitMQ behind NGINX."""
    flags = ("--nginx", "--broker", "local", "--tasks", context.tasks_module)
    with Supervised(context.system) as system:
        report = system.up(2, 3, *flags)
        with Proxy(Address.parse(report.listen), context.seed) as proxy:
            driver = context.driver(proxy.address, pace=Pace(rate=RATE, chunk=4), seconds=WORK)
            soaking = _Soak(context, system, report, proxy, driver)
            driver.start()
            try:
                soaking.run(DURATION)
            finally:
                driver.end()
        context.drain()
        system.down()
        system.assert_nothing_left(report)
    outcome = context.judge(driver, Allowance(run_twice=RUN_TWICE), faults=soaking.faults)
    return msgspec.structs.replace(
        outcome,
        broken=(*outcome.broken, *find_growth(soaking.samples)),
        remarks=(*outcome.remarks, *_remarks(soaking.samples)),
    )


def find_growth(samples: list[Sample]) -> list[Finding]:
    """Return findings on what has grown. Pure."""
    later = [sample for sample in samples if sample.at >= WARM_UP]
    if not later:
        return []
    first, last = later[0], later[-1]
    findings = []
    if last.memory > first.memory * MAX_GROWTH:
        findings.append(Finding(Invariant.CLEAN, f"the supervisor grew from {first.memory:,} to {last.memory:,} bytes"))
    if last.descriptors > first.descriptors + SPARE_DESCRIPTORS:
        text = f"the supervisor's open descriptors grew from {first.descriptors} to {last.descriptors}"
        findings.append(Finding(Invariant.CLEAN, text))
    largest = max(sample.log for sample in samples)
    if largest > MAX_LOG_BYTES:
        findings.append(Finding(Invariant.SOUND, f"the write-ahead log had {largest:,} bytes"))
    return findings


def _remarks(samples: list[Sample]) -> list[str]:
    later = [sample for sample in samples if sample.at >= WARM_UP]
    if not later:
        return []
    first, last = later[0], later[-1]
    mebibyte = 2**20
    return [
        f"supervisor after {first.at:.0f} s: {first.memory / mebibyte:.0f} MiB, {first.descriptors} descriptors",
        f"supervisor after {last.at:.0f} s: {last.memory / mebibyte:.0f} MiB, {last.descriptors} descriptors",
        f"write-ahead log: {max(sample.log for sample in samples) / mebibyte:.1f} MiB at most",
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
