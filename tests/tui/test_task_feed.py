"""The feed of a table, with its real thread and a real journal."""

import queue
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import pytest

from core.database import Database
from core.errors import JournalUnavailable
from core.model import State
from core.repository.archive import MAX_RESULTS, Archive, BulkAction, LiveList
from core.repository.journal import Journal
from core.repository.search import Search, SortColumn, SortOrder, parse
from core.repository.sqlite import FAULTS, schema
from core.repository.sqlite_archive import SqliteArchive
from tests.contract.repositories import mark, outcome, store_outcomes
from tests.services.waiting import wait_until
from tests.tui.journals import JournalWriter
from tui import task_feed as feeds
from tui.task_feed import (
    FeedTrouble,
    JournalTaskFeed,
    ListGrown,
    News,
    RowsRead,
    RowsReadById,
    TasksListed,
)

N = TypeVar("N")
NEWEST = SortOrder()
OLDEST = SortOrder(SortColumn.ENDED, descending=False)

SEARCHES = 20
NEVER = 3600.0
"""Seconds between two tries: whatever waits for them ends in no test."""

THREAD_TIMEOUT = 60.0
"""Seconds for a thread to end, on a busy machine."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """A journal."""
    made = JournalWriter(tmp_path)
    yield made
    made.close()


class Reader:
    """A feed, and the list that a table would make of its results."""

    def __init__(self, open_archive: Callable[[], Archive]) -> None:
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.seqs = array("q")
        self.seen: list[News] = []
        self.number = 0
        self.feed = JournalTaskFeed(open_archive, self.news.put, "tasks-test")
        self.feed.start()

    def search_for(self, text: str = "", order: SortOrder = NEWEST) -> int:
        """Start a search."""
        self.number = self.feed.search_for(parse(text, time.time()), order)
        return self.number

    def whole(self, text: str = "", order: SortOrder = NEWEST) -> list[int]:
        """Search, and return the complete list."""
        number = self.search_for(text, order)
        self.until(TasksListed, lambda news: news.number == number and news.complete)
        return list(self.seqs)

    def until(self, kind: type[N], fits: Callable[[N], bool] = lambda _: True) -> N:
        """Read results until one fits, and return it. All are kept in `seen`."""
        deadline = time.monotonic() + 60
        while True:
            news = self.news.get(timeout=max(0.01, deadline - time.monotonic()))
            self._apply(news)
            if isinstance(news, kind) and fits(news):
                return news

    def wait_for(self, seqs: list[int]) -> None:
        """Read results until the list has these tasks."""
        deadline = time.monotonic() + 60
        while list(self.seqs) != seqs:
            try:
                self._apply(self.news.get(timeout=max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{list(self.seqs)} did not become {seqs}") from None

    def _apply(self, news: News) -> None:
        self.seen.append(news)
        match news:
            case TasksListed(number=number) if number == self.number:
                self.seqs = array("q", news.seqs)
            case ListGrown(number=number) if number == self.number:
                self.seqs.extend(news.seqs)


@pytest.fixture
def reader(journal: JournalWriter) -> Iterator[Reader]:
    """A feed of the journal."""
    made = Reader(partial(journal.journal.open_archive, readonly=True))
    yield made
    made.feed.stop()
    assert not made.feed._thread.is_alive()  # noqa: SLF001 - the thread can be seen nowhere else


def test_a_live_list_is_handed_over_oldest_first(journal: JournalWriter, reader: Reader) -> None:
    first, second = journal.end("a", ago=100), journal.end("b", ago=50)
    third = journal.end("c")
    assert reader.whole() == [*first, *second, *third]
    listed = reader.seen[-1]
    assert isinstance(listed, TasksListed)
    assert {row.id for row in listed.rows.values()} == {"a", "b", "c"}


def test_a_list_that_is_not_live_is_handed_over_in_its_order(journal: JournalWriter, reader: Reader) -> None:
    first, second = journal.end("b", ago=100), journal.end("a", ago=50)
    assert reader.whole(order=OLDEST) == [*first, *second]
    assert reader.whole(order=SortOrder(SortColumn.ID, descending=False)) == [*second, *first]


def test_a_search_finds_only_matching_tasks(journal: JournalWriter, reader: Reader) -> None:
    journal.end("good")
    bad = journal.fail("bad")
    assert reader.whole("state:failed") == bad
    assert reader.whole("id:nothing") == []


def test_a_search_by_state_finds_its_tasks(journal: JournalWriter, reader: Reader) -> None:
    journal.end("good")
    bad = journal.fail("bad")
    reader.number = reader.feed.search_for(Search((State.FAILED,)), NEWEST)
    reader.wait_for(bad)


def test_the_first_of_many_tasks_are_handed_over_before_the_rest(journal: JournalWriter, reader: Reader) -> None:
    seqs = journal.end(*(f"t{number}" for number in range(30_000)), ago=60)
    newest = journal.end("newest")
    number = reader.search_for()
    first = reader.until(TasksListed)
    assert (first.number, first.complete, len(first.seqs)) == (number, False, feeds.FIRST_ROWS)
    assert first.seqs[-1] == newest[0]
    assert len(first.rows) == feeds.NEW_ROWS
    whole = reader.until(TasksListed)
    assert whole.complete
    assert list(whole.seqs) == [*seqs, *newest]


@pytest.mark.parametrize(
    "order", [NEWEST, OLDEST, SortOrder(SortColumn.TOOK), SortOrder(SortColumn.KIND, descending=False)]
)
def test_every_order_lists_each_task_once(journal: JournalWriter, reader: Reader, order: SortOrder) -> None:
    seqs = journal.end(*(f"t{number}" for number in range(1000)), ago=60) + journal.end("x", "y", "z")
    assert sorted(reader.whole(order=order)) == seqs


def test_new_results_are_handed_over_while_following(journal: JournalWriter, reader: Reader) -> None:
    seqs = journal.end("a", ago=60)
    assert reader.whole() == seqs
    reader.feed.follow(True)
    for number in range(5):
        seqs += journal.end(f"later-{number}")
        reader.wait_for(seqs)
    grown = reader.seen[-1]
    assert isinstance(grown, ListGrown)
    assert grown.rows[seqs[-1]].id == "later-4"


def test_new_results_are_handed_over_however_often_rows_are_requested(journal: JournalWriter, reader: Reader) -> None:
    seqs = journal.end("a", ago=60)
    assert reader.whole() == seqs
    reader.feed.follow(True)
    later = journal.end("b")
    deadline = time.monotonic() + 60
    while list(reader.seqs) != [*seqs, *later]:
        assert time.monotonic() < deadline, "the new result was never read"
        # The next request follows as soon as the one before was answered.
        reader.feed.read_rows(seqs)
        reader.until(RowsRead)


def test_a_list_that_is_not_live_does_not_grow(journal: JournalWriter, reader: Reader) -> None:
    seqs = journal.end("a", ago=60)
    assert reader.whole(order=OLDEST) == seqs
    reader.feed.follow(True)
    [later] = journal.end("b")
    reader.feed.read_rows([later])
    reader.until(RowsRead, lambda news: later in news.rows)
    assert list(reader.seqs) == seqs


def test_a_result_that_was_committed_late_is_listed(journal: JournalWriter, reader: Reader) -> None:
    """Its worker stamped it, and then had to wait for the write lock for longer than anybody looks back."""
    late, early, last = journal.enter("late", "early", "last")
    seqs = journal.end("old", ago=60)
    assert reader.whole() == seqs
    reader.feed.follow(True)
    journal.finish([early])
    reader.wait_for([*seqs, early])
    journal.finish([late], ago=3600)
    journal.finish([last])
    reader.wait_for([*seqs, early, late, last])


HURRIED = 60
"""Transactions of each of the writers that compete."""


def test_a_list_that_follows_writers_that_compete_has_each_task_once(journal: JournalWriter, reader: Reader) -> None:
    """Each writer stamps its outcomes before it waits for the write lock, some of them long before."""
    journal.end(*(f"old-{number}" for number in range(300)), ago=60)

    def write(name: int) -> None:
        writer = JournalWriter(journal.journal.path.parent)
        for number in range(HURRIED):
            writer.end(*(f"{name}-{number}-{each}" for each in range(5)), ago=10.0 * (number % 7))
        writer.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in range(3)]
    reader.feed.follow(True)
    reader.search_for()
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    expected = 300 + 3 * HURRIED * 5
    reader.until(ListGrown, lambda _: len(reader.seqs) >= expected)
    assert len(reader.seqs) == len(set(reader.seqs)) == expected == journal.repository.counts()["done"]


def test_a_task_that_ends_again_is_listed_once_and_on_top(
    journal: JournalWriter, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RELIST_INTERVAL", 0.0)
    first, second, third = journal.fail("a", ago=100), journal.fail("b", ago=90), journal.fail("c", ago=80)
    ended = journal.end("d", ago=70)
    reader.feed.follow(True)
    assert reader.whole() == [*first, *second, *third, *ended]
    with journal.archive() as archive:
        number = archive.begin_operation(BulkAction.RETRY, "ana", time.time())
        assert archive.apply(number, BulkAction.RETRY, [*first, *second], time.time()) == 2
        reader.wait_for([*third, *ended])
        mark(journal.repository, first, attempt=1, now=time.time())
        store_outcomes(journal.repository, outcome(first[0], 1), now=time.time())
        reader.wait_for([*third, *ended, *first])
        # After its retry was undone, a task stands where it was.
        assert archive.undo(number, archive.tasks_moved_by(number), [], time.time()) == 1
        reader.wait_for([*second, *third, *ended, *first])


def test_what_operators_do_elsewhere_is_followed(
    journal: JournalWriter, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RELIST_INTERVAL", 0.0)
    seqs = journal.fail("a", "b", "c")
    reader.feed.follow(True)
    assert reader.whole("state:failed") == seqs
    with journal.archive() as archive:
        number = archive.begin_operation(BulkAction.DISCARD, "ana", time.time())
        archive.apply(number, BulkAction.DISCARD, seqs[:2], time.time())
        reader.wait_for(seqs[2:])
        archive.undo(number, seqs, [], time.time())
        reader.wait_for(seqs)


class CountingArchive(SqliteArchive):
    """An archive that counts how often a whole live list is read, and after whose reading one more task ends."""

    def __init__(self, journal: JournalWriter) -> None:
        super().__init__(Database(journal.journal.path, FAULTS, readonly=True))
        self._writer = JournalWriter(journal.journal.path.parent)
        self.ended: list[int] = []
        self.lists = 0

    def find_live(self, search: Search, limit: int = MAX_RESULTS) -> LiveList:
        """Read the list, and then end one more task."""
        self.lists += 1
        found = super().find_live(search, limit)
        self._end_one()
        return found

    def ended_after(self, search: Search, position: int) -> LiveList | None:
        """Read on, and then end one more task."""
        found = super().ended_after(search, position)
        self._end_one()
        return found

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
        super().close()

    def _end_one(self) -> None:
        if len(self.ended) < 20:
            self.ended += self._writer.end(f"more-{len(self.ended)}")


def test_results_between_two_reads_are_handed_over_once_and_the_list_is_read_once(
    journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "FOLLOW_INTERVAL", 0.01)
    seqs = journal.end(*(f"old-{number}" for number in range(300)), ago=60)
    archives: list[CountingArchive] = []

    def open_archive() -> Archive:
        archives.append(CountingArchive(journal))
        return archives[-1]

    reader = Reader(open_archive)
    try:
        reader.feed.follow(True)
        assert reader.whole() == seqs
        reader.until(ListGrown, lambda _: len(reader.seqs) >= 320)
        assert list(reader.seqs) == [*seqs, *archives[0].ended]
        assert archives[0].lists == 1
    finally:
        reader.feed.stop()


def test_a_list_that_must_be_read_anew_is_read_once_an_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal of an older version has no order of commits; a system of that version still writes it."""
    monkeypatch.setattr(feeds, "RELIST_INTERVAL", 0.0)
    path = tmp_path / "resultados.db"
    with Database(path, FAULTS) as database:
        database.migrate(list(takewhile(lambda script: "endings" not in script, schema())))
        reader = Reader(partial(Journal("resultados.db", tmp_path).open_archive, readonly=True))
        try:
            reader.feed.follow(True)
            assert reader.whole() == []
            end_without_record(database, 1)
            reader.wait_for([1])
            monkeypatch.setattr(feeds, "RELIST_INTERVAL", NEVER)
            end_without_record(database, 2)
            reader.wait_for([1, 2])
            end_without_record(database, 3)
            reader.feed.read_rows([3])
            reader.until(RowsRead, lambda news: 3 in news.rows)
            assert list(reader.seqs) == [1, 2]
        finally:
            reader.feed.stop()


