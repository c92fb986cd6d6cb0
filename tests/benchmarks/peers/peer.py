"""Measures a peer in the same stages as Cauce, each with new processes.

Stored results are counted in the peer's database; the times are as exact as the interval of the counts.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import psutil

from tests.benchmarks.case import Case, Group, Measured, Order, Result, Stage, TasksLost
from tests.benchmarks.peers.kinds import Kind
from tests.benchmarks.peers.processes import PATIENCE, Publishers, running_workers, tail
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
        kind: its set-up.
        node: the RabbitMQ to use; None for a peer without.
        patience: seconds to wait for results before they count as lost.
    """

    def __init__(self, kind: Kind, node: RabbitNode | None = None, patience: float = PATIENCE) -> None:
        self.name = kind.name
        self.description = f"{kind.description}; at most {kind.most:,} tasks in a stage"
        self._kind = kind
        self._node = node
        self._patience = patience

    def run(self, directory: Path, order: Order) -> Result:
        """Start the peer, warm it up, and measure."""
        database = directory.resolve() / "results.db"
        with ExitStack() as stack:
            url = "" if self._node is None else stack.enter_context(virtual_host(self._node))
            Setup(str(database), url).write(directory)
            store = stack.enter_context(closing(Store(database, self._kind.stored)))
            share = Share(min(order.tasks, self._kind.most), max(order.warm_up // 4, 20), self._kind.at_once)
            broker = {} if self._node is None else {Group.RABBITMQ: [self._node.pid]}
            return _Run(directory, self._kind, share, store, broker, self._patience).measure(halves=order.halves)


class Store:
    """Counts the results in the database of a peer.

    Args:
        path: of the database.
        statement: SQL that counts the results.
    """

    def __init__(self, path: Path, statement: str) -> None:
        self._path = path
        self._statement = statement
        self._connection: sqlite3.Connection | None = None

    def stored(self) -> int:
        """Return the number of results."""
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
        """Close the database."""
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
        self._expected = 0
        """Number of tasks published, and so of expected results."""

    def measure(self, *, halves: bool) -> Result:
        with self._running_workers() as workers:
            result = self._whole(workers)
        if halves:
            result[Stage.ACCEPT] = self._accept()
            began = time.time()
            with self._running_workers() as workers:
                result[Stage.WORK] = self._work(workers, began)
        return result

    def _running_workers(self) -> AbstractContextManager[psutil.Process]:
        return running_workers(self._directory, self._kind.worker, self._kind.environment)

    def _whole(self, workers: psutil.Process) -> dict[Stage, Measured]:
        with self._publishing() as publishers:
            self._await_stored(self._expected, workers)
            meter = self._meter(publishers, workers)
            sent = self._publish(publishers)
            self._await_stored(self._expected, workers)
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
        """Measure from queued to stored: the tasks of `_accept`, beginning with its warm-up."""
        remaining = self._share.tasks + self._share.warm_up
        before = self._expected - remaining
        self._await_stored(before + remaining // WORKERS_READY, workers)
        meter = self._meter(None, workers)
        first, began = self._store.stored(), time.time()
        if self._expected - first < remaining // 2:
            # Most tasks were done before the first measurement.
            first, began = before, started
        self._await_stored(self._expected, workers)
        measured = Measured(tasks=self._expected - first, seconds=time.time() - began, cpu=meter.read())
        self._check()
        return measured

    def _publishing(self) -> Publishers:
        kind = self._kind
        publishers = Publishers(self._directory, kind.module, kind.publishers, self._share)
        self._expected += self._share.warm_up
        return publishers

    def _publish(self, publishers: Publishers) -> Sent:
        sent = publishers.publish()
        self._expected += self._share.tasks
        return sent

    def _meter(self, publishers: Publishers | None, workers: psutil.Process | None) -> Meter:
        groups = dict(self._broker)
        if publishers is not None:
            groups[Group.CLIENT] = publishers.pids
        if workers is not None:
            groups[Group.WORKERS] = [workers.pid, *(child.pid for child in workers.children(recursive=True))]
        return Meter(groups)

    def _await_stored(self, expected: int, workers: psutil.Process) -> None:
        def is_stored() -> bool:
            if not workers.is_running() or workers.status() == psutil.STATUS_ZOMBIE:
                raise TasksLost(f"the workers of {self._kind.name} have ended: {self._log()}")
            return self._store.stored() >= expected

        try:
            wait_until(is_stored, f"{expected} results of {self._kind.name}", self._patience)
        except AssertionError as late:
            raise TasksLost(f"{late}; there are {self._store.stored()}: {self._log()}") from late

    def _check(self) -> None:
        """Check that as many results are stored as tasks were accepted."""
        if self._store.stored() != self._expected:
            raise TasksLost(
                f"{self._expected} tasks were accepted, and {self._store.stored()} have a result: {self._log()}"
            )

    def _log(self) -> str:
        return tail(self._directory / "workers.log")
