"""The feed of one table of tasks: finds what is searched for, follows what comes, and reads the rows that are in view.

It has a thread and a connection of its own, so that a search through millions holds up nothing else.
A newer search interrupts the one before. What it finds is handed over as values, marked with the number of the search.
"""

import contextlib
import itertools
import logging
import queue
import threading
import time
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from core.callbacks import ignore
from core.errors import CauceError, JournalError, JournalMissing
from core.repository.archive import MAX_RESULTS, Archive, OpenArchive, TaskRow
from core.repository.search import Comparison, NumericField, Search, SortOrder

FIRST_ROWS = 200
"""How many are found first, before the whole list is made."""

NEW_ROWS = 80
"""Rows of the newest tasks that are read along, so that they can be drawn at once."""

FOLLOW_EVERY = 0.25
"""Seconds between two looks at what has come."""

OVERLAP = 2.0
"""Seconds for which the newest results may still change their order: workers store side by side."""

REFRESH_EVERY = 1.0
"""Seconds between two looks at the rows in view, when the journal has changed."""

RETRY_EVERY = 1.0

LOOK_FOR_JOURNAL_EVERY = 0.1
"""Seconds until it is looked again whether there is a journal, where there was none."""

INTERRUPTIONS = 3
"""How often something is tried anew that searches have interrupted."""

_log = logging.getLogger("cauce.tui")


class TaskQuery(msgspec.Struct, frozen=True):
    """What a table wants to see."""

    number: int = 0
    """Of the search; grows with each."""
    search: Search = Search()
    order: SortOrder = SortOrder()


class TasksListed(msgspec.Struct, frozen=True):
    """What a search has found: numbers of tasks in the order in which they are shown, turned around when it is live."""

    number: int
    seqs: "array[int]"
    rows: Mapping[int, TaskRow]
    """Of those that are shown first."""
    complete: bool
    """Otherwise these are only the first, and the rest is on its way."""


class ListGrown(msgspec.Struct, frozen=True):
    """What has come since, for a live list: the last `cut` numbers are replaced by others, and more follow."""

    number: int
    cut: int
    seqs: "array[int]"
    rows: Mapping[int, TaskRow]
    again: frozenset[int] = frozenset()
    """Those of them that may have ended before, so that they may stand farther down already."""


class RowsRead(msgspec.Struct, frozen=True):
    """Rows that were asked for, or have changed."""

    rows: Mapping[int, TaskRow]


class RowsReadById(msgspec.Struct, frozen=True):
    """Rows that were asked for by the ids of their tasks, or have changed."""

    rows: Mapping[str, TaskRow]


class FeedTrouble(msgspec.Struct, frozen=True):
    """The journal can't be read now; empty when it can again."""

    text: str


News: TypeAlias = TasksListed | ListGrown | RowsRead | RowsReadById | FeedTrouble


