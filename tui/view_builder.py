"""Looks at everything there is to see of one system, and makes a view of it.

It belongs to the poller's thread, and only reads: the journal, the depth of the queue, the supervisor's report.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from core.closeable import Closeable
from core.errors import CauceError, JournalError, SupervisorError
from core.model import Role
from core.monitor.delays import by_worker
from core.monitor.depth import DepthWatch
from core.monitor.history import RateHistory
from core.monitor.observer import Observer
from core.repository.archive import Archive, OperationRecord, Timing
from core.repository.base import Repository, Sample
from core.repository.journal import Journal
from core.supervisor import commands
from core.supervisor.home import Home
from core.supervisor.status import SystemStatus
from tui.view import CHART_SECONDS, View, rows_of

TIMED_SECONDS = 30.0
"""How far back the delays of workers look."""

MOST_TIMED = 4000
OPERATIONS = 20
RARELY = 5.0
"""Seconds between two looks at what hardly changes."""

OpenGauge = Callable[[SystemStatus | None], DepthWatch | None]
"""Makes what watches the depth of the queue of the system that runs; None when it can't be known."""


class ViewBuilder(Closeable):
    """Everything that is seen of one directory.

    Args:
        journal: of the system.
        home: of its directory.
        open_gauge: makes what watches the queue.
        broker: what carries the tasks, when no supervisor says it.
        patience: seconds to wait for the first answer of the queue.
    """

    def __init__(self, journal: Journal, home: Home, open_gauge: OpenGauge, broker: str, patience: float = 0.0) -> None:
        self._journal = journal
        self._home = home
        self._open_gauge = open_gauge
        self._broker = broker
        self._patience = patience
        self._observer = Observer(journal.open_readonly, 0)
        self._history = RateHistory(CHART_SECONDS)
        self._book: _JournalReader | None = None
        self._gauge: DepthWatch | None = None
        self._gauged = "?"
        self._number = 0

    def look(self, now: float, wall: float) -> View:
        """Make the view of this moment.

        Args:
            now: the monotonic time.
            wall: seconds since the epoch.
        """
        self._number += 1
        report, trouble = self._ask_supervisor()
        gauge = self._watch_queue(report)
        depth, queue_trouble = (gauge.depth, gauge.trouble) if gauge else (None, "")
        snapshot = self._observer.take_snapshot(now, wall, depth, queue_trouble)
        if not self._journal.path.exists():
            # Nothing has ever run here, which is no trouble.
            snapshot = msgspec.structs.replace(snapshot, trouble="")
        book = self._read_book(now, wall)
        self._history.observe(book.samples, int(wall))
        second = int(wall)
        numbers = [process.number for process in snapshot.processes]
        histories = {number: self._history.rates(number, second, CHART_SECONDS) for number in numbers}
        delays = by_worker(book.timings)
        return View(
            number=self._number,
            snapshot=snapshot,
            chart=self._history.chart(second, CHART_SECONDS),
            workers=rows_of(snapshot, Role.WORKER, histories, delays, report),
            servers=rows_of(snapshot, Role.SERVER, histories, {}, report),
            delays=delays.get(""),
            report=report,
            supervisor_trouble=trouble,
            broker=report.broker if report else self._broker,
            directory=str(self._home.directory),
            database=_short(self._journal.path, self._home.directory),
            kinds=tuple(book.kinds),
            operations=tuple(book.operations),
            lacks=book.lacks,
        )

    def close(self) -> None:
        """Let go of everything."""
        self._observer.close()
        if self._book is not None:
            self._book.close()
            self._book = None
        if self._gauge is not None:
            self._gauge.stop()
            self._gauge = None

    def _ask_supervisor(self) -> tuple[SystemStatus | None, str]:
        try:
            return commands.status(self._home), ""
        except SupervisorError as error:
            return None, str(error)

    def _watch_queue(self, report: SystemStatus | None) -> DepthWatch | None:
        """What watches the queue of the system that runs: another one when another broker carries it now."""
        named = report.broker if report else self._broker
        # What was not there yet may be by now.
        if named != self._gauged or self._gauge is None:
            if self._gauge is not None:
                self._gauge.stop()
            self._gauged = named
            self._gauge = self._open_gauge(report)
            if self._gauge is not None:
                self._gauge.start(self._patience)
        return self._gauge

    def _read_book(self, now: float, wall: float) -> "_Nothing":
        try:
            if self._book is None:
                self._book = _JournalReader(self._journal)
            self._book.read(now, wall, max(self._history.next_second, int(wall) - CHART_SECONDS))
        except JournalError:
            # The observer tells of it; it is tried anew at the next look.
            if self._book is not None:
                self._book.close()
                self._book = None
            return _NOTHING
        return self._book


class _Nothing:
    """What is in a book that can't be read."""

    def __init__(self) -> None:
        self.samples: Sequence[Sample] = ()
        self.timings: Sequence[Timing] = ()
        self.kinds: Sequence[str] = ()
        self.operations: Sequence[OperationRecord] = ()
        self.lacks = ""


class _JournalReader(_Nothing, Closeable):
    """What is read of the journal beside the observer's own."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._repository: Repository = journal.open_readonly()
        try:
            self._archive: Archive = journal.open_archive(readonly=True)
        except CauceError:
            self._repository.close()
            raise
        self._rarely_at = float("-inf")

    def read(self, now: float, wall: float, since: int) -> None:
        self.samples = self._repository.samples(since)
        self.timings = self._archive.timings(wall - TIMED_SECONDS, MOST_TIMED)
        self.operations = self._archive.operations(OPERATIONS)
        self.lacks = self._archive.limitation()
        if now - self._rarely_at > RARELY:
            self._rarely_at = now
            self.kinds = self._archive.kinds()

    def close(self) -> None:
        self._repository.close()
        self._archive.close()


_NOTHING = _Nothing()


def _short(path: Path, directory: Path) -> str:
    """A file's name, with its directory where that is another one."""
    return path.name if path.parent.resolve() == directory else str(path)
