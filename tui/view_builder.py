"""Builds views of one system from the journal, the depth of the queue and the supervisor's status.

A builder belongs to one thread, and only reads.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from core.closeable import Closeable
from core.errors import CauceError, JournalError, SupervisorError
from core.model import KindDescription, Part, Role, Trouble
from core.monitor.delays import by_worker
from core.monitor.depth import DepthWatch
from core.monitor.history import RateHistory
from core.monitor.observer import Observer
from core.monitor.snapshot import ProcessView
from core.repository.archive import Archive, OperationRecord, Timing
from core.repository.base import Repository, Sample
from core.repository.journal import Journal
from core.supervisor import commands
from core.supervisor.home import Home
from core.supervisor.status import SystemStatus
from core.tasks.registry import builtin_registry
from tui.view import CHART_SECONDS, View, offered_kinds, rows_of, units_of

DELAYS_SECONDS = 30.0
"""Seconds of results from which the delays of workers are computed."""

MAX_TIMINGS = 4000
OPERATIONS = 20
KINDS_INTERVAL = 5.0
"""Seconds between two reads of the kinds of task, which hardly change."""

SUPERVISOR_TIMEOUT = 1.0
"""Seconds that the supervisor has to answer. What else a view shows must not become old while it hangs or starts."""

_EVERY_WORKERS_KINDS = builtin_registry().kinds

OpenGauge = Callable[[SystemStatus | None], DepthWatch | None]
"""Opens the watch on the depth of the queue of the running system; gives None when the depth can't be read."""


class ViewBuilder(Closeable):
    """Builds the views of the system of one directory.

    Args:
        journal: the journal of the system.
        home: the paths of its data directory.
        open_gauge: opens the watch on the depth of the queue.
        broker: the address of the broker to show when no supervisor is running.
        broker_timeout: seconds to wait for the first reply of the broker.
    """

    def __init__(
        self, journal: Journal, home: Home, open_gauge: OpenGauge, broker: str, broker_timeout: float = 0.0
    ) -> None:
        self._journal = journal
        self._home = home
        self._open_gauge = open_gauge
        self._broker = broker
        self._broker_timeout = broker_timeout
        self._observer = Observer(journal.open_readonly, 0)
        self._history = RateHistory(CHART_SECONDS)
        self._reader: _JournalReader | None = None
        self._gauge: DepthWatch | None = None
        self._gauge_broker = ""
        self._number = 0

    def build(self, now: float, wall: float) -> View:
        """Build the view of this moment.

        Args:
            now: the monotonic time, in seconds.
            wall: the time, in seconds since the epoch.
        """
        self._number += 1
        report, troubles_seen = self._ask_supervisor()
        gauge = self._watch_queue(report)
        depth, queue_troubles = (gauge.depth, gauge.troubles) if gauge else (None, ())
        snapshot = self._observer.take_snapshot(now, wall, depth, queue_troubles, units_of(report))
        if not self._journal.path.exists():
            # Nothing has run here yet, which is no trouble.
            snapshot = msgspec.structs.replace(snapshot, rate_in=0.0, rate_out=0.0, troubles=())
        read = self._read_journal(now, wall)
        self._history.observe(read.samples, int(wall))
        second = int(wall)
        numbers = [process.number for process in snapshot.listed]
        histories = {number: self._history.rates(number, second, CHART_SECONDS) for number in numbers}
        delays = by_worker(read.timings)
        chart = self._history.chart(second, CHART_SECONDS)
        return View(
            number=self._number,
            snapshot=snapshot,
            chart=self._observer.totals.correct(chart, second - CHART_SECONDS - 1),
            workers=rows_of(_of(Role.WORKER, snapshot.listed), histories, delays, report),
            ended_workers=rows_of(_of(Role.WORKER, reversed(snapshot.ended)), {}, {}, None),
            servers=rows_of(_of(Role.SERVER, snapshot.listed), histories, {}, report),
            delays=delays.get(""),
            report=report,
            troubles_seen=troubles_seen,
            broker=report.broker if report else self._broker,
            directory=str(self._home.directory),
            database=_short(self._journal.path, self._home.directory),
            kinds=offered_kinds(snapshot, {*read.kinds, *_EVERY_WORKERS_KINDS}),
            told={each.kind: each for each in read.told},
            operations=tuple(read.operations),
            lacks=read.lacks,
        )

    def close(self) -> None:
        """Close the journal and the watch on the queue."""
        self._observer.close()
        self._close_reader()
        if self._gauge is not None:
            self._gauge.stop()
            self._gauge = None

    def _ask_supervisor(self) -> tuple[SystemStatus | None, tuple[Trouble, ...]]:
        try:
            return commands.status(self._home, SUPERVISOR_TIMEOUT), ()
        except SupervisorError as error:
            return None, (Trouble(Part.SUPERVISOR, str(error)),)

    def _watch_queue(self, report: SystemStatus | None) -> DepthWatch | None:
        """Return the watch on the queue of the running system. It is replaced when the broker is another."""
        broker = report.broker if report else self._broker
        # A queue that did not exist may exist by now.
        if broker != self._gauge_broker or self._gauge is None:
            if self._gauge is not None:
                self._gauge.stop()
            self._gauge_broker = broker
            self._gauge = self._open_gauge(report)
            if self._gauge is not None:
                self._gauge.start(self._broker_timeout)
        return self._gauge

    def _read_journal(self, now: float, wall: float) -> "_JournalContents":
        try:
            if self._reader is None:
                self._reader = _JournalReader(self._journal)
            return self._reader.read(now, wall, max(self._history.next_second, int(wall) - CHART_SECONDS))
        except JournalError:
            # The observer reports it; the next view tries again.
            self._close_reader()
            return _JournalContents()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _of(role: Role, processes: Iterable[ProcessView]) -> Iterable[ProcessView]:
    return (process for process in processes if process.role is role)


class _JournalContents(msgspec.Struct, frozen=True):
    """What a view needs of the journal besides the snapshot; empty when the journal can't be read."""

    samples: Sequence[Sample] = ()
    timings: Sequence[Timing] = ()
    kinds: Sequence[str] = ()
    told: Sequence[KindDescription] = ()
    operations: Sequence[OperationRecord] = ()
    lacks: str = ""


class _JournalReader(Closeable):
    """Reads the journal for views."""

    def __init__(self, journal: Journal) -> None:
        self._repository: Repository = journal.open_readonly()
        try:
            self._archive: Archive = journal.open_archive(readonly=True)
        except CauceError:
            self._repository.close()
            raise
        self._kinds: Sequence[str] = ()
        self._told: Sequence[KindDescription] = ()
        self._kinds_read_at = float("-inf")

    def read(self, now: float, wall: float, since: int) -> _JournalContents:
        samples = self._repository.samples(since)
        timings = self._archive.timings(wall - DELAYS_SECONDS, MAX_TIMINGS)
        operations = self._archive.operations(OPERATIONS)
        lacks = self._archive.limitation()
        if now - self._kinds_read_at > KINDS_INTERVAL:
            self._kinds_read_at = now
            self._kinds = self._archive.kinds()
            self._told = self._repository.told_kinds()
        return _JournalContents(samples, timings, self._kinds, self._told, operations, lacks)

    def close(self) -> None:
        self._repository.close()
        self._archive.close()


def _short(path: Path, directory: Path) -> str:
    """Return the name of a file, or its path when it is in another directory."""
    return path.name if path.parent.resolve() == directory else str(path)
