"""What the smaller benchmarks have in common as programs: the command line, the services, and where the report goes."""

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
from tests.benchmarks.case import Lost
from tests.benchmarks.document import Document, Section, write_json, write_markdown
from tests.benchmarks.services import Services
from tests.benchmarks.setting import Setting

OUTPUT = Path("build", "benchmarks")

Figure = TypeVar("Figure")


def say(line: str) -> None:
    """Show how far it is, beside the report."""
    sys.stderr.write(f"{line}\n")


class Benchmark(ABC, Generic[Figure]):
    """One benchmark.

    Attributes:
        name: the last part of its module's name.
        title: of its report.
        description: for its help.
        settings: the names of those that are measured when none are named.
        quick: the same with `--quick`.
    """

    name: str
    title: str
    description: str
    settings: Sequence[str]
    quick: Sequence[str]

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what is its own to the command line."""

    @abstractmethod
    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Figure]:
        """Measure everything.

        Raises:
            Lost: tasks were lost.
        """

    @abstractmethod
    def tell(self, figures: Sequence[Figure]) -> list[Section]:
        """Say what was measured."""

    def draw(self, figures: Sequence[Figure]) -> str:
        """A picture as SVG; empty for none."""
        return ""


def conduct(benchmark: Benchmark[Figure], words: Sequence[str]) -> int:
    """Run it as a program; the exit code."""
    arguments = _parser(benchmark).parse_args(words)
    quiet_pika()
    command = shlex.join(["python", "-m", f"tests.benchmarks.{benchmark.name}", *words])
    try:
        document = _run(benchmark, arguments, command)
    except Lost as error:
        say(f"tests.benchmarks.{benchmark.name}: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(_write(benchmark, document, arguments.output))
    return 0


def _parser(benchmark: Benchmark[Figure]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks.{benchmark.name}", description=benchmark.description
    )
    parser.add_argument("--quick", action="store_true", help="within seconds, to see that it works")
    parser.add_argument(
        "--settings",
        nargs="+",
        choices=tuple(setting.SETTINGS),
        metavar="SETTING",
        help=f"which ones, of {', '.join(setting.SETTINGS)} (default: {', '.join(benchmark.settings)};"
        f" quick: {', '.join(benchmark.quick)})",
    )
    parser.add_argument("--dir", type=Path, metavar="DIRECTORY", help="where the journals are (default: a new one)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIRECTORY", help=f"where the report goes (default: {OUTPUT})"
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
            looked = machine.look(directory, busy, services.versions)
    return Document(
        title=benchmark.title,
        date=date,
        command=command,
        seconds=time.monotonic() - began,
        machine=looked,
        settings={each.name: each.description for each in settings},
        left_out=left_out,
        figures=figures,
    )


def _write(benchmark: Benchmark[Figure], document: Document[Figure], output: Path) -> str:
    """Write the files; the text of the report."""
    output.mkdir(parents=True, exist_ok=True)
    base = f"{document.date.replace(' ', '-').replace(':', '')}-{benchmark.name}"
    drawn = benchmark.draw(document.figures)
    if drawn:
        (output / f"{base}.svg").write_text(drawn, encoding="utf-8")
    text = write_markdown(document, benchmark.tell(document.figures), f"{base}.svg" if drawn else "")
    (output / f"{base}.json").write_bytes(write_json(document))
    (output / f"{base}.md").write_text(text, encoding="utf-8")
    say(f"written to {output / base}.json, .md{' and .svg' if drawn else ''}")
    return text
