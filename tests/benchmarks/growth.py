"""`python -m tests.benchmarks.growth`: the throughput against payload, connections, workers, backlog and journal.

Each point is a new system, measured a few times. Where the size should not matter, the curve must be flat.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from core import config
from tests.benchmarks.axes import AXES, Amount, Axis, Point
from tests.benchmarks.case import Stage
from tests.benchmarks.command import Benchmark, run_benchmark, show_progress
from tests.benchmarks.document import Section
from tests.benchmarks.plot import Curve, Panel, draw, short
from tests.benchmarks.setting import Setting
from tests.benchmarks.spread import Spread, milliseconds

FULL = Amount(tasks=30_000, singles=100, rounds=3)
QUICK = Amount(tasks=400, singles=5, rounds=1)

DEFAULT_MAX = {"backlog": 1_000_000, "journal": 1_000_000}
"""Default limits of these axes: beyond them, a run takes long and much disk space."""

STAGES = (Stage.WHOLE, Stage.ACCEPT, Stage.WORK)


class GrowthBenchmark(Benchmark[Point]):
    """Measures one axis after another, each in every setting."""

    name = "growth"
    title = "Growth"
    description = "Measure rate and latency against payload, connections, worker processes, backlog and journal. Takes "
    description += "about a quarter of an hour; ten million rows take several minutes and 4 GB of the disk more."
    settings = ("embedded", "rabbitmq")
    quick = ("embedded",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of this benchmark."""
        count = config.whole_number(0, 100_000_000)
        parser.add_argument(
            "--axes", nargs="+", choices=tuple(AXES), metavar="AXIS", help=f"axes to measure, of {', '.join(AXES)}"
        )
        parser.add_argument(
            "--tasks", type=config.whole_number(100, 1_000_000), metavar="N", help="tasks at each point"
        )
        parser.add_argument("--rounds", type=config.whole_number(1, 100), metavar="N", help="rounds at each point")
        parser.add_argument(
            "--backlog",
            type=count,
            metavar="N",
            default=DEFAULT_MAX["backlog"],
            help="largest backlog (default: %(default)s)",
        )
        parser.add_argument(
            "--rows",
            type=count,
            metavar="N",
            default=DEFAULT_MAX["journal"],
            help="largest number of rows (default: %(default)s)",
        )

    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Point]:
        """Measure everything."""
        amount = QUICK if arguments.quick else FULL
        amount = msgspec.structs.replace(
            amount, tasks=arguments.tasks or amount.tasks, rounds=arguments.rounds or amount.rounds
        )
        limits = {"backlog": arguments.backlog, "journal": arguments.rows}
        points: list[Point] = []
        for axis in (AXES[name] for name in arguments.axes or AXES):
            places = axis.quick if arguments.quick else axis.places
            places = [place for place in places if place <= limits.get(axis.name, place)]
            for setting in settings:
                for point in axis.measure(setting, places, amount, directory / setting.name / axis.name):
                    points.append(point)
                    show_progress(
                        f"{axis.name} {point.at:,}, {setting.name}: {', '.join(map(_format_rate, _rates([point])))}/s"
                    )
        return points

    def make_sections(self, figures: Sequence[Point]) -> list[Section]:
        """Return a table for each axis."""
        return [_section(axis, _of(figures, axis)) for axis in AXES.values() if _of(figures, axis)]

    def draw(self, figures: Sequence[Point]) -> str:
        """Draw two panels for each axis: rates and latencies."""
        return draw(self.title, [_draw(axis, _of(figures, axis)) for axis in AXES.values() if _of(figures, axis)])


def _of(points: Iterable[Point], axis: Axis) -> list[Point]:
    return [point for point in points if point.axis == axis.name]


def _rates(points: Iterable[Point]) -> list[float]:
    return [rate for point in points for stage in STAGES if (rate := point.rate(stage)) is not None]


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}"


def _section(axis: Axis, points: Sequence[Point]) -> Section:
    rated = [stage for stage in STAGES if any(stage in point.rates for point in points)]
    timed = [stage for stage in STAGES if any(stage in point.latencies for point in points)]
    firsts = {point.setting: point for point in reversed(points)}
    lines = []
    for point in points:
        rates = [_rate(point, firsts[point.setting], stage) for stage in rated]
        latencies = [_latency(point.latencies.get(stage)) for stage in timed]
        lines.append([point.setting, f"{point.at:,}", *rates, *latencies])
    return Section(
        title=axis.title,
        text="Tasks a second: medians, and their ratio to the first line of the same setting. Milliseconds of single"
        " tasks: p50 and p99.",
        heads=["", axis.unit, *(f"{stage}, /s" for stage in rated), *(f"{stage}, ms" for stage in timed)],
        lines=lines,
    )


def _rate(point: Point, first: Point, stage: Stage) -> str:
    rate, base = point.rate(stage), first.rate(stage)
    if rate is None or base is None:
        return ""
    return _format_rate(rate) if point is first else f"{_format_rate(rate)} ({rate / base:.0%})"


def _latency(spread: Spread | None) -> str:
    return "" if spread is None else f"{milliseconds(spread.p50)}, {milliseconds(spread.p99)}"


def _draw(axis: Axis, points: Sequence[Point]) -> list[Panel]:
    places = sorted({point.at for point in points})
    settings = list(dict.fromkeys(point.setting for point in points))
    rated = [stage for stage in STAGES if any(stage in point.rates for point in points)]
    timed = next(stage for stage in STAGES if any(stage in point.latencies for point in points))
    by_place = {(point.setting, point.at): point for point in points}
    rates, latencies = [], []
    for setting in settings:
        row = [by_place.get((setting, place)) for place in places]
        for number, stage in enumerate(rated):
            values = [None if point is None else point.rate(stage) for point in row]
            rates.append(Curve(series=setting, values=values, dashed=number > 0))
        spreads = [None if point is None else point.latencies.get(timed) for point in row]
        p50 = [None if spread is None else spread.p50 * 1000 for spread in spreads]
        p99 = [None if spread is None else spread.p99 * 1000 for spread in spreads]
        latencies += [Curve(series=setting, values=p50), Curve(series=setting, values=p99, dashed=True)]
    names = [short(place) for place in places]
    return [
        Panel(
            title=axis.title,
            caption=f"tasks a second, {' (dashed: '.join(rated)}{')' if len(rated) > 1 else ''}",
            axis=axis.unit,
            places=names,
            curves=rates,
        ),
        Panel(
            title=axis.title,
            caption=f"ms, {timed}, idle: p50 (dashed: p99)",
            axis=axis.unit,
            places=names,
            curves=latencies,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_benchmark(GrowthBenchmark(), sys.argv[1:]))
