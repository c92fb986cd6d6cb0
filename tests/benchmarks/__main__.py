"""`python -m tests.benchmarks`: measure how fast the system is on this machine."""

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
from tests.benchmarks.case import Lost, Order
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
        description="Measure how fast the system is, beside what the libraries under it and other task systems can do. "
        "Takes a quarter of an hour; let the machine do nothing else meanwhile.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="within a few minutes: fewer tasks, and only the whole way"
    )
    parser.add_argument("--cases", nargs="+", choices=tuple(catalogue.CASES), metavar="CASE", help=_cases())
    parser.add_argument(
        "--tasks", type=number, metavar="N", help=f"in each stage (default: {TASKS}; quick {QUICK_TASKS})"
    )
    parser.add_argument("--rounds", type=number, metavar="N", help=f"default: {ROUNDS}; quick {QUICK_ROUNDS}")
    parser.add_argument("--dir", type=Path, metavar="DIRECTORY", help="where the journals are (default: a new one)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIRECTORY", help=f"where the report goes (default: {OUTPUT})"
    )
    return parser


def _cases() -> str:
    return f"which ones, of {', '.join(catalogue.CASES)} (default: all)"


def measure(arguments: argparse.Namespace, command: str) -> Report:
    """Do what the command line asks for.

    Raises:
        Lost: a case has lost tasks.
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
            results = run(cases, order, rounds, directory, say) if cases else []
            looked = machine.look(directory, busy, services.versions)
    return Report(
        date=date,
        command=command,
        seconds=time.monotonic() - began,
        machine=looked,
        order=order,
        cases={case.name: case.description for case in cases},
        left_out=left_out,
        baseline=catalogue.BASELINE,
        rows=summarise(results, catalogue.BASELINE, PEERS, catalogue.CEILINGS),
        targets=judge(results),
        rounds=[{name: dict(result) for name, result in done.items()} for done in results],
    )


def say(line: str) -> None:
    """Show how far it is, beside the report."""
    sys.stderr.write(f"{line}\n")


def main(words: Sequence[str]) -> int:
    """The program."""
    arguments = make_parser().parse_args(words)
    quiet_pika()
    try:
        report = measure(arguments, shlex.join(["python", "-m", "tests.benchmarks", *words]))
    except Lost as error:
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
    say(f"written to {base.with_suffix('.json')} and {base.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
