"""`python -m tests.benchmarks.latency`: the latency of single tasks, start-up times, and the cost of an idle system.

Idle means single tasks at random pauses. Under load means half of the rate that the system can take, by a fixed
schedule: see `load_client`. Stored means that another process sees the task in the journal: see `storage_watcher`.
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
from tests.benchmarks.case import Order, TasksLost
from tests.benchmarks.command import Benchmark, run_benchmark, show_progress
from tests.benchmarks.document import Section
from tests.benchmarks.journal_reader import JournalReader
from tests.benchmarks.load_client import LoadClient
from tests.benchmarks.setting import RunningSystem, Setting, running
from tests.benchmarks.spread import Spread, milliseconds
from tests.benchmarks.stages import Stages
from tests.benchmarks.storage_watcher import StorageWatcher

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
"""Targets for p50 and p99 of single tasks, in seconds."""

CONNECTIONS = 6
LEAD = 0.05
"""Seconds before the first task of a schedule."""

PAUSES = (0.01, 0.1)
"""Range of the random pause between single tasks, in seconds."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    singles: int
    """Number of single tasks."""
    seconds: float
    """Seconds of load."""
    tasks: int
    """Number of tasks for measuring the full rate."""
    starts: int
    rest: float
    """Seconds of an idle system."""


FULL = Effort(singles=300, seconds=15.0, tasks=15_000, starts=7, rest=30.0)
QUICK = Effort(singles=20, seconds=1.0, tasks=1_000, starts=1, rest=1.0)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement in one setting."""

    setting: str
    what: str
    rate: float = 0.0
    """Tasks a second meanwhile; 0 for single tasks."""
    spread: Spread | None = None
    rest: starting.Load | None = None
    """The load of this process at rest."""


class LatencyBenchmark(Benchmark[Latency]):
    """Measures one setting after another; start-up and rest with the embedded queue."""

    name = "latency"
    title = "Latency"
    description = (
        "Measure the latency of a task from the client to the journal, idle and at half load; the start-up time "
    )
    description += "of programs; and the processor use of an idle system. Takes about five minutes."
    settings = ("embedded", "rabbitmq", "nginx")
    quick = ("embedded",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of this benchmark."""
        parser.add_argument(
            "--seconds", type=config.seconds(0.1, 3600), metavar="N", help="seconds of load and of rest"
        )
        parser.add_argument("--no-programs", action="store_true", help="skip start-up and rest")

    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Latency]:
        """Measure everything."""
        effort = QUICK if arguments.quick else FULL
        if arguments.seconds is not None:
            effort = msgspec.structs.replace(effort, seconds=arguments.seconds, rest=arguments.seconds)
        figures: list[Latency] = []
        for setting in settings:
            with running(setting, directory / setting.name) as system:
                figures += _of_tasks(system, effort)
                if not arguments.no_programs:
                    figures.append(_worker_starts(system, effort))
            show_progress(f"{setting.name}: done")
        if not arguments.no_programs:
            figures += _of_console(directory, effort)
        return figures

    def make_sections(self, figures: Sequence[Latency]) -> list[Section]:
        """Return the tables of tasks, of start-up, and of rest."""
        sections = (_task_section(figures), _start_section(figures), _rest_section(figures))
        return [section for section in sections if section.lines]