def end_without_record(database: Database, seq: int) -> None:
    """End a task as the first version did."""
    database.execute(
        "INSERT INTO tasks (seq, id, kind, payload, state, received_at, accepted_at, attempts, result, stored_at)"
        " VALUES (?, 't' || ?, 'echo', '1', 'done', 1, 1, 1, '1', ?)",
        (seq, seq, time.time()),
    )


def test_a_newer_search_interrupts_the_older_one(journal: JournalWriter, reader: Reader) -> None:
    journal.end(*(f"t{number}" for number in range(30_000)), payload=f'"{"x" * 300}"', ago=60)
    [wanted] = journal.end("wanted", ago=60)
    numbers = [reader.search_for(f"-payload:y{number} -error:z", SortOrder(SortColumn.PAYLOAD)) for number in range(50)]
    last = reader.search_for("id:wanted", SortOrder(SortColumn.TOOK))
    assert last > max(numbers)
    listed = reader.until(TasksListed, lambda news: news.number == last)
    assert list(listed.seqs) == [wanted]
    whole = [news for news in reader.seen if isinstance(news, TasksListed) and news.complete and news.number != last]
    assert len(whole) < 10, "obsolete searches ran to their end"
    assert not [news for news in reader.seen if isinstance(news, FeedTrouble)]


