"""`python -m tests.benchmarks.latency`: how long one task takes, and one program to start; and what rest costs.

Idle means one task at a time, at random pauses. Under load means half of the tasks that the system can take, by a
schedule that nothing delays: see `crowd`. Stored means that another process sees it in the journal: see `watch`.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core import config
from core.client import Client
from tests.benchmarks import starting
from tests.benchmarks.book import Book
from tests.benchmarks.case import Lost, Order
from tests.benchmarks.command import Benchmark, conduct, say
from tests.benchmarks.crowd import Crowd
from tests.benchmarks.document import Section
from tests.benchmarks.setting import Setting, Site, running
from tests.benchmarks.spread import Spread, milliseconds
from tests.benchmarks.stages import Stages
from tests.benchmarks.watch import Watch

ACCEPTED, STORED, RESULT, LATE = (
    *("submit → accepted", "submit → stored", "submit → result at the client"),
    "the client's own lateness",
)
STARTS = {"start of a worker → ready": 0.5, "start of the console → first frame": 1.0}
REST = "processor at rest"
REST_LIMIT = 0.03
LIMITS = {
    ("embedded", STORED): (0.008, 0.025),
    ("rabbitmq", STORED): (0.010, 0.030),
    ("nginx", STORED): (0.010, 0.030),
}
"""What p50 and p99 shall be, of one task at a time."""

CONNECTIONS = 6
LEAD = 0.05
"""Seconds before the first task of a schedule."""

PAUSES = (0.01, 0.1)
"""Seconds between two single tasks."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    singles: int
    """Tasks one at a time."""
    seconds: float
    """Of the load."""
    tasks: int
    """To find out what the system can take."""
    starts: int
    rest: float
    """Seconds."""


FULL = Effort(singles=300, seconds=15.0, tasks=15_000, starts=7, rest=30.0)
QUICK = Effort(singles=20, seconds=1.0, tasks=1_000, starts=1, rest=1.0)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was measured in one setting."""

    setting: str
    what: str
    rate: float = 0.0
    """Tasks a second meanwhile; 0 for one at a time."""
    spread: Spread | None = None
    rest: starting.Load | None = None
    """What this process takes at rest."""


class LatencyBenchmark(Benchmark[Latency]):
    """Settings one after the other; starting and rest with the embedded queue."""

    name = "latency"
    title = "Latency"
    description = "Measure how long one task takes from the client to the journal, at rest and at half load; how long "
    description += "programs take to start; and what the system takes with nothing to do. Takes about five minutes."
    settings = ("embedded", "rabbitmq", "nginx")
    quick = ("embedded",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what is its own."""
        parser.add_argument("--seconds", type=config.seconds(0.1, 3600), metavar="N", help="of load and of rest each")
        parser.add_argument("--no-programs", action="store_true", help="leave out starting and rest")

    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Latency]:
        """Measure everything."""
        effort = QUICK if arguments.quick else FULL
        if arguments.seconds is not None:
            effort = msgspec.structs.replace(effort, seconds=arguments.seconds, rest=arguments.seconds)
        figures: list[Latency] = []
        for setting in settings:
            with running(setting, directory / setting.name) as site:
                figures += _of_tasks(site, effort)
                if not arguments.no_programs:
                    figures.append(_worker_starts(site, effort))
            say(f"{setting.name}: done")
        if not arguments.no_programs:
            figures += _of_console(directory, effort)
        return figures

    def tell(self, figures: Sequence[Latency]) -> list[Section]:
        """Tables of tasks, of starts, and of rest."""
        sections = (_tell_tasks(figures), _tell_starts(figures), _tell_rest(figures))
        return [section for section in sections if section.lines]


