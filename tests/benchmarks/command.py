"""What the smaller benchmarks have in common: the command line, the services, and the output of the report."""

import argparse
import shlex
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from core.broker.rabbitmq import quiet_pika
from tests.benchmarks import machine, setting
from tests.benchmarks.case import TasksLost
from tests.benchmarks.document import Document, Section, write_json, write_markdown
from tests.benchmarks.services import Services
from tests.benchmarks.setting import Setting

OUTPUT = Path("build", "benchmarks")

Figure = TypeVar("Figure")


def show_progress(line: str) -> None:
    """Write a line of progress to standard error."""
    sys.stderr.write(f"{line}\n")


class Benchmark(ABC, Generic[Figure]):
    """A benchmark with its own report.

    Attributes:
        name: the last part of its module's name.
        title: of its report.
        description: for its help.
        settings: names of the default settings.
        quick: names of the default settings with `--quick`.
    """

    name: str
    title: str
    description: str
    settings: Sequence[str]
    quick: Sequence[str]

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of this benchmark."""

    @abstractmethod
    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Figure]:
        """Measure everything.

        Raises:
            TasksLost: tasks were lost.
        """

    @abstractmethod
    def make_sections(self, figures: Sequence[Figure]) -> list[Section]:
        """Return the sections of the report."""

    def draw(self, figures: Sequence[Figure]) -> str:
        """Return a plot as SVG. Returns an empty string when there is none."""
        return ""


def run_benchmark(benchmark: Benchmark[Figure], words: Sequence[str]) -> int:
    """Run a benchmark as a program. Returns the exit code."""
    arguments = _parser(benchmark).parse_args(words)
    quiet_pika()
    command = shlex.join(["python", "-m", f"tests.benchmarks.{benchmark.name}", *words])
    try:
        document = _run(benchmark, arguments, command)
    except TasksLost as error:
        show_progress(f"tests.benchmarks.{benchmark.name}: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(_write(benchmark, document, arguments.output))
    return 0


def _parser(benchmark: Benchmark[Figure]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks.{benchmark.name}", description=benchmark.description
    )
    parser.add_argument("--quick", action="store_true", help="take some seconds, as a test of the benchmark")
    parser.add_argument(
        "--settings",
        nargs="+",
        choices=tuple(setting.SETTINGS),
        metavar="SETTING",
        help=f"settings to measure, of {', '.join(setting.SETTINGS)} (default: {', '.join(benchmark.settings)};"
        f" quick: {', '.join(benchmark.quick)})",
    )
    parser.add_argument("--dir", type=Path, metavar="DIRECTORY", help="directory for the journals (default: a new one)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIRECTORY", help=f"directory for the report (default: {OUTPUT})"
    )
    benchmark.add_arguments(parser)
    return parser


def _run(benchmark: Benchmark[Figure], arguments: argparse.Namespace, command: str) -> Document[Figure]:
    began, date, busy = time.monotonic(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine.load()
    if arguments.dir is not None:
        arguments.dir.mkdir(parents=True, exist_ok=True)
    names = arguments.settings or (benchmark.quick if arguments.quick else benchmark.settings)
    with tempfile.TemporaryDirectory(prefix="cauce-benchmark-", dir=arguments.dir) as place:
        directory = Path(place)
        with Services(directory) as services:
            settings, left_out = setting.make(names, services)
            figures = benchmark.measure(arguments, settings, directory)
            host = machine.inspect(directory, busy, services.versions)
    return Document(
        title=benchmark.title,
        date=date,
        command=command,
        seconds=time.monotonic() - began,
        machine=host,
        settings={each.name: each.description for each in settings},
        left_out=left_out,
        figures=figures,
    )


def _write(benchmark: Benchmark[Figure], document: Document[Figure], output: Path) -> str:
    """Write the files. Returns the text of the report."""
    output.mkdir(parents=True, exist_ok=True)
    base = f"{document.date.replace(' ', '-').replace(':', '')}-{benchmark.name}"
    plot = benchmark.draw(document.figures)
    if plot:
        (output / f"{base}.svg").write_text(plot, encoding="utf-8")
    text = write_markdown(document, benchmark.make_sections(document.figures), f"{base}.svg" if plot else "")
    (output / f"{base}.json").write_bytes(write_json(document))
    (output / f"{base}.md").write_text(text, encoding="utf-8")
    show_progress(f"written to {output / base}.json, .md{' and .svg' if plot else ''}")
    return text
