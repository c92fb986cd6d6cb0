"""`python -m tests.benchmarks.memory`: the memory of connections, waiting tasks and long journals.

Each measurement is a difference of a process's memory, or of a file's size, before and after so many more.
Only the memory that a process does not share is counted, where the system distinguishes it.
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
from tests.benchmarks.command import Benchmark, run_benchmark, show_progress
from tests.benchmarks.document import Section
from tests.benchmarks.filling import fill
from tests.benchmarks.journal_reader import JournalReader
from tests.benchmarks.load_client import LoadClient
from tests.benchmarks.setting import RunningSystem, Setting, running
from tests.services.waiting import wait_until

CONNECTION, WAITING, ROW = "an idle connection", "a waiting task", "a row of the journal"
SETTLE_TIME = 1.0
"""Seconds after which a process has finished earlier work."""

BUSY_SECONDS = 3000
"""Duration of the tasks behind which the others wait, in seconds."""

THREADS = 4
CONNECTIONS = 6
BATCH = 400
"""Open tasks per connection during submission."""

FIRST = 50
"""Connections or tasks before the first measurement."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How many are measured."""

    connections: int
    tasks: int
    rows: int


FULL = Effort(connections=1_000, tasks=100_000, rows=1_000_000)
QUICK = Effort(connections=100, tasks=2_000, rows=10_000)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of so many items in one place."""

    setting: str
    of: str
    """The kind of item."""
    where: str
    """A process or a file."""
    count: int
    before: int
    """Bytes."""
    after: int

    @property
    def each(self) -> float:
        """Bytes per item."""
        return (self.after - self.before) / max(1, self.count)


class MemoryBenchmark(Benchmark[Memory]):
    """Measures connections and waiting tasks in each setting, and the console with the embedded queue."""

    name = "memory"
    title = "Memory"
    description = (
        "Measure the memory of an idle connection in a server, of a waiting task in each process and file, and of a row"
    )
    description += " of the journal in the console. Takes about two minutes."
    settings = ("embedded", "rabbitmq")
    quick = ("embedded",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of this benchmark."""
        count = config.whole_number(1, 100_000_000)
        parser.add_argument("--connections", type=count, metavar="N", help=f"connections (default: {FULL.connections})")
        parser.add_argument("--tasks", type=count, metavar="N", help=f"waiting tasks (default: {FULL.tasks})")
        parser.add_argument(
            "--rows", type=count, metavar="N", help=f"rows of the console's journal (default: {FULL.rows})"
        )

    def measure(self, arguments: argparse.Namespace, settings: Sequence[Setting], directory: Path) -> list[Memory]:
        """Measure everything."""
        given = {name: getattr(arguments, name) for name in Effort.__struct_fields__}
        effort = msgspec.structs.replace(
            QUICK if arguments.quick else FULL, **{name: number for name, number in given.items() if number is not None}
        )
        _allow_connections(effort.connections)
        figures: list[Memory] = []
        for setting in settings:
            with running(setting, directory / setting.name) as system:
                figures += _of_connections(system, effort.connections)
                show_progress(f"{setting.name}: connections done")
                figures += _of_waiting(system, effort.tasks)
                show_progress(f"{setting.name}: waiting tasks done")
        if starting.has_console():
            figures += _of_console(directory, effort.rows)
        return figures

    def make_sections(self, figures: Sequence[Memory]) -> list[Section]:
        """Return a table of all measurements."""
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
                title="Memory per item",
                text="MiB of a process's own memory, or of a database, before and after so many more items, and"
                " bytes per item.\nA process keeps memory once allocated: a few bytes per waiting task are such a"
                " remainder.",
                heads=["", "setting", "where", "how many", "before, MiB", "after, MiB", "bytes each"],
                lines=lines,
            )
        ]


def _allow_connections(connections: int) -> None:
    """Raise the limit of open files, also for the servers, which inherit it."""
    if sys.platform != "win32":
        import resource  # Windows has no such limit

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = connections + 1_000
        if soft != resource.RLIM_INFINITY and soft < needed:
            limit = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class _MemoryProbe:
    """Reads the memory of processes and the size of databases.

    Args:
        processes: ids by name.
        files: databases by name.
    """

    def __init__(self, processes: Mapping[str, int], files: Mapping[str, Path]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._files = files

    def read(self) -> dict[str, int]:
        """Return the bytes of each, after a time to settle."""
        threading.Event().wait(SETTLE_TIME)
        processes = {name: int(process.memory_full_info().uss) for name, process in self._processes.items()}
        return {**processes, **{name: _size(path) for name, path in self._files.items()}}


def _size(path: Path) -> int:
    """Return the bytes of a database, with the pages that are still in its write-ahead log."""
    with Database(path, FAULTS, readonly=True) as database:
        return database.number("PRAGMA page_count") * database.number("PRAGMA page_size")


def _of_connections(system: RunningSystem, connections: int) -> list[Memory]:
    """Measure connections to the first server."""
    entrance = system.servers.addresses[:1]
    probe = _MemoryProbe({"server": system.servers.process("s1").pid}, {})
    with LoadClient(entrance, FIRST):
        # What a server allocates for its first connections is shared by all.
        before = probe.read()
        with LoadClient(entrance, connections):
            after = probe.read()
    return _differences(system.setting.name, CONNECTION, connections, before, after)


def _of_waiting(system: RunningSystem, tasks: int) -> list[Memory]:
    """Measure tasks that wait behind long ones, which occupy every thread of the workers."""
    setting, first = system.setting, system.servers.process("s1").pid
    with (
        system.workers(arguments=("--shutdown-timeout", "0")) as workers,
        JournalReader(system.journal) as journal,
        Client(system.entrance) as client,
        LoadClient(system.entrance, CONNECTIONS) as load_client,
    ):
        running_tasks = THREADS * setting.workers
        for _ in range(running_tasks):
            client.submit("sleep", BUSY_SECONDS)
        wait_until(
            lambda: sum(worker.in_hand for worker in client.stats().workers) >= running_tasks, "workers to be busy"
        )
        # Every process has handled some tasks before the first measurement.
        load_client.send_all(FIRST, FIRST)
        processes = {"server": first, "worker": workers.process("w1").pid}
        files = {"journal": system.journal}
        if setting.node is None:
            files["queue file"] = system.servers.directory / EMBEDDED_FILE
        else:
            processes["RabbitMQ"] = setting.node.pid
        probe = _MemoryProbe(processes, files)
        before = probe.read()
        load_client.send_all(tasks, BATCH)
        journal.wait_for_state(State.QUEUED, tasks + FIRST + running_tasks)
        after = probe.read()
    return _differences(setting.name, WAITING, tasks, before, after)


def _of_console(directory: Path, rows: int) -> list[Memory]:
    """Measure the console with an empty journal, and with so many rows."""
    before = _console(directory / "empty", "Results")
    fill(directory / "full" / "resultados.db", rows)
    from tests.benchmarks.console import listed  # needs pseudo-terminals, which Windows lacks

    after = _console(directory / "full", listed(rows))
    return _differences("embedded", ROW, rows, {"console": before}, {"console": after})


def _console(directory: Path, text: str) -> int:
    """Return the memory of a console that has shown a text and was then idle for some seconds."""
    from tests.benchmarks.console import ConsoleTerminal  # needs pseudo-terminals, which Windows lacks

    with running(Setting(name="embedded"), directory) as system, system.workers(), ConsoleTerminal(directory) as screen:
        screen.read_until(text)
        screen.read_for(starting.SETTLE_TIME)
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
    sys.exit(run_benchmark(MemoryBenchmark(), sys.argv[1:]))