def _of_tasks(system: RunningSystem, effort: Effort) -> list[Latency]:
    setting = system.setting
    with system.workers(), JournalReader(system.journal) as journal:
        stages = Stages(system.entrance, journal, Order(tasks=effort.tasks, warm_up=effort.tasks // 10, halves=False))
        stages.warm_up()
        rate = stages.whole({}).rate
        show_progress(f"{setting.name}: {rate:,.0f} tasks a second")
        single = [
            Latency(setting=setting.name, what=what, spread=Spread.of(seconds))
            for what, seconds in (*_single_latencies(system, effort).items(), (RESULT, _results(system, effort)))
        ]
        loaded = [
            Latency(setting=setting.name, what=what, rate=rate / 2, spread=Spread.of(seconds))
            for what, seconds in _loaded(system, rate / 2, effort).items()
        ]
    return single + loaded


@contextmanager
def _observed(system: RunningSystem) -> Iterator[tuple[LoadClient, StorageWatcher]]:
    with (
        StorageWatcher(system.journal, system.setting.workers) as watcher,
        LoadClient(system.entrance, CONNECTIONS) as load_client,
    ):
        yield load_client, watcher


def _single_latencies(system: RunningSystem, effort: Effort) -> dict[str, list[float]]:
    """Measure single tasks, each stored before the next is sent. The time counts from sending."""
    rng = random.Random(1)  # noqa: S311 - the same pauses each time
    sent: dict[int, float] = {}
    accepted: dict[int, float] = {}
    with _observed(system) as (load_client, watcher):
        for number in range(1, effort.singles + 1):
            offered = load_client.send_at([time.time() + rng.uniform(*PAUSES)])
            sent |= offered.sent
            accepted |= offered.accepted
            watcher.wait(number)
        stored = {load_client.number(task_id): moment for task_id, moment in watcher.stored().items()}
    return {
        ACCEPTED: [accepted[number] - moment for number, moment in sent.items()],
        STORED: [stored[number] - moment for number, moment in sent.items()],
    }


def _results(system: RunningSystem, effort: Effort) -> list[float]:
    """Measure single tasks as seen by a program that waits for the result."""
    rng = random.Random(2)  # noqa: S311 - the same pauses each time
    seconds = []
    with Client(system.entrance) as client:
        for number in range(effort.singles):
            time.sleep(rng.uniform(*PAUSES))  # a pause between measurements, not a wait
            began = time.perf_counter()
            if client.submit("echo", number).result() != number:
                raise TasksLost("a task has a wrong result")
            seconds.append(time.perf_counter() - began)
    return seconds


def _loaded(system: RunningSystem, rate: float, effort: Effort) -> dict[str, list[float]]:
    """Measure tasks at random times, so many a second. The time counts from when they were due."""
    rng = random.Random(3)  # noqa: S311 - the same schedule each time
    with _observed(system) as (load_client, watcher):
        moments = [time.time() + LEAD]
        end = moments[0] + effort.seconds
        while (moment := moments[-1] + rng.expovariate(rate)) < end:
            moments.append(moment)
        offered = load_client.send_at(moments)
        watcher.wait(len(moments))
        stored = {load_client.number(task_id): moment for task_id, moment in watcher.stored().items()}
    return {
        what: [moment - offered.due[number] for number, moment in reached.items()]
        for what, reached in ((ACCEPTED, offered.accepted), (STORED, stored), (LATE, offered.sent))
    }


def _worker_starts(system: RunningSystem, effort: Effort) -> Latency:
    what, _ = STARTS
    seconds = [starting.worker_start(system) for _ in range(effort.starts)]
    return Latency(setting=system.setting.name, what=what, spread=Spread.of(seconds))


def _of_console(directory: Path, effort: Effort) -> list[Latency]:
    """Measure with the embedded queue, independently of the settings."""
    figures = []
    _, what = STARTS
    if starting.has_console():
        with running(Setting(name="embedded"), directory / "console") as system, system.workers():
            seconds = [starting.console_start(system.servers.directory) for _ in range(effort.starts)]
        figures.append(Latency(setting="embedded", what=what, spread=Spread.of(seconds)))
    loads = starting.at_rest(directory / "rest", effort.rest)
    return figures + [Latency(setting=name, what=REST, rest=load) for name, load in loads.items()]


def _task_section(figures: Sequence[Latency]) -> Section:
    of_tasks = [figure for figure in figures if figure.what in {ACCEPTED, STORED, RESULT, LATE}]
    return Section(
        title="Single tasks",
        text="Milliseconds. Idle: single tasks at random pauses, from when each was sent. Half load: by a schedule at"
        " half of the rate that\nthe setting can take, from when each was due. Stored: another process sees the result"
        " in the journal,\nwhich it reads every millisecond, so the commit is on disk. The target of p50 and p99 is for"
        " single tasks.",
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


def _start_section(figures: Sequence[Latency]) -> Section:
    return Section(
        title="Start-up",
        text="Seconds from the command to the log line of readiness, or to the first text on a pseudo-terminal. The"
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


def _rest_section(figures: Sequence[Latency]) -> Section:
    loads = {figure.setting: figure.rest for figure in figures if figure.rest}
    total = _sum(loads.values(), lambda load: load.share)
    if loads:
        loads["all"] = starting.Load(share=total, wakes=_sum(loads.values(), lambda load: load.wakes))
    return Section(
        title="At rest",
        text="The whole embedded system under the supervisor, with a console and without tasks: the share of one"
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
    sys.exit(run_benchmark(LatencyBenchmark(), sys.argv[1:]))