def test_the_list_of_an_older_search_does_not_grow_into_a_newer_one(journal: JournalWriter, reader: Reader) -> None:
    journal.end("a", "b", ago=60)
    only = journal.fail("c")
    reader.feed.follow(True)
    for number in range(20):
        text = "state:failed" if number % 2 else ""
        reader.search_for(text)
        journal.end(f"more-{number}")
    assert reader.whole("state:failed") == only
    more = journal.fail("d")
    reader.wait_for([*only, *more])


def test_visible_rows_are_read_and_read_again_when_they_change(journal: JournalWriter, reader: Reader) -> None:
    [seq] = journal.fail("a")
    reader.feed.follow(True)
    reader.feed.read_rows([seq, 999])
    reader.feed.read_rows_by_id(["a", "unknown"])
    assert {each.state for each in reader.until(RowsRead).rows.values()} == {State.FAILED}
    assert {each.state for each in reader.until(RowsReadById).rows.values()} == {State.FAILED}
    with journal.archive() as archive:
        operation = archive.begin_operation(BulkAction.DISCARD, "ana", time.time())
        archive.apply(operation, BulkAction.DISCARD, [seq], time.time())
    reader.until(RowsRead, lambda news: news.rows[seq].state is State.CANCELLED)
    reader.until(RowsReadById, lambda news: news.rows["a"].state is State.CANCELLED)