def _of_tasks(site: Site, effort: Effort) -> list[Latency]:
    setting = site.setting
    with site.workers(), Book(site.journal) as book:
        stages = Stages(site.entrance, book, Order(tasks=effort.tasks, warm_up=effort.tasks // 10, halves=False))
        stages.warm_up()
        rate = stages.whole({}).rate
        say(f"{setting.name}: takes {rate:,.0f} tasks a second")
        single = [
            Latency(setting=setting.name, what=what, spread=Spread.of(seconds))
            for what, seconds in (*_singles(site, effort).items(), (RESULT, _results(site, effort)))
        ]
        loaded = [
            Latency(setting=setting.name, what=what, rate=rate / 2, spread=Spread.of(seconds))
            for what, seconds in _loaded(site, rate / 2, effort).items()
        ]
    return single + loaded


@contextmanager
def _observed(site: Site) -> Iterator[tuple[Crowd, Watch]]:
    with Watch(site.journal, site.setting.workers) as watch, Crowd(site.entrance, CONNECTIONS) as crowd:
        yield crowd, watch


def _singles(site: Site, effort: Effort) -> dict[str, list[float]]:
    """One task at a time: it is stored before the next is sent. Its time counts from when it was sent."""
    chance = random.Random(1)  # noqa: S311 - the same pauses each time, nothing secret
    sent: dict[int, float] = {}
    accepted: dict[int, float] = {}
    with _observed(site) as (crowd, watch):
        for number in range(1, effort.singles + 1):
            offered = crowd.offer([time.time() + chance.uniform(*PAUSES)])
            sent |= offered.sent
            accepted |= offered.accepted
            watch.wait(number)
        stored = {crowd.number(task_id): moment for task_id, moment in watch.stored().items()}
    return {
        ACCEPTED: [accepted[number] - moment for number, moment in sent.items()],
        STORED: [stored[number] - moment for number, moment in sent.items()],
    }


def _results(site: Site, effort: Effort) -> list[float]:
    """One task at a time, as a program sees it that waits for the result."""
    chance = random.Random(2)  # noqa: S311 - the same pauses each time, nothing secret
    seconds = []
    with Client(site.entrance) as client:
        for number in range(effort.singles):
            time.sleep(chance.uniform(*PAUSES))  # the pause is what is measured after, nothing is waited for
            began = time.perf_counter()
            if client.submit("echo", number).result() != number:
                raise Lost("a task has another one's result")
            seconds.append(time.perf_counter() - began)
    return seconds


def _loaded(site: Site, rate: float, effort: Effort) -> dict[str, list[float]]:
    """Tasks that come by chance, so many a second. Their time counts from when they were due."""
    chance = random.Random(3)  # noqa: S311 - the same schedule each time, nothing secret
    with _observed(site) as (crowd, watch):
        moments = [time.time() + LEAD]
        end = moments[0] + effort.seconds
        while (moment := moments[-1] + chance.expovariate(rate)) < end:
            moments.append(moment)
        offered = crowd.offer(moments)
        watch.wait(len(moments))
        stored = {crowd.number(task_id): moment for task_id, moment in watch.stored().items()}
    return {
        what: [moment - offered.due[number] for number, moment in reached.items()]
        for what, reached in ((ACCEPTED, offered.accepted), (STORED, stored), (LATE, offered.sent))
    }


def _worker_starts(site: Site, effort: Effort) -> Latency:
    what, _ = STARTS
    seconds = [starting.worker_start(site) for _ in range(effort.starts)]
    return Latency(setting=site.setting.name, what=what, spread=Spread.of(seconds))


def _of_console(directory: Path, effort: Effort) -> list[Latency]:
    """With the embedded queue, whatever the settings are."""
    figures = []
    _, what = STARTS
    if starting.has_console():
        with running(Setting(name="embedded"), directory / "console") as site, site.workers():
            seconds = [starting.console_start(site.servers.directory) for _ in range(effort.starts)]
        figures.append(Latency(setting="embedded", what=what, spread=Spread.of(seconds)))
    loads = starting.at_rest(directory / "rest", effort.rest)
    return figures + [Latency(setting=name, what=REST, rest=load) for name, load in loads.items()]


def _tell_tasks(figures: Sequence[Latency]) -> Section:
    of_tasks = [figure for figure in figures if figure.what in {ACCEPTED, STORED, RESULT, LATE}]
    return Section(
        title="One task",
        text="Milliseconds. Idle: one task at a time, at random pauses, from when it was sent. Half load: by a schedule"
        " at half of the rate that\nthe setting can take, from when it was due. Stored: another process sees the result"
        " in the journal, so its commit is on the disk;\nit looks every millisecond. The target of p50 and p99 is for"
        " one task at a time.",
        heads=["", "setting", "load", "tasks", "p50", "p95", "p99", "most", "target"],
        lines=[_line(figure, figure.spread) for figure in of_tasks if figure.spread],
    )


def _line(figure: Latency, spread: Spread) -> list[str]:
    load = f"{figure.rate:,.0f}/s" if figure.rate else "idle"
    parts = [milliseconds(each) for each in (spread.p50, spread.p95, spread.p99, spread.most)]
    limits = None if figure.rate else LIMITS.get((figure.setting, figure.what))
    return [figure.what, figure.setting, load, f"{spread.count:,}", *parts, _verdict(spread, limits)]


def _verdict(spread: Spread, limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ""
    met = spread.p50 < limits[0] and spread.p99 < limits[1]
    return f"{limits[0] * 1000:.0f}, {limits[1] * 1000:.0f}: {_met(met)}"


def _tell_starts(figures: Sequence[Latency]) -> Section:
    return Section(
        title="Starting",
        text="Seconds from the command to the line that says ready, or to the first text on a pseudo-terminal. The"
        " target is for the median.",
        heads=["", "setting", "starts", "median", "most", "target"],
        lines=[
            [
                figure.what,
                figure.setting,
                str(figure.spread.count),
                f"{figure.spread.p50:.2f}",
                f"{figure.spread.most:.2f}",
                f"{STARTS[figure.what]:.1f}: {_met(figure.spread.p50 < STARTS[figure.what])}",
            ]
            for figure in figures
            if figure.spread and figure.what in STARTS
        ],
    )


def _tell_rest(figures: Sequence[Latency]) -> Section:
    loads = {figure.setting: figure.rest for figure in figures if figure.rest}
    total = _sum(loads.values(), lambda load: load.share)
    if loads:
        loads["all"] = starting.Load(share=total, wakes=_sum(loads.values(), lambda load: load.wakes))
    return Section(
        title="At rest",
        text="The whole embedded system as the supervisor runs it, with a console and nothing to do: the share of one"
        f" processor, and how often its threads wake in a second.\n"
        f"Target: less than {REST_LIMIT:.0%}: {_met(total < REST_LIMIT)}.",
        heads=["process", "of one processor", "wakes a second"],
        lines=[[name, f"{load.share:.2%}", f"{load.wakes:.0f}"] for name, load in loads.items()],
    )


def _sum(loads: Iterable[starting.Load], part: Callable[[starting.Load], float]) -> float:
    return sum(map(part, loads))


def _met(met: bool) -> str:
    return "met" if met else "missed"


if __name__ == "__main__":
    sys.exit(conduct(LatencyBenchmark(), sys.argv[1:]))
