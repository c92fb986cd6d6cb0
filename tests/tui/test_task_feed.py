"""The feed of a table, with its real thread and a real journal."""

import queue
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from core.database import Database
from core.errors import JournalUnavailable
from core.model import State
from core.repository.archive import MAX_RESULTS, Archive, BulkAction
from core.repository.journal import Journal
from core.repository.search import Search, SortColumn, SortOrder, parse
from core.repository.sqlite import FAULTS
from core.repository.sqlite_archive import SqliteArchive
from tests.contract.repositories import mark, outcome, store_outcomes
from tests.services.waiting import wait_until
from tests.tui.journals import Book
from tui import task_feed as feeds
from tui.task_feed import (
    FeedTrouble,
    JournalTaskFeed,
    ListGrown,
    News,
    RowsRead,
    RowsReadById,
    TasksListed,
    places_of,
    without,
)

N = TypeVar("N")
NEWEST = SortOrder()
OLDEST = SortOrder(SortColumn.ENDED, descending=False)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A journal."""
    made = Book(tmp_path)
    yield made
    made.close()


class Reader:
    """A feed, and a list kept up to date by what it tells, as a table keeps it."""

    def __init__(self, open_archive: Callable[[], Archive]) -> None:
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.seqs = array("q")
        self.seen: list[News] = []
        self.number = 0
        self.feed = JournalTaskFeed(open_archive, self.news.put, "tasks-test")
        self.feed.start()

    def look_for(self, text: str = "", order: SortOrder = NEWEST) -> int:
        """Look for something."""
        self.number = self.feed.look_for(parse(text, time.time()), order)
        return self.number

    def whole(self, text: str = "", order: SortOrder = NEWEST) -> list[int]:
        """Look for something; all that is found, in the order in which it is told."""
        number = self.look_for(text, order)
        self.until(TasksListed, lambda news: news.number == number and news.complete)
        return list(self.seqs)

    def until(self, kind: type[N], fits: Callable[[N], bool] = lambda _: True) -> N:
        """Take in what is told until it is this; the rest is kept in `seen`."""
        deadline = time.monotonic() + 20
        while True:
            news = self.news.get(timeout=max(0.01, deadline - time.monotonic()))
            self._take(news)
            if isinstance(news, kind) and fits(news):
                return news

    def wait_for(self, seqs: list[int]) -> None:
        """Follow until the list is this one."""
        deadline = time.monotonic() + 20
        while list(self.seqs) != seqs:
            try:
                self._take(self.news.get(timeout=max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{list(self.seqs)} did not become {seqs}") from None

    def _take(self, news: News) -> None:
        self.seen.append(news)
        match news:
            case TasksListed(number=number) if number == self.number:
                self.seqs = array("q", news.seqs)
            case ListGrown(number=number) if number == self.number:
                del self.seqs[max(0, len(self.seqs) - news.cut) :]
                self.seqs = without(self.seqs, places_of(self.seqs, news.again))
                self.seqs.extend(news.seqs)


@pytest.fixture
def reader(book: Book) -> Iterator[Reader]:
    """A feed of the journal."""
    made = Reader(partial(book.journal.open_archive, readonly=True))
    yield made
    made.feed.stop()
    assert not made.feed._thread.is_alive()  # noqa: SLF001 - that nothing is left behind can be seen nowhere else


def test_a_live_list_is_told_the_oldest_first_to_be_turned_around(book: Book, reader: Reader) -> None:
    first, second = book.end("a", ago=100), book.end("b", ago=50)
    third = book.end("c")
    assert reader.whole() == [*first, *second, *third]
    listed = reader.seen[-1]
    assert isinstance(listed, TasksListed)
    assert {row.id for row in listed.rows.values()} == {"a", "b", "c"}


def test_a_list_at_rest_is_told_in_its_order(book: Book, reader: Reader) -> None:
    first, second = book.end("b", ago=100), book.end("a", ago=50)
    assert reader.whole(order=OLDEST) == [*first, *second]
    assert reader.whole(order=SortOrder(SortColumn.ID, descending=False)) == [*second, *first]


def test_a_search_leaves_out_what_does_not_match(book: Book, reader: Reader) -> None:
    book.end("good")
    bad = book.fail("bad")
    assert reader.whole("state:failed") == bad
    assert reader.whole("id:nothing") == []


def test_states_that_are_asked_for_are_found(book: Book, reader: Reader) -> None:
    book.end("good")
    bad = book.fail("bad")
    reader.number = reader.feed.look_for(Search((State.FAILED,)), NEWEST)
    reader.wait_for(bad)


def test_of_many_the_first_are_told_before_the_rest(book: Book, reader: Reader) -> None:
    seqs = book.end(*(f"t{number}" for number in range(30_000)), ago=60)
    newest = book.end("newest")
    number = reader.look_for()
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
def test_every_order_of_many_holds_each_once(book: Book, reader: Reader, order: SortOrder) -> None:
    seqs = book.end(*(f"t{number}" for number in range(1000)), ago=60) + book.end("x", "y", "z")
    assert sorted(reader.whole(order=order)) == seqs


def test_what_ends_is_told_as_long_as_it_is_followed(book: Book, reader: Reader) -> None:
    seqs = book.end("a", ago=60)
    assert reader.whole() == seqs
    reader.feed.follow(True)
    for number in range(5):
        seqs += book.end(f"later-{number}")
        reader.wait_for(seqs)
    grown = reader.seen[-1]
    assert isinstance(grown, ListGrown)
    assert grown.rows[seqs[-1]].id == "later-4"


def test_what_ends_is_told_however_often_rows_are_asked_for(book: Book, reader: Reader) -> None:
    seqs = book.end("a", ago=60)
    assert reader.whole() == seqs
    reader.feed.follow(True)
    later = book.end("b")
    deadline = time.monotonic() + 20
    while list(reader.seqs) != [*seqs, *later]:
        assert time.monotonic() < deadline, "what has ended was never looked at"
        # The next is asked for as soon as the one before was answered.
        reader.feed.want(seqs)
        reader.until(RowsRead)


def test_a_list_at_rest_does_not_grow(book: Book, reader: Reader) -> None:
    seqs = book.end("a", ago=60)
    assert reader.whole(order=OLDEST) == seqs
    reader.feed.follow(True)
    [later] = book.end("b")
    reader.feed.want([later])
    reader.until(RowsRead, lambda news: later in news.rows)
    assert list(reader.seqs) == seqs


def test_what_is_stored_out_of_order_finds_its_place(book: Book, reader: Reader) -> None:
    late, early = book.enter("late", "early")
    seqs = book.end("old", ago=60)
    assert reader.whole() == seqs
    reader.feed.follow(True)
    book.finish([late])
    reader.wait_for([*seqs, late])
    # Another worker began its commit before, and was slower.
    book.finish([early], ago=feeds.OVERLAP / 2)
    reader.wait_for([*seqs, early, late])


def test_a_list_that_follows_for_long_holds_everything_once(book: Book, reader: Reader) -> None:
    """The end that may still change is made shorter again and again meanwhile, and never loses or doubles a task."""
    seqs = book.end(*(f"old-{number}" for number in range(300)), ago=60)
    stop = threading.Event()
    began = time.monotonic()

    def write() -> None:
        writer = Book(book.journal.path.parent)
        number = 0
        while not stop.is_set() and time.monotonic() - began < 2.5 * feeds.OVERLAP:
            number += 1
            found = writer.end(*(f"new-{number}-{each}" for each in range(5)), ago=0.3 if number % 7 == 0 else 0.0)
            seqs.extend(found)
            stop.wait(0.02)
        writer.close()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        reader.feed.follow(True)
        reader.look_for()
        reader.until(TasksListed, lambda news: news.complete)
        while writing.is_alive():
            reader.until(ListGrown)
    except queue.Empty:
        pass
    finally:
        stop.set()
        writing.join()
    with book.archive() as archive:
        expected = list(archive.find(Search(), OLDEST))
    assert sorted(expected) == sorted(seqs)
    reader.wait_for(expected)
    cuts = [news.cut for news in reader.seen if isinstance(news, ListGrown)]
    assert max(cuts) < len(expected) - 300, "the end that may still change grows and grows"


def test_what_ends_once_more_stands_once_and_on_top(book: Book, reader: Reader) -> None:
    first, second, third = book.fail("a", ago=100), book.fail("b", ago=90), book.fail("c", ago=80)
    ended = book.end("d", ago=70)
    reader.feed.follow(True)
    assert reader.whole() == [*first, *second, *third, *ended]
    with book.archive() as archive:
        number = archive.begin_operation(BulkAction.RETRY, "ana", time.time())
        assert archive.apply(number, BulkAction.RETRY, [*first, *second], time.time()) == 2
        mark(book.repository, first, attempt=1, now=time.time())
        store_outcomes(book.repository, outcome(first[0], 1), now=time.time())
        reader.wait_for([*second, *third, *ended, *first])
        # What was not run once more, since that was undone, has failed again, and that is now.
        assert archive.undo(number, archive.tasks_moved_by(number), [], time.time()) == 1
        reader.wait_for([*third, *ended, *first, *second])


class Crowded(SqliteArchive):
    """An archive in which one more task has ended whenever something was read of it."""

    def __init__(self, book: Book) -> None:
        super().__init__(Database(book.journal.path, FAULTS, readonly=True))
        self._writer = Book(book.journal.path.parent)
        self.ended: list[int] = []

    def find(self, search: Search, order: SortOrder = NEWEST, limit: int = MAX_RESULTS) -> "array[int]":
        """What is there; and then there is more."""
        found = super().find(search, order, limit)
        self._more()
        return found

    def find_since(self, search: Search, moment: float) -> "array[int]":
        """The same."""
        found = super().find_since(search, moment)
        self._more()
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()
        super().close()

    def _more(self) -> None:
        if len(self.ended) < 40:
            self.ended += self._writer.end(f"more-{len(self.ended)}")


def test_what_ends_between_two_looks_is_told_once_and_the_end_that_may_change_stays_short(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "OVERLAP", 0.3)
    seqs = book.end(*(f"old-{number}" for number in range(300)), ago=60)
    archives: list[Crowded] = []

    def open_archive() -> Archive:
        archives.append(Crowded(book))
        return archives[-1]

    reader = Reader(open_archive)
    try:
        reader.feed.follow(True)
        assert reader.whole()[:300] == seqs
        assert len(set(reader.seqs)) == len(reader.seqs)
        reader.until(ListGrown, lambda news: len(reader.seqs) >= 335)
        assert list(reader.seqs) == [*seqs, *archives[0].ended[: len(reader.seqs) - 300]]
        cuts = [news.cut for news in reader.seen if isinstance(news, ListGrown)]
        assert max(cuts) < 20
    finally:
        reader.feed.stop()


def test_a_newer_search_interrupts_the_older(book: Book, reader: Reader) -> None:
    book.end(*(f"t{number}" for number in range(30_000)), payload=f'"{"x" * 300}"', ago=60)
    [wanted] = book.end("wanted", ago=60)
    numbers = [reader.look_for(f"-payload:y{number} -error:z", SortOrder(SortColumn.PAYLOAD)) for number in range(50)]
    last = reader.look_for("id:wanted", SortOrder(SortColumn.TOOK))
    assert last > max(numbers)
    listed = reader.until(TasksListed, lambda news: news.number == last)
    assert list(listed.seqs) == [wanted]
    whole = [news for news in reader.seen if isinstance(news, TasksListed) and news.complete and news.number != last]
    assert len(whole) < 10, "searches that nobody wants any more ran to their ends"
    assert not [news for news in reader.seen if isinstance(news, FeedTrouble)]


def test_what_was_listed_for_an_older_search_does_not_grow_into_a_newer(book: Book, reader: Reader) -> None:
    book.end("a", "b", ago=60)
    only = book.fail("c")
    reader.feed.follow(True)
    for number in range(20):
        text = "state:failed" if number % 2 else ""
        reader.look_for(text)
        book.end(f"more-{number}")
    assert reader.whole("state:failed") == only
    more = book.fail("d")
    reader.wait_for([*only, *more])


def test_rows_in_view_are_told_and_told_again_when_they_change(book: Book, reader: Reader) -> None:
    [seq] = book.fail("a")
    reader.feed.follow(True)
    reader.feed.want([seq, 999])
    reader.feed.want_ids(["a", "unknown"])
    assert {each.state for each in reader.until(RowsRead).rows.values()} == {State.FAILED}
    assert {each.state for each in reader.until(RowsReadById).rows.values()} == {State.FAILED}
    with book.archive() as archive:
        operation = archive.begin_operation(BulkAction.DISCARD, "ana", time.time())
        archive.apply(operation, BulkAction.DISCARD, [seq], time.time())
    reader.until(RowsRead, lambda news: news.rows[seq].state is State.CANCELLED)
    reader.until(RowsReadById, lambda news: news.rows["a"].state is State.CANCELLED)


def test_the_last_change_is_told_though_nothing_is_written_after_it(book: Book, reader: Reader) -> None:
    """Rows are not read for each commit, but a commit just after they were read is not forgotten."""
    first, second = book.enter("a", "b")
    reader.feed.follow(True)
    reader.feed.want([first, second])
    book.finish([first])
    reader.until(RowsRead, lambda news: news.rows[first].state is State.DONE)
    book.finish([second])
    reader.until(RowsRead, lambda news: news.rows[second].state is State.DONE)


def test_nothing_is_read_while_nobody_looks(book: Book, reader: Reader) -> None:
    seqs = book.end("a", ago=60)
    assert reader.whole() == seqs
    later = book.end("b")
    with pytest.raises(queue.Empty):
        reader.news.get(timeout=3 * feeds.FOLLOW_EVERY)
    reader.feed.follow(True)
    reader.wait_for([*seqs, *later])


def test_a_journal_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_EVERY", 0.02)
    directory = tmp_path / "later"
    directory.mkdir()
    opened: list[float] = []
    book: Book | None = None

    def open_archive() -> Archive:
        opened.append(time.monotonic())
        if book is None:
            raise JournalUnavailable("there is no journal yet")
        return book.journal.open_archive(readonly=True)

    reader = Reader(open_archive)
    try:
        number = reader.look_for()
        reader.feed.want([1])
        assert reader.until(FeedTrouble) == FeedTrouble("there is no journal yet")
        wait_until(lambda: len(opened) > 20, "some more tries")
        assert reader.news.empty(), "a trouble is told once"
        made = Book(directory)
        seqs = made.end("a")
        book = made
        reader.until(TasksListed, lambda news: news.complete)
        reader.wait_for(seqs)
        reader.feed.want(seqs)
        reader.until(RowsRead)
        assert FeedTrouble("") in reader.seen
        listed = [news for news in reader.seen if isinstance(news, TasksListed)]
        assert [news.number for news in listed] == [number, number], "a search is made once, however long it waited"
        made.close()
    finally:
        reader.feed.stop()


def test_what_was_wanted_is_found_when_the_journal_is_replaced(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RETRY_EVERY", 0.02)
    archives: list[Archive] = []

    def open_archive() -> Archive:
        archives.append(book.journal.open_archive(readonly=True))
        return archives[-1]

    first = book.end("a", ago=60)
    reader = Reader(open_archive)
    try:
        assert reader.whole() == first
        second = book.end("b", ago=60)
        # Its connection is gone: whatever it asks fails, until it has opened another.
        archives[0].close()
        reader.feed.want(first)
        reader.wait_for([*first, *second])
        assert len(archives) == 2
        assert "closed" in "".join(news.text for news in reader.seen if isinstance(news, FeedTrouble)).lower()
    finally:
        reader.feed.stop()


def test_it_ends_at_once_also_in_the_middle_of_a_search(book: Book, reader: Reader) -> None:
    book.end(*(f"t{number}" for number in range(30_000)), payload=f'"{"x" * 300}"', ago=60)
    for number in range(20):
        reader.look_for(f"-payload:y{number}", SortOrder(SortColumn.PAYLOAD))
    began = time.monotonic()
    reader.feed.stop()
    assert time.monotonic() - began < 1.5


def test_it_ends_at_once_while_it_waits_for_a_journal(tmp_path: Path) -> None:
    def open_archive() -> Archive:
        raise JournalUnavailable("away")

    reader = Reader(open_archive)
    reader.until(FeedTrouble)
    began = time.monotonic()
    reader.feed.stop()
    assert time.monotonic() - began < feeds.RETRY_EVERY / 2


def test_where_there_is_no_journal_yet_the_list_is_empty_until_there_is_one(tmp_path: Path) -> None:
    reader = Reader(partial(Journal("resultados.db", tmp_path).open_archive, readonly=True))
    try:
        assert reader.whole() == []
        assert not [news for news in reader.seen if isinstance(news, FeedTrouble) and news.text]
        made = Book(tmp_path)
        first = made.end("a")
        reader.wait_for([*first])
        made.close()
    finally:
        reader.feed.stop()