def test_the_last_change_is_handed_over_although_no_write_follows(journal: JournalWriter, reader: Reader) -> None:
    """Rows are not read for each commit, but a commit just after a read is not missed."""
    first, second = journal.enter("a", "b")
    reader.feed.follow(True)
    reader.feed.read_rows([first, second])
    journal.finish([first])
    reader.until(RowsRead, lambda news: news.rows[first].state is State.DONE)
    journal.finish([second])
    reader.until(RowsRead, lambda news: news.rows[second].state is State.DONE)


def test_nothing_is_read_while_paused(journal: JournalWriter, reader: Reader) -> None:
    seqs = journal.end("a", ago=60)
    assert reader.whole() == seqs
    later = journal.end("b")
    with pytest.raises(queue.Empty):
        reader.news.get(timeout=3 * feeds.FOLLOW_INTERVAL)
    reader.feed.follow(True)
    reader.wait_for([*seqs, *later])


def test_the_feed_waits_for_a_journal_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_INTERVAL", 0.02)
    directory = tmp_path / "later"
    directory.mkdir()
    opened: list[float] = []
    journal: JournalWriter | None = None

    def open_archive() -> Archive:
        opened.append(time.monotonic())
        if journal is None:
            raise JournalUnavailable("there is no journal yet")
        return journal.journal.open_archive(readonly=True)

    reader = Reader(open_archive)
    try:
        number = reader.search_for()
        reader.feed.read_rows([1])
        assert reader.until(FeedTrouble) == FeedTrouble("there is no journal yet")
        wait_until(lambda: len(opened) > 20, "some more tries")
        assert reader.news.empty(), "a trouble is reported once"
        made = JournalWriter(directory)
        seqs = made.end("a")
        journal = made
        reader.until(TasksListed, lambda news: news.complete)
        reader.wait_for(seqs)
        reader.feed.read_rows(seqs)
        reader.until(RowsRead)
        assert FeedTrouble("") in reader.seen
        listed = [news for news in reader.seen if isinstance(news, TasksListed)]
        assert [news.number for news in listed] == [number, number], "a search runs once, however long it waited"
        made.close()
    finally:
        reader.feed.stop()


