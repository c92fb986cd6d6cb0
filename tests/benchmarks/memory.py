"""`python -m tests.benchmarks.memory`: what connections, waiting tasks and long journals take of the memory.

Each figure is a difference: what a process has, or a file's size, before and after so many more came.
It is the memory that a process has for itself, where the system tells it apart from what is shared.
"""

import argparse
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from core import config
from core.broker.factory import EMBEDDED_FILE
from core.client import Client
from core.database import Database
from core.model import State
from core.repository.sqlite import FAULTS
from tests.benchmarks import starting
from tests.benchmarks.book import Book
from tests.benchmarks.command import Benchmark, conduct, say
from tests.benchmarks.crowd import Crowd
from tests.benchmarks.document import Section
from tests.benchmarks.filling import fill
from tests.benchmarks.setting import Setting, Site, running
from tests.services.waiting import wait_until

CONNECTION, WAITING, ROW = "an idle connection", "a waiting task", "a row of the journal"
SETTLED = 1.0
"""Seconds after which a process has done what was under way."""

BUSY_SECONDS = 3000
"""How long the tasks take behind which the others wait."""

THREADS = 4
CONNECTIONS = 6
BATCH = 400
"""Open tasks of each connection, while they are submitted."""

FIRST = 50
"""Connections or tasks that are there before anything is measured."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each."""

    connections: int
    tasks: int
    rows: int


FULL = Effort(connections=1_000, tasks=100_000, rows=1_000_000)
QUICK = Effort(connections=100, tasks=2_000, rows=10_000)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What so many of something take in one place."""

    setting: str
    of: str
    """What there are more of."""
    where: str
    """A process or a file."""
    count: int
    before: int
    """Bytes."""
    after: int

    @property
    def each(self) -> float:
        """Bytes for one."""
        return (self.after - self.before) / max(1, self.count)


class MemoryBenchmark(Benchmark[Memory]):
    """Connections and waiting tasks in each setting; the console with the embedded queue."""

    name = "memory"
    title = "Memory"
    description = (
        "Measure what an idle connection takes in a server, a waiting task in each process and file, and a row"
    )
    description += " of the journal in the console. Takes about two minutes."
    settings = ("embedded", "rabbitmq")
    quick = ("embedded",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what is its own."""
        count = config.whole_number(1, 100_000_000)
        parser.add_argument("--connections", type=count, metavar="N", help=f"default: {FULL.connections}")
        parser.add_argument("--tasks", type=count, metavar="N", help=f"that wait (default: {FULL.tasks})")
        parser.add_argument("--rows", type=count, metavar="N", help=f"of the console's journal (default: {FULL.rows})")

    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Memory]:
        """Measure everything."""
        given = {name: getattr(arguments, name) for name in Effort.__struct_fields__}
        effort = msgspec.structs.replace(
            QUICK if arguments.quick else FULL, **{name: number for name, number in given.items() if number is not None}
        )
        _allow_connections(effort.connections)
        figures: list[Memory] = []
        for setting in settings:
            with running(setting, directory / setting.name) as site:
                figures += _of_connections(site, effort.connections)
                say(f"{setting.name}: connections done")
                figures += _of_waiting(site, effort.tasks)
                say(f"{setting.name}: waiting tasks done")
        if starting.has_console():
            figures += _of_console(directory, effort.rows)
        return figures

    def tell(self, figures: Sequence[Memory]) -> list[Section]:
        """One table of everything."""
        lines = [
            [
                figure.of,
                figure.setting,
                figure.where,
                f"{figure.count:,}",
                _mebibytes(figure.before),
                _mebibytes(figure.after),
                f"{figure.each:,.0f}",
            ]
            for figure in figures
        ]
        return [
            Section(
                title="What one takes",
                text="MiB of a process's own memory, or of a database, before and after so many more came; and"
                " bytes for each of them.\nWhat a process has taken once, for so many at a time, it keeps: a few bytes"
                " for each that waits are such a rest.",
                heads=["", "setting", "where", "how many", "before, MiB", "after, MiB", "bytes each"],
                lines=lines,
            )
        ]


