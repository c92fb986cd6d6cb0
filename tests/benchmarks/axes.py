"""The axes of growth, and the measurements at each point: rates, and the latency of single tasks."""

import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from core.jsontext import Json
from core.model import State
from tests.benchmarks.case import Stage
from tests.benchmarks.filling import fill
from tests.benchmarks.journal_reader import JournalReader
from tests.benchmarks.load_client import LoadClient
from tests.benchmarks.setting import RunningSystem, Setting, running
from tests.benchmarks.spread import Spread
from tests.benchmarks.storage_watcher import StorageWatcher

CONNECTIONS = 6
OPEN_TASKS = 2400
"""Unanswered tasks on all connections together."""

MAX_OPEN_BYTES = 4 * 1024 * 1024
"""The same limit in bytes of payload, as in the client."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of payload in one measurement: with large payloads there are fewer tasks."""

BACKLOG_FACTOR = 5
"""Tasks that wait beside the backlog before workers start, in multiples of one measurement."""

MIN_TASKS = 50
PAUSES = (0.005, 0.03)
"""Range of the random pause between single tasks, in seconds."""


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured at each point."""

    tasks: int
    singles: int
    rounds: int


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The measurements at one point."""

    axis: str
    setting: str
    at: int
    rates: dict[Stage, list[float]]
    """Tasks a second in each round."""
    latencies: dict[Stage, Spread]
    """Of single tasks."""

    def rate(self, stage: Stage) -> float | None:
        """Return the median of the rounds. Returns None when the stage was not measured."""
        return median(self.rates[stage]) if stage in self.rates else None