def test_the_search_is_repeated_when_the_journal_is_replaced(
    tmp_path: Path, journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RETRY_INTERVAL", 0.02)
    archives: list[Archive] = []

    def open_archive() -> Archive:
        archives.append(journal.journal.open_archive(readonly=True))
        return archives[-1]

    first = journal.end("a", ago=60)
    reader = Reader(open_archive)
    try:
        assert reader.whole() == first
        second = journal.end("b", ago=60)
        # Without its connection every request fails until it has opened another.
        archives[0].close()
        reader.feed.read_rows(first)
        reader.wait_for([*first, *second])
        assert len(archives) == 2
        assert "closed" in "".join(news.text for news in reader.seen if isinstance(news, FeedTrouble)).lower()
    finally:
        reader.feed.stop()


def test_it_stops_at_once_in_the_middle_of_a_search(journal: JournalWriter, reader: Reader) -> None:
    journal.end(*(f"t{number}" for number in range(30_000)), payload=f'"{"x" * 300}"', ago=60)
    for number in range(SEARCHES):
        reader.search_for(f"-payload:y{number}", SortOrder(SortColumn.PAYLOAD))
    reader.feed.stop(THREAD_TIMEOUT)
    assert not reader.feed._thread.is_alive()  # noqa: SLF001 - nothing else shows that it has ended
    # The searches that waited behind the first were not made.
    listed = 0
    while not reader.news.empty():
        listed += isinstance(reader.news.get(), TasksListed)
    assert listed < SEARCHES


def test_it_stops_without_waiting_for_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_archive() -> Archive:
        raise JournalUnavailable("away")

    monkeypatch.setattr(feeds, "RETRY_INTERVAL", NEVER)
    reader = Reader(open_archive)
    reader.until(FeedTrouble)
    reader.feed.stop(THREAD_TIMEOUT)
    assert not reader.feed._thread.is_alive()  # noqa: SLF001 - nothing else shows that it has ended


def test_without_a_journal_the_list_is_empty_until_there_is_one(tmp_path: Path) -> None:
    reader = Reader(partial(Journal("resultados.db", tmp_path).open_archive, readonly=True))
    try:
        assert reader.whole() == []
        assert not [news for news in reader.seen if isinstance(news, FeedTrouble) and news.text]
        # The journal may be opened before its first task has ended.
        reader.feed.follow(True)
        made = JournalWriter(tmp_path)
        first = made.end("a")
        reader.wait_for([*first])
        made.close()
    finally:
        reader.feed.stop()
