"""Links of clients, NGINX and servers that are cut, reset, refused, sliced, or swallow and lose what they carry."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from core.addresses import Address
from core.client.rotation import BACKOFF
from core.supervisor.nginx.executable import find_nginx
from tests.faults import ledger, network, rigged
from tests.faults.arena import Arena
from tests.faults.case import Case
from tests.faults.driver import Driver, Pace
from tests.faults.network import Spans
from tests.faults.proxy import Proxy, Weather
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.nginx import NginxProcess
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
SECONDS = 0.01
"""Of work in each task."""

MENDING = 30.0
ANSWER_WITHIN = 2.0
IN_A_ROW = 2
"""Troubles that one answer may have to live through; then it is waited for."""

ROOM = 5.0
"""Seconds that a machine may be busy with something else."""

FOUND_AGAIN = IN_A_ROW * ANSWER_WITHIN + BACKOFF.longest + ROOM
"""Seconds from the end of a trouble, or of several in a row, until an answer must have come.

When the trouble ends, a try may have begun that is bound to fail: it does after `ANSWER_WITHIN` at the latest, or at
once, where NGINX still avoids a server for two seconds because it refused. After many failures the client then pauses
for `BACKOFF.longest`. The next try finds everything well. Where another server is there to be asked, a hole costs the
`ANSWER_WITHIN` after which the client leaves it, once for each of those in a row.
"""

LONGEST_GAP = 0.3
"""Seconds between two troubles, at most."""

LOSSY_WITHIN = 0.5
LOST = 0.2
"""The part of the answers that never arrive."""


@contextlib.contextmanager
def system_behind(arena: Arena, servers: int, workers: int = 2, program: str = rigged.SERVER) -> Iterator[list[Proxy]]:
    """A system on the embedded queue, and a proxy before each of its servers."""
    flags = ("--tasks", arena.tasks_module)
    with contextlib.ExitStack() as stack:
        system = LocalSystem(arena.system, servers, workers, server_program=program, worker_arguments=flags)
        stack.enter_context(system)
        yield [
            stack.enter_context(Proxy(address, arena.seed + number)) for number, address in enumerate(system.addresses)
        ]


@contextlib.contextmanager
def balanced(arena: Arena, servers: Sequence[Proxy]) -> Iterator[Proxy]:
    """NGINX over these servers, and a proxy before it."""
    program = find_nginx()
    assert program is not None, "NGINX is missing: apt-get install nginx libnginx-mod-stream"
    nginx = NginxProcess(program, arena.directory / "nginx", [server.address for server in servers])
    nginx.start()
    try:
        with Proxy(nginx.address, arena.seed) as proxy:
            yield proxy
    finally:
        nginx.stop()


def clients(arena: Arena) -> Outcome:
    """Trouble the link to one of two servers at a time."""
    with system_behind(arena, 2) as proxies:
        driver = _driver(arena, [proxy.address for proxy in proxies])
        faults, _ = _trouble(arena, driver, proxies, arena.size(4, 100))
        arena.drain()
    # One of two servers is always within reach, so no hole has to be waited for.
    return _judged(arena, driver, faults, FOUND_AGAIN)


def behind_nginx(arena: Arena, server: str = rigged.SERVER) -> Outcome:
    """Trouble the link to NGINX and those from it to the servers."""
    with system_behind(arena, 2, program=server) as servers, balanced(arena, servers) as front:
        driver = _driver(arena, [front.address])
        faults, longest = _trouble(arena, driver, [front, *servers], arena.size(3, 100))
        arena.drain()
    return _judged(arena, driver, faults, longest + FOUND_AGAIN)


def all_dead(arena: Arena, server: str = rigged.SERVER) -> Outcome:
    """Have all three servers refuse for a while, and come back."""
    rounds, longest = arena.size(1, 5), 0.0
    with system_behind(arena, 3, program=server) as proxies:
        driver = _driver(arena, [proxy.address for proxy in proxies])
        with _running(driver):
            for _ in range(rounds):
                _wait_for_more(driver)
                spans = Spans(least=2.0, most=arena.size(3, 30))
                seconds = network.darken(proxies, Weather(refuses=True), spans.draw(arena.chance))
                longest = max(longest, seconds)
            _wait_for_more(driver)
        arena.drain()
    return _judged(arena, driver, rounds * len(proxies), longest + FOUND_AGAIN)


def slices(arena: Arena) -> Outcome:
    """Carry everything a byte or a few at a time, with pauses that differ."""
    each = arena.size(4, 150)
    weathers = [Weather(slice=1), Weather(slice=1, delay=0.001), Weather(slice=7, delay=0.01), Weather(delay=0.05)]
    with system_behind(arena, 1) as (proxy,):
        driver = _driver(arena, [proxy.address])
        with _running(driver):
            for weather in weathers:
                proxy.weather = weather
                proxy.cut()
                _wait_for_more(driver, each)
        arena.drain()
    return _judged(arena, driver, len(weathers), FOUND_AGAIN)


def lost_answers(arena: Arena) -> Outcome:
    """Lose a part of the answers, after what they tell of was stored; each is asked for again under its id."""
    pace = Pace(most=arena.size(60, 5_000), chunk=arena.size(30, 50), answer_within=LOSSY_WITHIN)
    with system_behind(arena, 2) as proxies:
        driver = arena.driver(*(proxy.address for proxy in proxies), pace=pace)
        for proxy in proxies:
            proxy.weather = Weather(lose_lines=LOST)
        driver.start()
        driver.join(arena.size(60, 540))
        arena.drain()
    outcome = _judged(arena, driver, sum(proxy.lines_lost for proxy in proxies), None)
    noted = ledger.read(arena.ledger.path)
    broken = list(outcome.broken)
    if not noted.repeated:
        broken.append(Finding(Invariant.ONCE, "no task was submitted again, so nothing was shown"))
    if outcome.tasks != pace.most:
        broken.append(Finding(Invariant.ANSWERED, f"{outcome.tasks:,} of {pace.most:,} tasks were accepted"))
    remark = f"{len(noted.repeated):,} tasks were submitted again, and known"
    return msgspec.structs.replace(outcome, broken=tuple(broken), remarks=(*outcome.remarks, remark))


def _driver(arena: Arena, servers: Iterable[Address]) -> Driver:
    return arena.driver(*servers, pace=Pace(rate=RATE, answer_within=ANSWER_WITHIN), seconds=SECONDS)


@contextlib.contextmanager
def _running(driver: Driver) -> Iterator[None]:
    driver.start()
    try:
        yield
    finally:
        driver.end()


def _trouble(arena: Arena, driver: Driver, proxies: Sequence[Proxy], each: int) -> tuple[int, float]:
    """So many troubles on each link, a few in a row; how many, and the seconds of the longest row."""
    spans, longest = Spans(most=arena.size(2, 10)), 0.0
    plan = [(trouble, proxy) for proxy in proxies for trouble in network.deck(arena.chance, each)]
    arena.chance.shuffle(plan)
    with _running(driver):
        for first in range(0, len(plan), IN_A_ROW):
            network.pause(arena.chance.random() * LONGEST_GAP, lambda: driver.over)
            began = time.monotonic()
            for trouble, proxy in plan[first : first + IN_A_ROW]:
                network.make(trouble, proxy, arena.chance, spans)
                # The next comes at any moment of what goes on, not only once all is calm again.
                network.pause(arena.chance.random() * LONGEST_GAP, lambda: driver.over)
            longest = max(longest, time.monotonic() - began)
            # Otherwise an answer might meet with any number of troubles, and there were no time to hold it to.
            _wait_for_more(driver, 1)
            if first % 10 == 0:
                arena.say(f"{first} of {len(plan)} troubles, {driver.accepted:,} tasks")
        _wait_for_more(driver)
    return len(plan), longest


def _wait_for_more(driver: Driver, count: int = 20) -> None:
    """Wait until more is accepted than before."""
    wanted = driver.accepted + count
    wait_until(lambda: driver.accepted >= wanted or driver.over, "tasks to be accepted", MENDING + count)


def _judged(arena: Arena, driver: Driver, faults: int, most_seconds: float | None) -> Outcome:
    outcome = arena.judge(driver, faults=faults)
    findings = [*network.refused(ledger.read(arena.ledger.path).refused)]
    if most_seconds is not None:
        findings += network.late(driver, most_seconds)
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *findings))


TARGET = "cut, reset, refused, swallowed at any moment, 100 times each: none lost, none stored twice"

CASES = (
    Case(name="links of clients", target=TARGET, run=clients),
    Case(name="links around NGINX", target=TARGET, run=behind_nginx, nginx=True),
    Case(name="all servers out of reach", target="for up to 30 s: clients wait and go on", run=all_dead),
    Case(name="bytes one by one", target="in slices and with jitter: everything is read right", run=slices),
    Case(
        name="answers lost after the commit",
        target="every fifth of them, 5,000 tasks: asked again under the same id, one row each",
        run=lost_answers,
    ),
)
