"""The feed of one table of tasks: searches tasks, follows new results, and reads the visible rows.

Its own thread and connection keep a search through millions of tasks from delaying anything else. A new search
interrupts the one before. Results are handed over as values, marked with the number of the search.
"""

import contextlib
import logging
import queue
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from core.callbacks import ignore
from core.errors import CauceError, JournalError, JournalMissing, reason_of
from core.repository.archive import MAX_RESULTS, Archive, OpenArchive, TaskRow
from core.repository.search import Search, SortOrder

FIRST_ROWS = 200
"""Tasks listed at once, before the whole list is read."""

NEW_ROWS = 80
"""Rows read together with a list, so that the first tasks can be drawn at once."""

FOLLOW_INTERVAL = 0.25
"""Seconds between two checks for new results."""

RELIST_INTERVAL = 1.0
"""Seconds between two readings of a whole live list, unless the last one took longer: then as many as it took."""

REFRESH_INTERVAL = 1.0
"""Seconds between two reads of the visible rows, when the journal has changed."""

RETRY_INTERVAL = 1.0
"""Seconds between two attempts to open a journal that could not be read."""

JOURNAL_CHECK_INTERVAL = 0.1
"""Seconds between two attempts to open a journal that does not exist yet."""

MAX_INTERRUPTIONS = 3
"""Attempts of a request that newer searches may interrupt, before the last attempt."""

_log = logging.getLogger("cauce.tui")


class TaskQuery(msgspec.Struct, frozen=True):
    """The search of a table."""

    number: int = 0
    """Grows with each search."""
    search: Search = Search()
    order: SortOrder = SortOrder()


class TasksListed(msgspec.Struct, frozen=True):
    """The numbers of the tasks that a search has found, in the order of the table; reversed in a live list."""

    number: int
    seqs: "array[int]"
    rows: Mapping[int, TaskRow]
    """The rows that are in view first."""
    complete: bool
    """Whether these are all the tasks; otherwise the whole list follows."""


class ListGrown(msgspec.Struct, frozen=True):
    """New results for a live list, in the order in which they were committed. None of them is listed already."""

    number: int
    seqs: "array[int]"
    rows: Mapping[int, TaskRow]


class RowsRead(msgspec.Struct, frozen=True):
    """Rows that were requested or have changed."""

    rows: Mapping[int, TaskRow]


class RowsReadById(msgspec.Struct, frozen=True):
    """Rows that were requested by the ids of their tasks or have changed."""

    rows: Mapping[str, TaskRow]


class FeedTrouble(msgspec.Struct, frozen=True):
    """The reason why the journal can't be read. `text` is empty when it can be read again."""

    text: str


News: TypeAlias = TasksListed | ListGrown | RowsRead | RowsReadById | FeedTrouble