def _allow_connections(connections: int) -> None:
    """Each connection is an open file, here and in a server, which inherits the limit."""
    if sys.platform != "win32":
        import resource  # Windows has neither this nor the limit

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = connections + 1_000
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Places:
    """Where memory is taken, and how much there is of it now.

    Args:
        processes: their ids, by name.
        files: databases, by name.
    """

    def __init__(self, processes: Mapping[str, int], files: Mapping[str, Path]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._files = files

    def take(self) -> dict[str, int]:
        """The bytes of each, once everything that is under way has had time to end."""
        threading.Event().wait(SETTLED)
        processes = {name: int(process.memory_full_info().uss) for name, process in self._processes.items()}
        return {**processes, **{name: _size(path) for name, path in self._files.items()}}


def _size(path: Path) -> int:
    """The bytes of a database: those that are in its log still, and not in its file, are counted too."""
    with Database(path, FAULTS, readonly=True) as database:
        return database.number("PRAGMA page_count") * database.number("PRAGMA page_size")


def _of_connections(site: Site, connections: int) -> list[Memory]:
    """To the first server alone."""
    entrance = site.servers.addresses[:1]
    places = _Places({"server": site.servers.process("s1").pid}, {})
    with Crowd(entrance, FIRST):
        # What the first connections of all have a server prepare is not theirs alone.
        before = places.take()
        with Crowd(entrance, connections):
            after = places.take()
    return _differences(site.setting.name, CONNECTION, connections, before, after)


def _of_waiting(site: Site, tasks: int) -> list[Memory]:
    """Behind tasks that take as long as it lasts, one for each thread of the workers."""
    setting, first = site.setting, site.servers.process("s1").pid
    with (
        site.workers(arguments=("--shutdown-timeout", "0")) as workers,
        Book(site.journal) as book,
        Client(site.entrance) as client,
        Crowd(site.entrance, CONNECTIONS) as crowd,
    ):
        running_tasks = THREADS * setting.workers
        for _ in range(running_tasks):
            client.submit("sleep", BUSY_SECONDS)
        wait_until(lambda: sum(each.in_hand for each in client.stats().workers) >= running_tasks, "workers to be busy")
        # So that all have once done what they do with every task.
        crowd.flood(FIRST, FIRST)
        processes = {"server": first, "worker": workers.process("w1").pid}
        files = {"journal": site.journal}
        if setting.node is None:
            files["queue file"] = site.servers.directory / EMBEDDED_FILE
        else:
            processes["RabbitMQ"] = setting.node.pid
        places = _Places(processes, files)
        before = places.take()
        crowd.flood(tasks, BATCH)
        book.wait_in_state(State.QUEUED, tasks + FIRST + running_tasks)
        after = places.take()
    return _differences(setting.name, WAITING, tasks, before, after)


def _of_console(directory: Path, rows: int) -> list[Memory]:
    """Once with an empty journal, and once with so many rows."""
    before = _console(directory / "empty", "Results")
    fill(directory / "full" / "resultados.db", rows)
    from tests.benchmarks.console import listed  # needs pseudo-terminals, which Windows has not

    after = _console(directory / "full", listed(rows))
    return _differences("embedded", ROW, rows, {"console": before}, {"console": after})


def _console(directory: Path, text: str) -> int:
    """What a console takes that has shown this text, and then had some seconds with nothing to do."""
    from tests.benchmarks.console import Screen  # needs pseudo-terminals, which Windows has not

    with running(Setting(name="embedded"), directory) as site, site.workers(), Screen(directory) as screen:
        screen.until(text)
        screen.rest(starting.SETTLED)
        return int(screen.process.memory_full_info().uss)


def _differences(
    setting: str, of: str, count: int, before: Mapping[str, int], after: Mapping[str, int]
) -> list[Memory]:
    return [
        Memory(setting=setting, of=of, where=where, count=count, before=before[where], after=bytes_)
        for where, bytes_ in after.items()
    ]


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f}"


if __name__ == "__main__":
    sys.exit(conduct(MemoryBenchmark(), sys.argv[1:]))