class JournalTaskFeed:
    """Owns the thread.

    Args:
        open_archive: opens the journal, in the thread.
        hand_over: takes what is found; may be called from any thread.
        name: of the thread.
    """

    def __init__(self, open_archive: OpenArchive, hand_over: Callable[[News], object], name: str) -> None:
        self._open = open_archive
        self._hand_over = hand_over
        self._archive: Archive | None = None
        self._asks: queue.SimpleQueue[Callable[[Archive], None] | None] = queue.SimpleQueue()
        self._wish = TaskQuery()
        self._tail: _Tail | None = None
        self._visible: tuple[int, ...] = ()
        self._visible_ids: tuple[str, ...] = ()
        self._listed: TaskQuery | None = None
        """What was listed since the journal was opened."""
        self._following = False
        self._look_at = 0.0
        self._version = -1
        self._stale = False
        self._refreshed_at = 0.0
        self._trouble = ""
        self._leaving = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End, also in the middle of a search."""
        self._leaving = True
        self._end.set()
        self._asks.put(None)
        self._interrupt()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def look_for(self, search: Search, order: SortOrder) -> int:
        """Look for something else from now on; the number of this search, which its results bear."""
        self._wish = wish = TaskQuery(self._wish.number + 1, search, order)
        self._interrupt()
        self._asks.put(lambda archive: self._list(archive, wish))
        return wish.number

    def want(self, seqs: Sequence[int]) -> None:
        """Read these rows, and keep them fresh: they are in view."""
        wanted = tuple(seqs)
        self._asks.put(lambda archive: self._read(archive, wanted))

    def want_ids(self, ids: Sequence[str]) -> None:
        """The same by the ids of the tasks."""
        wanted = tuple(ids)
        self._asks.put(lambda archive: self._read_ids(archive, wanted))

    def follow(self, following: bool) -> None:
        """Follow what comes, or rest: nobody is looking."""
        self._following = following
        self._asks.put(ignore)

    def _interrupt(self) -> None:
        archive = self._archive
        if archive is not None:
            archive.interrupt()

    def _tell(self, news: News) -> None:
        if not self._leaving:
            self._hand_over(news)

    # What runs in the thread.

    def _run(self) -> None:
        while not self._leaving:
            pause = RETRY_EVERY
            try:
                self._archive = self._open()
                self._begin()
                self._serve(self._archive)
            except JournalMissing:
                self._tell_nothing()
                pause = LOOK_FOR_JOURNAL_EVERY
            except CauceError as error:
                self._tell_trouble(str(error))
            except Exception as error:  # noqa: BLE001 - a table that stays empty without a word would be worse
                _log.exception("the tasks could not be read")
                self._tell_trouble(f"{type(error).__name__}: {error}")
            finally:
                self._close()
            self._end.wait(pause)

    def _close(self) -> None:
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()

    def _begin(self) -> None:
        """Begin anew with the present search: the journal may be another one."""
        wish, self._listed, self._tail = self._wish, None, None
        self._version, self._stale = -1, True
        if wish.number:
            self._asks.put(lambda archive: self._list(archive, wish))

    def _tell_nothing(self) -> None:
        """There is no journal yet, so nothing in it either."""
        self._tell_trouble("")
        wish = self._wish
        if wish.number and wish is not self._listed:
            self._listed = wish
            self._tell(TasksListed(wish.number, array("q"), {}, True))

    def _tell_trouble(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self._tell(FeedTrouble(text))

    def _serve(self, archive: Archive) -> None:
        while not self._leaving:
            ask = self._next_ask()
            if ask is not None:
                self._answer(archive, ask)
            # However often rows are asked for, what comes is looked at in its turn.
            if self._following and time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + FOLLOW_EVERY
                self._look(archive)
            self._tell_trouble("")

    def _look(self, archive: Archive) -> None:
        """Look at what has changed, if anything has."""
        version = archive.data_version()
        if version != self._version:
            self._version, self._stale = version, True
            self._answer(archive, self._follow)
        if self._stale and time.monotonic() - self._refreshed_at > REFRESH_EVERY:
            self._refreshed_at, self._stale = time.monotonic(), False
            self._answer(archive, self._refresh)

    def _next_ask(self) -> Callable[[Archive], None] | None:
        try:
            left = max(0.0, self._look_at - time.monotonic())
            return self._asks.get(timeout=left if self._following else None)
        except queue.Empty:
            return None

    def _answer(self, archive: Archive, ask: Callable[[Archive], None]) -> None:
        # Newer searches may interrupt it. What belongs to an older one does nothing the second time.
        for _ in range(INTERRUPTIONS):
            with contextlib.suppress(JournalError):
                return ask(archive)
            if self._leaving:
                return None
        return ask(archive)

    def _list(self, archive: Archive, wish: TaskQuery) -> None:
        if wish is not self._wish or wish is self._listed:
            return
        self._tail = None
        live = wish.order.is_live
        first = archive.find(wish.search, wish.order, FIRST_ROWS)
        rows = archive.rows(first[:NEW_ROWS])
        whole = len(first) < FIRST_ROWS
        self._tell(TasksListed(wish.number, first[::-1] if live else first, rows, whole and not live))
        if live:
            horizon = time.time() - OVERLAP
            settled = archive.find(_before(wish.search, horizon), wish.order, MAX_RESULTS)
            tail = archive.find_since(wish.search, horizon)
            self._tail = _Tail(wish, horizon, tail)
            # Between the two looks one may have ended once more.
            settled = without(settled, places_of(settled, archive.reopened(tail)))
            self._tell(TasksListed(wish.number, settled[::-1] + tail, rows, True))
        elif not whole:
            self._tell(TasksListed(wish.number, archive.find(wish.search, wish.order, MAX_RESULTS), rows, True))
        self._listed = wish

    def _follow(self, archive: Archive) -> None:
        """Look at what has come. What is older than some seconds is settled, the rest may still change its order."""
        tail = self._tail
        if tail is None or tail.wish is not self._wish:
            return
        found = archive.find_since(tail.wish.search, tail.horizon)
        if found == tail.seqs:
            return
        rows = archive.rows(found[-NEW_ROWS:])
        again = archive.reopened(set(found).difference(tail.seqs))
        horizon = time.time() - OVERLAP
        shorter = tail.horizon
        unsettled = found
        if horizon - tail.horizon >= OVERLAP:
            shorter = horizon
            unsettled = archive.find_since(tail.wish.search, horizon)
        self._tell(ListGrown(tail.wish.number, len(tail.seqs), found, rows, again))
        self._tail = _Tail(tail.wish, shorter, _end_from(found, unsettled))

    def _refresh(self, archive: Archive) -> None:
        self._read(archive, self._visible)
        self._read_ids(archive, self._visible_ids)

    def _read_ids(self, archive: Archive, ids: Sequence[str]) -> None:
        self._visible_ids = tuple(ids)
        if ids:
            self._tell(RowsReadById(archive.rows_by_id(ids)))

    def _read(self, archive: Archive, seqs: Sequence[int]) -> None:
        self._visible = tuple(seqs)
        if seqs:
            self._tell(RowsRead(archive.rows(seqs)))


class _Tail(msgspec.Struct, frozen=True):
    """The end of a live list."""

    wish: TaskQuery
    horizon: float
    """What ended from here on."""
    seqs: "array[int]"


def _before(search: Search, moment: float) -> Search:
    """What of it ended before a moment."""
    return replace(search, comparisons=(*search.comparisons, Comparison(NumericField.ENDED, "<", moment)))


def _end_from(found: "array[int]", unsettled: "array[int]") -> "array[int]":
    """The end of what was found, from the first of those that are not settled; more of them may have come since."""
    known = set(found)
    first = next((seq for seq in unsettled if seq in known), None)
    return array("q") if first is None else found[found.index(first) :]


def places_of(seqs: "array[int]", wanted: Collection[int], end: int | None = None) -> list[int]:
    """The places of these numbers among the first `end`, in order; a list may be very long, and most want nothing."""
    if not wanted:
        return []
    return list(itertools.compress(itertools.count(), map(wanted.__contains__, itertools.islice(seqs, end))))


def without(seqs: "array[int]", places: Sequence[int]) -> "array[int]":
    """The numbers without those at these places, which are in order."""
    if not places:
        return seqs
    kept = array("q")
    start = 0
    for place in places:
        kept.extend(seqs[start:place])
        start = place + 1
    kept.extend(seqs[start:])
    return kept
