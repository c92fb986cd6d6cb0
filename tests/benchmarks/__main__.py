"""`python -m tests.benchmarks`: measures the throughput of the system on this machine."""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from core import config
from core.broker.rabbitmq import quiet_pika
from tests.benchmarks import catalogue, machine
from tests.benchmarks.case import Order, TasksLost
from tests.benchmarks.report import Report, write_json, write_markdown
from tests.benchmarks.runner import run
from tests.benchmarks.services import Services
from tests.benchmarks.summary import summarise
from tests.benchmarks.targets import PEERS, judge

QUICK_TASKS = 4_000
QUICK_ROUNDS = 3
TASKS = 15_000
ROUNDS = 5
OUTPUT = Path("build", "benchmarks")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    number = config.whole_number(1, 10_000_000)
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the throughput of the system, of the libraries under it and of other task systems. "
        "Takes a quarter of an hour, on a machine that is otherwise idle.",
    )
    parser.add_argument("--quick", action="store_true", help="take a few minutes: fewer tasks, and only the whole path")
    parser.add_argument("--cases", nargs="+", choices=tuple(catalogue.CASES), metavar="CASE", help=_cases())
    parser.add_argument(
        "--tasks", type=number, metavar="N", help=f"tasks in each stage (default: {TASKS}; quick {QUICK_TASKS})"
    )
    parser.add_argument(
        "--rounds", type=number, metavar="N", help=f"number of rounds (default: {ROUNDS}; quick {QUICK_ROUNDS})"
    )
    parser.add_argument("--dir", type=Path, metavar="DIRECTORY", help="directory for the journals (default: a new one)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIRECTORY", help=f"directory for the report (default: {OUTPUT})"
    )
    return parser


def _cases() -> str:
    return f"cases to measure, of {', '.join(catalogue.CASES)} (default: all)"


def measure(arguments: argparse.Namespace, command: str) -> Report:
    """Run the benchmark.

    Raises:
        TasksLost: a case lost tasks.
    """
    names = arguments.cases or tuple(catalogue.CASES)
    tasks = arguments.tasks or (QUICK_TASKS if arguments.quick else TASKS)
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    order = Order(tasks=tasks, warm_up=max(100, tasks // 10), halves=not arguments.quick)
    began, date = time.monotonic(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if arguments.dir is not None:
        arguments.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cauce-benchmark-", dir=arguments.dir) as name:
        directory = Path(name)
        busy = machine.load()
        with Services(directory) as services:
            cases, left_out = catalogue.make(names, services)
            results = run(cases, order, rounds, directory, show_progress) if cases else []
            host = machine.inspect(directory, busy, services.versions)
    return Report(
        date=date,
        command=command,
        seconds=time.monotonic() - began,
        machine=host,
        order=order,
        cases={case.name: case.description for case in cases},
        left_out=left_out,
        baseline=catalogue.BASELINE,
        rows=summarise(results, catalogue.BASELINE, PEERS, catalogue.CEILINGS),
        targets=judge(results),
        rounds=[{name: dict(result) for name, result in done.items()} for done in results],
    )


def show_progress(line: str) -> None:
    """Write a line of progress to standard error."""
    sys.stderr.write(f"{line}\n")


def main(words: Sequence[str]) -> int:
    """Run the program. Returns the exit code."""
    arguments = make_parser().parse_args(words)
    quiet_pika()
    try:
        report = measure(arguments, shlex.join(["python", "-m", "tests.benchmarks", *words]))
    except TasksLost as error:
        sys.stderr.write(f"tests.benchmarks: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    text = write_markdown(report)
    arguments.output.mkdir(parents=True, exist_ok=True)
    base = arguments.output / report.date.replace(" ", "-").replace(":", "")
    base.with_suffix(".json").write_bytes(write_json(report))
    base.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    show_progress(f"written to {base.with_suffix('.json')} and {base.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
