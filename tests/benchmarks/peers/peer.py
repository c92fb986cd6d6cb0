"""Measures a peer in the same stages as ours, each with processes of its own.

What is stored is counted from outside, in the file where the peer keeps its results: its times are as fine as the
pauses between two looks.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import psutil

from tests.benchmarks.case import Case, Group, Lost, Measured, Order, Result, Stage
from tests.benchmarks.peers.kinds import Kind
from tests.benchmarks.peers.processes import PATIENCE, Publishers, tail, working
from tests.benchmarks.peers.publishing import Sent, Share
from tests.benchmarks.peers.setup import Setup
from tests.benchmarks.processor import Meter
from tests.benchmarks.stages import WORKERS_READY
from tests.benchmarks.virtual_host import virtual_host
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until


class Peer(Case):
    """Another task system.

    Args:
        kind: which, and how it is set up.
        node: the RabbitMQ to use; none for one that goes without.
        patience: for how many seconds to wait for results before they count as lost.
    """

    def __init__(self, kind: Kind, node: RabbitNode | None = None, patience: float = PATIENCE) -> None:
        self.name = kind.name
        self.description = f"{kind.description}; at most {kind.most:,} tasks in a stage"
        self._kind = kind
        self._node = node
        self._patience = patience

    def run(self, directory: Path, order: Order) -> Result:
        """Start it, warm it up, and measure."""
        database = directory.resolve() / "results.db"
        with ExitStack() as stack:
            url = "" if self._node is None else stack.enter_context(virtual_host(self._node))
            Setup(str(database), url).write(directory)
            store = stack.enter_context(closing(Store(database, self._kind.stored)))
            share = Share(min(order.tasks, self._kind.most), max(order.warm_up // 4, 20), self._kind.at_once)
            broker = {} if self._node is None else {Group.RABBITMQ: [self._node.pid]}
            return _Run(directory, self._kind, share, store, broker, self._patience).measure(halves=order.halves)


class Store:
    """Counts the results in a database that the peer makes.

    Args:
        path: of the database.
        statement: counts them.
    """

    def __init__(self, path: Path, statement: str) -> None:
        self._path = path
        self._statement = statement
        self._connection: sqlite3.Connection | None = None

    def stored(self) -> int:
        """How many there are."""
        if self._connection is None:
            if not self._path.exists():
                return 0
            self._connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=30)
        try:
            (number,) = self._connection.execute(self._statement).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return 0
        return int(number)

    def close(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()


class _Run:
    """One run of one peer."""

    def __init__(
        self,
        directory: Path,
        kind: Kind,
        share: Share,
        store: Store,
        broker: Mapping[Group, Sequence[int]],
        patience: float,
    ) -> None:
        self._directory = directory
        self._kind = kind
        self._share = share
        self._store = store
        self._broker = broker
        self._patience = patience
        self._wanted = 0
        """How many results there should be, of all that was published."""

    def measure(self, *, halves: bool) -> Result:
        with self._working() as workers:
            result = self._whole(workers)
        if halves:
            result[Stage.ACCEPT] = self._accept()
            began = time.time()
            with self._working() as workers:
                result[Stage.WORK] = self._work(workers, began)
        return result

    def _working(self) -> AbstractContextManager[psutil.Process]:
        return working(self._directory, self._kind.worker, self._kind.environment)

    def _whole(self, workers: psutil.Process) -> dict[Stage, Measured]:
        with self._publishing() as publishers:
            self._await_stored(self._wanted, workers)
            meter = self._meter(publishers, workers)
            sent = self._publish(publishers)
            self._await_stored(self._wanted, workers)
            ended = time.time()
            cpu = meter.read()
        tasks = self._share.tasks
        self._check()
        return {
            Stage.WHOLE: Measured(tasks=tasks, seconds=ended - sent.began, cpu=cpu),
            Stage.MEANWHILE: Measured(tasks=tasks, seconds=sent.ended - sent.began, cpu={}),
        }

    def _accept(self) -> Measured:
        with self._publishing() as publishers:
            meter = self._meter(publishers, None)
            sent = self._publish(publishers)
            cpu = meter.read()
        return Measured(tasks=self._share.tasks, seconds=sent.ended - sent.began, cpu=cpu)

    def _work(self, workers: psutil.Process, started: float) -> Measured:
        """From queued to stored: what `_accept` has left, its warm-up being the beginning of the first part."""
        left = self._share.tasks + self._share.warm_up
        before = self._wanted - left
        self._await_stored(before + left // WORKERS_READY, workers)
        meter = self._meter(None, workers)
        first, began = self._store.stored(), time.time()
        if self._wanted - first < left // 2:
            # They were so few that most of them were done before anybody looked.
            first, began = before, started
        self._await_stored(self._wanted, workers)
        measured = Measured(tasks=self._wanted - first, seconds=time.time() - began, cpu=meter.read())
        self._check()
        return measured

    def _publishing(self) -> Publishers:
        kind = self._kind
        publishers = Publishers(self._directory, kind.module, kind.publishers, self._share)
        self._wanted += self._share.warm_up
        return publishers

    def _publish(self, publishers: Publishers) -> Sent:
        sent = publishers.publish()
        self._wanted += self._share.tasks
        return sent

    def _meter(self, publishers: Publishers | None, workers: psutil.Process | None) -> Meter:
        groups = dict(self._broker)
        if publishers is not None:
            groups[Group.CLIENT] = publishers.pids
        if workers is not None:
            groups[Group.WORKERS] = [workers.pid, *(child.pid for child in workers.children(recursive=True))]
        return Meter(groups)

    def _await_stored(self, wanted: int, workers: psutil.Process) -> None:
        def there() -> bool:
            if not workers.is_running() or workers.status() == psutil.STATUS_ZOMBIE:
                raise Lost(f"the workers of {self._kind.name} have ended: {self._log()}")
            return self._store.stored() >= wanted

        try:
            wait_until(there, f"{wanted} results of {self._kind.name}", self._patience)
        except AssertionError as late:
            raise Lost(f"{late}; there are {self._store.stored()}: {self._log()}") from late

    def _check(self) -> None:
        """What is stored has to be what was accepted."""
        if self._store.stored() != self._wanted:
            raise Lost(f"{self._wanted} tasks were accepted, and {self._store.stored()} have a result: {self._log()}")

    def _log(self) -> str:
        return tail(self._directory / "workers.log")