Measure = Callable[[Setting, Sequence[int], Amount, Path], Iterator[Point]]


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity that grows."""

    name: str
    title: str
    unit: str
    """The unit of its places."""
    places: Sequence[int]
    quick: Sequence[int]
    measure: Measure


def _payload(setting: Setting, places: Sequence[int], amount: Amount, directory: Path) -> Iterator[Point]:
    for size in places:
        # Two bytes are the quotes of the text.
        yield _whole("payload", setting, size, amount, directory / str(size), payload="x" * max(0, size - 2), size=size)


def _connections(setting: Setting, places: Sequence[int], amount: Amount, directory: Path) -> Iterator[Point]:
    for count in places:
        yield _whole("connections", setting, count, amount, directory / str(count), connections=count)


def _workers(setting: Setting, places: Sequence[int], amount: Amount, directory: Path) -> Iterator[Point]:
    for count in places:
        more = msgspec.structs.replace(setting, workers=count)
        yield _whole("workers", more, count, amount, directory / str(count))


def _journal(setting: Setting, places: Sequence[int], amount: Amount, directory: Path) -> Iterator[Point]:
    for rows in places:
        fill(directory / str(rows) / "resultados.db", rows)
        yield _whole("journal", setting, rows, amount, directory / str(rows))


def _backlog(setting: Setting, places: Sequence[int], amount: Amount, directory: Path) -> Iterator[Point]:
    """Measure one system whose backlog grows from place to place."""
    place = directory / "backlog"
    with running(setting, place) as system, JournalReader(system.journal) as journal:
        for waiting in sorted(places):
            _fill_backlog(system, journal, waiting)
            yield _with_backlog(system, waiting, amount, journal)
    shutil.rmtree(place)


def _fill_backlog(system: RunningSystem, journal: JournalReader, waiting: int) -> None:
    """Submit tasks until so many wait."""
    missing = waiting - journal.count_in_state(State.QUEUED)
    if missing > 0:
        with LoadClient(system.entrance, CONNECTIONS) as load_client:
            load_client.send_all(missing, OPEN_TASKS // CONNECTIONS)
    journal.wait_for_state(State.QUEUED, waiting)


def _whole(
    axis: str,
    setting: Setting,
    at: int,
    amount: Amount,
    directory: Path,
    *,
    payload: Json = "hello world",
    size: int = 0,
    connections: int = CONNECTIONS,
) -> Point:
    """Measure the whole path at one point, in a new system."""
    tasks = max(MIN_TASKS, min(amount.tasks, MAX_BYTES // max(1, size)))
    window = max(1, min(OPEN_TASKS, MAX_OPEN_BYTES // max(1, size)) // connections)
    with (
        running(setting, directory) as system,
        system.workers(),
        JournalReader(system.journal) as journal,
        LoadClient(system.entrance, connections, payload) as load_client,
    ):
        _flood(load_client, journal, max(MIN_TASKS, tasks // 10), window)
        rates = [_flood(load_client, journal, tasks, window) for _ in range(amount.rounds)]
        latencies = _single_latencies(system, load_client, amount.singles, stored=True)
    shutil.rmtree(directory)
    return Point(axis=axis, setting=setting.name, at=at, rates={Stage.WHOLE: rates}, latencies=latencies)


def _flood(load_client: LoadClient, journal: JournalReader, tasks: int, window: int) -> float:
    """Submit tasks together. Returns the rate until all are stored."""
    done, began = journal.count_in_state(State.DONE), time.time()
    load_client.send_all(tasks, window)
    _, ended = journal.wait_for_count(State.DONE, done + tasks)
    return tasks / (ended - began)


def _with_backlog(system: RunningSystem, waiting: int, amount: Amount, journal: JournalReader) -> Point:
    """Measure accepting and working while at least so many tasks wait."""
    accepted, worked = [], []
    with LoadClient(system.entrance, CONNECTIONS) as load_client:
        load_client.send_all(max(MIN_TASKS, amount.tasks // 10), OPEN_TASKS // CONNECTIONS)
        for _ in range(amount.rounds):
            accepted.append(amount.tasks / load_client.send_all(amount.tasks, OPEN_TASKS // CONNECTIONS))
        latencies = _single_latencies(system, load_client, amount.singles, stored=False)
    for _ in range(amount.rounds):
        # Workers begin before they are known to be ready, and go on after they are asked to stop.
        _fill_backlog(system, journal, waiting + BACKLOG_FACTOR * amount.tasks)
        worked.append(_work(system, amount.tasks, journal))
    rates = {Stage.ACCEPT: accepted, Stage.WORK: worked}
    return Point(axis="backlog", setting=system.setting.name, at=waiting, rates=rates, latencies=latencies)


def _work(system: RunningSystem, tasks: int, journal: JournalReader) -> float:
    """Return the rate of workers for so many tasks, after their start."""
    done, started = journal.count_in_state(State.DONE), time.time()
    with system.workers():
        before, began = journal.wait_for_count(State.DONE, done + 1)
        if journal.count_in_state(State.QUEUED) < tasks:
            # Most tasks were done before the first measurement.
            return (before - done) / (began - started)
        after, ended = journal.wait_for_count(State.DONE, before + tasks)
    return (after - before) / (ended - began)


def _single_latencies(
    system: RunningSystem, load_client: LoadClient, tasks: int, *, stored: bool
) -> dict[Stage, Spread]:
    """Measure the latency of single tasks, from the moment each is sent."""
    rng = random.Random(1)  # noqa: S311 - the same pauses each time
    sent: dict[int, float] = {}
    accepted: dict[int, float] = {}
    with StorageWatcher(system.journal, system.setting.workers) as watcher:
        for number in range(1, tasks + 1):
            offered = load_client.send_at([time.time() + rng.uniform(*PAUSES)])
            sent |= offered.sent
            accepted |= offered.accepted
            if stored:
                watcher.wait(number)
        reached = (
            {load_client.number(task_id): moment for task_id, moment in watcher.stored().items()} if stored else {}
        )
    by_stage = {Stage.ACCEPT: accepted, Stage.WHOLE: reached}
    return {
        stage: Spread.of([moment - sent[number] for number, moment in moments.items()])
        for stage, moments in by_stage.items()
        if moments
    }


AXES = {
    axis.name: axis
    for axis in (
        Axis(
            name="payload",
            title="Payload",
            unit="bytes of payload",
            places=(10, 100, 1_000, 10_000, 100_000, 1_000_000),
            quick=(10, 10_000),
            measure=_payload,
        ),
        Axis(
            name="connections",
            title="Connections",
            unit="connections of the client",
            places=(1, 10, 100, 1_000),
            quick=(1, 50),
            measure=_connections,
        ),
        Axis(
            name="workers",
            title="Worker processes",
            unit="worker processes",
            places=(1, 2, 4, 8),
            quick=(1, 2),
            measure=_workers,
        ),
        Axis(
            name="backlog",
            title="Backlog",
            unit="tasks that wait",
            places=(0, 100_000, 1_000_000),
            quick=(0, 2_000),
            measure=_backlog,
        ),
        Axis(
            name="journal",
            title="Journal",
            unit="rows in the journal",
            places=(0, 1_000_000, 10_000_000),
            quick=(0, 20_000),
            measure=_journal,
        ),
    )
}
"""The axes, by their names on the command line."""
