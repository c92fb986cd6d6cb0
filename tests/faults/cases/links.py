"""Faults of the links between clients, NGINX and servers: cut, reset, refused, stalled, sliced or lossy."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from core.addresses import Address
from core.client.rotation import BACKOFF
from core.supervisor.nginx.executable import find_nginx
from tests.faults import network, rigged, submission_log
from tests.faults.case import Case
from tests.faults.context import CaseContext
from tests.faults.driver import Driver, Pace
from tests.faults.network import DurationRange
from tests.faults.proxy import NetworkConditions, Proxy
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.nginx import NginxProcess
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
WORK = 0.01
"""Seconds of work in each task."""

RECOVERY_TIMEOUT = 30.0
ANSWER_TIMEOUT = 2.0
IN_A_ROW = 2
"""Faults in a row, after which the next answer is awaited."""

SLACK = 5.0
"""Seconds for which the machine may be busy with something else."""

RECOVERY_TIME = IN_A_ROW * ANSWER_TIMEOUT + BACKOFF.longest + SLACK
"""Seconds from the end of a fault, or of several in a row, within which an answer must come.

An attempt that began during the fault fails after `ANSWER_TIMEOUT` at the latest, or at once while NGINX avoids a
server that refused, for two seconds. After many failures the client then waits for `BACKOFF.longest`. The next attempt
succeeds. With a second server, a black hole costs `ANSWER_TIMEOUT`, after which the client uses the other server, once
for each fault in a row.
"""

MAX_GAP = 0.3
"""Longest time between two faults, in seconds."""

LOSSY_TIMEOUT = 0.5
LOST = 0.2
"""Fraction of the answers that are lost."""


@contextlib.contextmanager
def system_behind(
    context: CaseContext, servers: int, workers: int = 2, program: str = rigged.SERVER
) -> Iterator[list[Proxy]]:
    """Provide a system on the embedded queue, with a proxy in front of each server."""
    flags = ("--tasks", context.tasks_module)
    with contextlib.ExitStack() as stack:
        system = LocalSystem(context.system, servers, workers, server_program=program, worker_arguments=flags)
        stack.enter_context(system)
        yield [
            stack.enter_context(Proxy(address, context.seed + number))
            for number, address in enumerate(system.addresses)
        ]


@contextlib.contextmanager
def balanced(context: CaseContext, servers: Sequence[Proxy]) -> Iterator[Proxy]:
    """Provide NGINX in front of these servers, with a proxy in front of it."""
    program = find_nginx()
    assert program is not None, "NGINX is missing: apt-get install nginx libnginx-mod-stream"
    nginx = NginxProcess(program, context.directory / "nginx", [server.address for server in servers])
    nginx.start()
    try:
        with Proxy(nginx.address, context.seed) as proxy:
            yield proxy
    finally:
        nginx.stop()


def clients(context: CaseContext) -> Outcome:
    """Make faults on the link to one of two servers at a time."""
    with system_behind(context, 2) as proxies:
        driver = _driver(context, [proxy.address for proxy in proxies])
        faults, _ = _make_faults(context, driver, proxies, context.size(4, 100))
        context.drain()
    # One of two servers is always reachable, so a black hole is not waited for.
    return _judged(context, driver, faults, RECOVERY_TIME)


def behind_nginx(context: CaseContext, server: str = rigged.SERVER) -> Outcome:
    """Make faults on the links to NGINX and from it to the servers."""
    with system_behind(context, 2, program=server) as servers, balanced(context, servers) as front:
        driver = _driver(context, [front.address])
        faults, longest = _make_faults(context, driver, [front, *servers], context.size(3, 100))
        context.drain()
    return _judged(context, driver, faults, longest + RECOVERY_TIME)


def all_dead(context: CaseContext, server: str = rigged.SERVER) -> Outcome:
    """Make all three servers refuse for a while."""
    rounds, longest = context.size(1, 5), 0.0
    with system_behind(context, 3, program=server) as proxies:
        driver = _driver(context, [proxy.address for proxy in proxies])
        with _running(driver):
            for _ in range(rounds):
                _wait_for_more(context, driver)
                durations = DurationRange(min=2.0, max=context.size(3, 30))
                seconds = network.impose(proxies, NetworkConditions(refuses=True), durations.draw(context.rng))
                longest = max(longest, seconds)
            _wait_for_more(context, driver)
        context.drain()
    return _judged(context, driver, rounds * len(proxies), longest + RECOVERY_TIME)


def slices(context: CaseContext) -> Outcome:
    """Forward everything a byte or a few at a time, with varying delays."""
    each = context.size(4, 150)
    all_conditions = [
        NetworkConditions(slice=1),
        NetworkConditions(slice=1, delay=0.001),
        NetworkConditions(slice=7, delay=0.01),
        NetworkConditions(delay=0.05),
    ]
    with system_behind(context, 1) as (proxy,):
        # Nothing is lost here: an answer only takes as many steps as it has bytes.
        pace = Pace(rate=RATE, answer_timeout=context.patience(ANSWER_TIMEOUT))
        driver = context.driver(proxy.address, pace=pace, seconds=WORK)
        with _running(driver):
            for conditions in all_conditions:
                proxy.conditions = conditions
                proxy.cut()
                _wait_for_more(context, driver, each)
        context.drain()
    return _judged(context, driver, len(all_conditions), RECOVERY_TIME)


def lost_answers(context: CaseContext) -> Outcome:
    """Lose a part of the answers to stored tasks; each task is submitted again with its id."""
    pace = Pace(max_tasks=context.size(60, 5_000), chunk=context.size(30, 50), answer_timeout=LOSSY_TIMEOUT)
    with system_behind(context, 2) as proxies:
        driver = context.driver(*(proxy.address for proxy in proxies), pace=pace)
        for proxy in proxies:
            proxy.conditions = NetworkConditions(lose_lines=LOST)
        driver.start()
        driver.join(context.patience(context.size(60, 540)))
        context.drain()
    outcome = _judged(context, driver, sum(proxy.lines_lost for proxy in proxies), None)
    submissions = submission_log.read(context.submissions.path)
    broken = list(outcome.broken)
    if not submissions.repeated:
        broken.append(Finding(Invariant.ONCE, "no task was submitted again, so the case shows nothing"))
    if outcome.tasks != pace.max_tasks:
        broken.append(Finding(Invariant.ANSWERED, f"{outcome.tasks:,} of {pace.max_tasks:,} tasks were accepted"))
    remark = f"{len(submissions.repeated):,} tasks were submitted again, and recognised"
    return msgspec.structs.replace(outcome, broken=tuple(broken), remarks=(*outcome.remarks, remark))


def _driver(context: CaseContext, servers: Iterable[Address]) -> Driver:
    return context.driver(*servers, pace=Pace(rate=RATE, answer_timeout=ANSWER_TIMEOUT), seconds=WORK)


@contextlib.contextmanager
def _running(driver: Driver) -> Iterator[None]:
    driver.start()
    try:
        yield
    finally:
        driver.end()


def _make_faults(context: CaseContext, driver: Driver, proxies: Sequence[Proxy], each: int) -> tuple[int, float]:
    """Make faults on each link, a few in a row. Returns their number, and the seconds of the longest row."""
    durations, longest = DurationRange(max=context.size(2, 10)), 0.0
    plan = [(fault, proxy) for proxy in proxies for fault in network.shuffled_faults(context.rng, each)]
    context.rng.shuffle(plan)
    with _running(driver):
        for first in range(0, len(plan), IN_A_ROW):
            network.pause(context.rng.random() * MAX_GAP, lambda: driver.over)
            began = time.monotonic()
            for fault, proxy in plan[first : first + IN_A_ROW]:
                network.make(fault, proxy, context.rng, durations)
                # The next fault begins at any moment, not only after the recovery.
                network.pause(context.rng.random() * MAX_GAP, lambda: driver.over)
            longest = max(longest, time.monotonic() - began)
            # Otherwise an answer might meet any number of faults, and have no time limit.
            _wait_for_more(context, driver, 1)
            if first % 10 == 0:
                context.show_progress(f"{first} of {len(plan)} faults, {driver.accepted:,} tasks")
        _wait_for_more(context, driver)
    return len(plan), longest


def _wait_for_more(context: CaseContext, driver: Driver, count: int = 20) -> None:
    """Wait until more tasks are accepted."""
    target = driver.accepted + count
    patience = context.patience(RECOVERY_TIMEOUT + count)
    wait_until(lambda: driver.accepted >= target or driver.over, "tasks to be accepted", patience)


def _judged(context: CaseContext, driver: Driver, faults: int, max_seconds: float | None) -> Outcome:
    outcome = context.judge(driver, faults=faults)
    findings = [*network.refused(submission_log.read(context.submissions.path).refused)]
    if max_seconds is not None:
        findings += network.late(driver, context.patience(max_seconds))
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *findings))


TARGET = "cut, reset, refused, stalled at any moment, 100 times each: none lost, none stored twice"

CASES = (
    Case(name="links of clients", target=TARGET, run=clients),
    Case(name="links around NGINX", target=TARGET, run=behind_nginx, nginx=True),
    Case(name="all servers unreachable", target="for up to 30 s: clients wait and go on", run=all_dead),
    Case(name="single bytes", target="in slices and with jitter: everything is parsed correctly", run=slices),
    Case(
        name="answers lost after the commit",
        target="every fifth of them, 5,000 tasks: submitted again with the same id, one row each",
        run=lost_answers,
    ),
)
