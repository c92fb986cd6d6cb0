"""`python -m tests.benchmarks.peers.tune PEER`: finds the best set-up of a peer on this machine, for `kinds`.

Each set-up is measured as in the benchmark: first with other numbers of publishers, then with other workers.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from core.broker.rabbitmq import quiet_pika
from tests.benchmarks.case import Case, Order, Stage, TasksLost
from tests.benchmarks.peers.kinds import KINDS, Kind
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.report import table
from tests.benchmarks.runner import run
from tests.benchmarks.services import Missing, Services
from tests.benchmarks.summary import Row, summarise

PUBLISHERS = ((1, 1), (1, 4), (1, 8), (2, 4), (2, 8), (4, 4))
"""Processes, and threads in each."""

COROUTINES = 25
"""Coroutines of Taskiq for each thread of the others."""

WORKERS: dict[str, Sequence[dict[str, str]]] = {
    "celery": (
        {"--pool": "prefork", "--concurrency": "1"},
        {"--pool": "prefork", "--concurrency": "2"},
        {"--pool": "prefork", "--concurrency": "4"},
        {"--pool": "threads", "--concurrency": "4"},
    ),
    "dramatiq": (
        {"--processes": "1", "--threads": "4"},
        {"--processes": "1", "--threads": "8"},
        {"--processes": "2", "--threads": "2"},
        {"--processes": "2", "--threads": "4"},
    ),
    "taskiq": (
        {"--workers": "1", "--max-async-tasks": "20"},
        {"--workers": "1", "--max-async-tasks": "100"},
        {"--workers": "2", "--max-async-tasks": "20"},
        {"--workers": "2", "--max-async-tasks": "100"},
    ),
    "huey": (
        {"--worker-type": "thread", "--workers": "1"},
        {"--worker-type": "thread", "--workers": "2"},
        {"--worker-type": "thread", "--workers": "4"},
        {"--worker-type": "process", "--workers": "2"},
    ),
}
"""Options of the workers' command line."""


def variants(kind: Kind) -> list[Kind]:
    """Return a peer in all set-ups, with distinct names."""
    threads = COROUTINES if kind.name == "taskiq" else 1
    made = [
        replace(kind, name=f"publish-{processes}x{each * threads}", publishers=processes, at_once=each * threads)
        for processes, each in PUBLISHERS
    ]
    for options in WORKERS[kind.name]:
        name = "-".join(("work", *options.values()))
        made.append(replace(kind, name=name, worker=with_options(kind.worker, options)))
    return made


def with_options(command: Sequence[str], options: dict[str, str]) -> list[str]:
    """Return a command line with other values for some of its options."""
    return [options.get(before, word) for before, word in zip(("", *command), command, strict=False)]


def main(words: Sequence[str]) -> int:
    """Run the program. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers.tune", description="Measure one peer in several set-ups."
    )
    parser.add_argument("peer", choices=[kind.name for kind in KINDS])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="number of rounds (default: 3)")
    parser.add_argument("--tasks", type=int, default=2000, metavar="N", help="tasks in each stage (default: 2000)")
    arguments = parser.parse_args(words)
    (kind,) = (kind for kind in KINDS if kind.name == arguments.peer)
    quiet_pika()
    try:
        rows = _measure(kind, arguments.rounds, arguments.tasks)
    except (Missing, TasksLost) as error:
        sys.stderr.write(f"tests.benchmarks.peers.tune: {error}\n")
        return 1
    sys.stdout.write(f"{_table(rows)}\n")
    return 0


def _measure(kind: Kind, rounds: int, tasks: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="cauce-benchmark-") as name, Services(Path(name)) as services:
        services.packages(kind.packages)
        node = services.rabbitmq() if kind.rabbitmq else None
        cases: list[Case] = [Peer(variant, node) for variant in variants(kind)]
        order = Order(tasks=tasks, warm_up=200, halves=True)
        return summarise(run(cases, order, rounds, Path(name), _show_progress), "")


def _show_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _table(rows: Sequence[Row]) -> str:
    rates = {(row.case, row.stage): f"{row.rate:,.0f} ({row.lowest:,.0f} to {row.highest:,.0f})" for row in rows}
    cases = dict.fromkeys(row.case for row in rows)
    return table(["", *Stage], [[case, *(rates[case, stage] for stage in Stage)] for case in cases])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
