"""What grows, and what is measured of it at each point: rates, and the latency of one task at a time."""

import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from core.jsontext import Json
from core.model import State
from tests.benchmarks.book import Book
from tests.benchmarks.case import Stage
from tests.benchmarks.crowd import Crowd
from tests.benchmarks.filling import fill
from tests.benchmarks.setting import Setting, Site, running
from tests.benchmarks.spread import Spread
from tests.benchmarks.watch import Watch

CONNECTIONS = 6
OPEN = 2400
"""Tasks without an answer on all connections together."""

MOST_OPEN_BYTES = 4 * 1024 * 1024
"""The same in bytes of payload, as the client itself has it."""

MOST_BYTES = 64 * 1024 * 1024
"""Of payload in one measurement: large ones are measured with fewer tasks."""

ENOUGH = 5
"""So many times the tasks of one measurement wait before workers are started, beside the backlog."""

FEWEST = 50
PAUSES = (0.005, 0.03)
"""Seconds between two single tasks."""


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done at each point."""

    tasks: int
    singles: int
    rounds: int


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one point."""

    axis: str
    setting: str
    at: int
    rates: dict[Stage, list[float]]
    """Tasks a second, in each round."""
    latencies: dict[Stage, Spread]
    """Of one task at a time."""

    def rate(self, stage: Stage) -> float | None:
        """The median of the rounds; None when there was none."""
        return median(self.rates[stage]) if stage in self.rates else None


Measure = Callable[[Setting, Sequence[int], Amount, Path], Iterator[Point]]


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """Something that grows."""

    name: str
    title: str
    unit: str
    """What its places are."""
    places: Sequence[int]
    quick: Sequence[int]
    measure: Measure


def _payload(setting: Setting, places: Sequence[int], amount: Amount, directory: Path) -> Iterator[Point]:
    for size in places:
        # Two bytes are the text's quotes.
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
    """One system, whose backlog grows from place to place: it is submitted as everything is."""
    place = directory / "backlog"
    with running(setting, place) as site, Book(site.journal) as book:
        for waiting in sorted(places):
            _wait_behind(site, book, waiting)
            yield _beside_backlog(site, waiting, amount, book)
    shutil.rmtree(place)


def _wait_behind(site: Site, book: Book, waiting: int) -> None:
    """Submit until so many wait."""
    missing = waiting - book.in_state(State.QUEUED)
    if missing > 0:
        with Crowd(site.entrance, CONNECTIONS) as crowd:
            crowd.flood(missing, OPEN // CONNECTIONS)
    book.wait_in_state(State.QUEUED, waiting)


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
    """Measure the whole way at one point, in a system of its own."""
    tasks = max(FEWEST, min(amount.tasks, MOST_BYTES // max(1, size)))
    window = max(1, min(OPEN, MOST_OPEN_BYTES // max(1, size)) // connections)
    with (
        running(setting, directory) as site,
        site.workers(),
        Book(site.journal) as book,
        Crowd(site.entrance, connections, payload) as crowd,
    ):
        _flood(crowd, book, max(FEWEST, tasks // 10), window)
        rates = [_flood(crowd, book, tasks, window) for _ in range(amount.rounds)]
        latencies = _singles(site, crowd, amount.singles, stored=True)
    shutil.rmtree(directory)
    return Point(axis=axis, setting=setting.name, at=at, rates={Stage.WHOLE: rates}, latencies=latencies)


def _flood(crowd: Crowd, book: Book, tasks: int, window: int) -> float:
    """The rate of so many tasks that are submitted together, until all are stored."""
    done, began = book.in_state(State.DONE), time.time()
    crowd.flood(tasks, window)
    _, ended = book.reach(State.DONE, done + tasks)
    return tasks / (ended - began)


def _beside_backlog(site: Site, waiting: int, amount: Amount, book: Book) -> Point:
    """What the system takes, and what its workers do, while so many wait at the least."""
    accepted, worked = [], []
    with Crowd(site.entrance, CONNECTIONS) as crowd:
        crowd.flood(max(FEWEST, amount.tasks // 10), OPEN // CONNECTIONS)
        for _ in range(amount.rounds):
            accepted.append(amount.tasks / crowd.flood(amount.tasks, OPEN // CONNECTIONS))
        latencies = _singles(site, crowd, amount.singles, stored=False)
    for _ in range(amount.rounds):
        # They work before it is known that they are ready, and go on after they were told to leave.
        _wait_behind(site, book, waiting + ENOUGH * amount.tasks)
        worked.append(_work(site, amount.tasks, book))
    rates = {Stage.ACCEPT: accepted, Stage.WORK: worked}
    return Point(axis="backlog", setting=site.setting.name, at=waiting, rates=rates, latencies=latencies)


def _work(site: Site, tasks: int, book: Book) -> float:
    """The rate at which workers do so many tasks once they are at it."""
    done, started = book.in_state(State.DONE), time.time()
    with site.workers():
        before, began = book.reach(State.DONE, done + 1)
        if book.in_state(State.QUEUED) < tasks:
            # They were so few that most of them were done before anybody looked.
            return (before - done) / (began - started)
        after, ended = book.reach(State.DONE, before + tasks)
    return (after - before) / (ended - began)


def _singles(site: Site, crowd: Crowd, tasks: int, *, stored: bool) -> dict[Stage, Spread]:
    """The latency of one task at a time, from when it was sent."""
    chance = random.Random(1)  # noqa: S311 - the same pauses each time, nothing secret
    sent: dict[int, float] = {}
    accepted: dict[int, float] = {}
    with Watch(site.journal, site.setting.workers) as watch:
        for number in range(1, tasks + 1):
            offered = crowd.offer([time.time() + chance.uniform(*PAUSES)])
            sent |= offered.sent
            accepted |= offered.accepted
            if stored:
                watch.wait(number)
        reached = {crowd.number(task_id): moment for task_id, moment in watch.stored().items()} if stored else {}
    found = {Stage.ACCEPT: accepted, Stage.WHOLE: reached}
    return {
        stage: Spread.of([moment - sent[number] for number, moment in moments.items()])
        for stage, moments in found.items()
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
"""What there is to measure, by its name on the command line."""