class JournalTaskFeed:
    """The thread that reads the tasks of one table.

    Args:
        open_archive: opens the archive, in the thread.
        hand_over: takes the results; called from the thread.
        name: the name of the thread.
    """

    def __init__(self, open_archive: OpenArchive, hand_over: Callable[[News], object], name: str) -> None:
        self._open = open_archive
        self._hand_over = hand_over
        self._archive: Archive | None = None
        self._requests: queue.SimpleQueue[Callable[[Archive], None] | None] = queue.SimpleQueue()
        self._query = TaskQuery()
        self._live: _Live | None = None
        self._visible: tuple[int, ...] = ()
        self._visible_ids: tuple[str, ...] = ()
        self._listed: TaskQuery | None = None
        """The query that was listed since the journal was opened."""
        self._following = False
        self._next_check_at = 0.0
        self._version = -1
        self._behind = False
        """Whether the live list lacks what the journal has."""
        self._relist_at = 0.0
        self._stale = False
        self._refreshed_at = 0.0
        self._trouble = ""
        self._stopping = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End the thread, even in the middle of a search."""
        self._stopping = True
        self._stopped.set()
        self._requests.put(None)
        self._interrupt()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def search_for(self, search: Search, order: SortOrder) -> int:
        """Replace the search. Returns its number, which marks its results."""
        self._query = query = TaskQuery(self._query.number + 1, search, order)
        self._interrupt()
        self._requests.put(lambda archive: self._list(archive, query))
        return query.number

    def read_rows(self, seqs: Sequence[int]) -> None:
        """Read the visible rows, and read them again when they change."""
        wanted = tuple(seqs)
        self._requests.put(lambda archive: self._read(archive, wanted))

    def read_rows_by_id(self, ids: Sequence[str]) -> None:
        """Read the rows of the tasks with these ids, and read them again when they change."""
        wanted = tuple(ids)
        self._requests.put(lambda archive: self._read_ids(archive, wanted))

    def follow(self, following: bool) -> None:
        """Follow new results, or pause while the table is not shown."""
        self._following = following
        self._requests.put(ignore)

    def _interrupt(self) -> None:
        archive = self._archive
        if archive is not None:
            archive.interrupt()

    def _publish(self, news: News) -> None:
        if not self._stopping:
            self._hand_over(news)

    # What runs in the thread.

    def _run(self) -> None:
        while not self._stopping:
            pause = RETRY_INTERVAL
            try:
                self._archive = self._open()
                self._begin()
                self._serve(self._archive)
            except JournalMissing:
                self._publish_no_journal()
                pause = JOURNAL_CHECK_INTERVAL
            except CauceError as error:
                self._publish_trouble(str(error))
            except Exception as error:  # noqa: BLE001 - a table that stays empty without a reason would be worse
                _log.exception("the tasks could not be read")
                self._publish_trouble(f"{type(error).__name__}: {reason_of(error)}")
            finally:
                self._close()
            self._stopped.wait(pause)

    def _close(self) -> None:
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()

    def _begin(self) -> None:
        """Start the current search again, because the journal may be another one."""
        query, self._listed, self._live = self._query, None, None
        self._version, self._stale = -1, True
        if query.number:
            self._requests.put(lambda archive: self._list(archive, query))

    def _publish_no_journal(self) -> None:
        """Publish an empty list, because there is no journal yet."""
        self._publish_trouble("")
        query = self._query
        if query.number and query is not self._listed:
            self._listed = query
            self._publish(TasksListed(query.number, array("q"), {}, True))

    def _publish_trouble(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self._publish(FeedTrouble(text))

    def _serve(self, archive: Archive) -> None:
        while not self._stopping:
            request = self._next_request()
            if request is not None:
                self._run_request(archive, request)
            # New results are checked on time, however often rows are requested.
            if self._following and time.monotonic() >= self._next_check_at:
                self._next_check_at = time.monotonic() + FOLLOW_INTERVAL
                self._check_changes(archive)
            self._publish_trouble("")

    def _check_changes(self, archive: Archive) -> None:
        """Follow new results and refresh the visible rows, if the journal has changed."""
        version = archive.data_version()
        if version != self._version:
            self._version, self._stale, self._behind = version, True, True
        if self._behind:
            self._run_request(archive, self._follow)
        if self._stale and time.monotonic() - self._refreshed_at > REFRESH_INTERVAL:
            self._refreshed_at, self._stale = time.monotonic(), False
            self._run_request(archive, self._refresh)

    def _next_request(self) -> Callable[[Archive], None] | None:
        try:
            timeout = max(0.0, self._next_check_at - time.monotonic())
            return self._requests.get(timeout=timeout if self._following else None)
        except queue.Empty:
            return None

    def _run_request(self, archive: Archive, request: Callable[[Archive], None]) -> None:
        # Newer searches may interrupt it. A request of an older search does nothing in its second attempt.
        for _ in range(MAX_INTERRUPTIONS):
            with contextlib.suppress(JournalError):
                return request(archive)
            if self._stopping:
                return None
        return request(archive)

    def _list(self, archive: Archive, query: TaskQuery) -> None:
        if query is not self._query or query is self._listed:
            return
        self._live = None
        live = query.order.is_live
        first = archive.find(query.search, query.order, FIRST_ROWS)
        rows = archive.rows(first[:NEW_ROWS])
        whole = len(first) < FIRST_ROWS and not live
        self._publish(TasksListed(query.number, first[::-1] if live else first, rows, whole))
        if live:
            self._list_live(archive, query)
        elif not whole:
            self._publish(TasksListed(query.number, archive.find(query.search, query.order, MAX_RESULTS), rows, True))
        self._listed = query

    def _list_live(self, archive: Archive, query: TaskQuery) -> None:
        """Publish a whole live list, which new results are added to from now on."""
        began = time.monotonic()
        found = archive.find_live(query.search)
        self._publish(TasksListed(query.number, found.seqs, archive.rows(found.seqs[-NEW_ROWS:]), True))
        self._live = _Live(query, found.position)
        now = time.monotonic()
        self._relist_at = now + max(RELIST_INTERVAL, now - began)

    def _follow(self, archive: Archive) -> None:
        """Publish new results, or the whole list once more when they can't be told."""
        live = self._live
        if live is None or live.query is not self._query:
            return
        grown = archive.ended_after(live.query.search, live.position)
        if grown is not None:
            if grown.seqs:
                rows = archive.rows(grown.seqs[-NEW_ROWS:])
                self._publish(ListGrown(live.query.number, grown.seqs, rows))
            self._live = _Live(live.query, grown.position)
            self._behind = False
        elif time.monotonic() >= self._relist_at:
            self._list_live(archive, live.query)
            self._behind = False

    def _refresh(self, archive: Archive) -> None:
        self._read(archive, self._visible)
        self._read_ids(archive, self._visible_ids)

    def _read_ids(self, archive: Archive, ids: Sequence[str]) -> None:
        self._visible_ids = tuple(ids)
        if ids:
            self._publish(RowsReadById(archive.rows_by_id(ids)))

    def _read(self, archive: Archive, seqs: Sequence[int]) -> None:
        self._visible = tuple(seqs)
        if seqs:
            self._publish(RowsRead(archive.rows(seqs)))


class _Live(msgspec.Struct, frozen=True):
    """The live list that is shown."""

    query: TaskQuery
    position: int
    """The place of the last commit that it includes."""
