"""The feed of the logs, with its real thread and real files."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.supervisor.home import Home
from core.supervisor.logs.log_reading import Level
from tui import log_feed
from tui.log_feed import LogBatch, LogFeed

NEVER = 3600.0
"""Seconds between two tries: whatever waits for them ends in no test."""

THREAD_TIMEOUT = 60.0
"""Seconds for a thread to end, on a busy machine."""


class LogFeedBench:
    """A feed of the logs of one directory, and its batches."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        self.home.create()
        self.news: queue.SimpleQueue[LogBatch] = queue.SimpleQueue()
        self.feed = LogFeed(self.home, self.news.put)

    def write(self, name: str, *lines: str) -> None:
        """Write to the log of a process."""
        with self.home.log(name).open("a", encoding="utf-8", newline="\n") as log:
            log.writelines(f"{line}\n" for line in lines)

    def next(self) -> LogBatch:
        """Return the next batch."""
        return self.news.get(timeout=THREAD_TIMEOUT)

    def texts(self, count: int) -> list[str]:
        """Return the texts of the next lines, from any number of batches."""
        found: list[str] = []
        while len(found) < count:
            news = self.next()
            assert not news.anew
            found += [line.text for line in news.lines]
        return found

    def is_quiet(self) -> bool:
        """Return whether nothing is handed over for several intervals."""
        try:
            self.news.get(timeout=4 * log_feed.READ_INTERVAL)
        except queue.Empty:
            return True
        return False


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LogFeedBench]:
    """A feed that was started."""
    made = LogFeedBench(tmp_path)
    made.feed.start()
    yield made
    made.feed.stop()


def test_the_last_lines_are_read_and_new_ones_follow(bench: LogFeedBench) -> None:
    bench.write("w1", "2026-11-25 10:00:00.000 INFO    w1 cauce.worker: one", "  of one")
    bench.feed.follow(True)
    number = bench.feed.choose(["w1"])
    news = bench.next()
    assert (news.number, news.anew, news.trouble) == (number, True, "")
    assert [(line.process, line.level) for line in news.lines] == [("w1", Level.INFO)] * 2
    bench.write("w1", "two")
    news = bench.next()
    assert (news.number, news.anew) == (number, False)
    assert [line.text for line in news.lines] == ["two"]


def test_all_logs_are_merged_by_time(bench: LogFeedBench) -> None:
    bench.write("w1", "2026-11-25 10:00:01.000 INFO    w1 a: second", "2026-11-25 10:00:03.000 INFO    w1 a: fourth")
    bench.write("s1", "2026-11-25 10:00:00.000 INFO    s1 a: first", "2026-11-25 10:00:02.000 INFO    s1 a: third")
    bench.feed.follow(True)
    bench.feed.choose(None)
    assert [line.text.split()[-1] for line in bench.next().lines] == ["first", "second", "third", "fourth"]


def test_a_process_that_starts_later_is_followed_among_all(bench: LogFeedBench) -> None:
    bench.feed.follow(True)
    bench.feed.choose(None)
    assert bench.next().lines == ()
    bench.write("w9", "hello")
    assert bench.texts(1) == ["hello"]


def test_only_the_chosen_logs_are_read(bench: LogFeedBench) -> None:
    bench.write("w1", "mine")
    bench.write("w2", "not mine")
    bench.feed.follow(True)
    bench.feed.choose(["w1"])
    assert [line.text for line in bench.next().lines] == ["mine"]
    bench.write("w2", "not mine either")
    bench.write("w1", "mine too")
    assert bench.texts(1) == ["mine too"]


def test_another_choice_replaces_the_lines(bench: LogFeedBench) -> None:
    bench.write("w1", "of w1")
    bench.write("w2", "of w2")
    bench.feed.follow(True)
    first = bench.feed.choose(["w1"])
    assert bench.next().number == first
    second = bench.feed.choose(["w2"])
    assert second > first
    news = bench.next()
    assert (news.number, news.anew, [line.text for line in news.lines]) == (second, True, ["of w2"])


def test_of_many_lines_only_the_last_are_read(bench: LogFeedBench) -> None:
    bench.write("w1", *(f"line {number}" for number in range(20_000)))
    bench.feed.follow(True)
    bench.feed.choose(None)
    lines = bench.next().lines
    assert len(lines) == log_feed.TAIL_LINES
    assert lines[-1].text == "line 19999"


def test_no_line_is_lost_or_doubled_while_much_is_written(bench: LogFeedBench) -> None:
    bench.write("w1", "begin")
    bench.feed.follow(True)
    bench.feed.choose(["w1"])
    bench.next()
    expected = [f"line {number}" for number in range(5000)]
    for place in range(0, 5000, 250):
        bench.write("w1", *expected[place : place + 250])
    assert bench.texts(5000) == expected


def test_nothing_is_read_while_paused_and_everything_afterwards(bench: LogFeedBench) -> None:
    bench.write("w1", "one")
    bench.feed.choose(["w1"])
    assert bench.is_quiet()
    bench.feed.follow(True)
    assert [line.text for line in bench.next().lines] == ["one"]
    bench.feed.follow(False)
    bench.write("w1", "two", "three")
    # A read that had begun may still hand it over; nothing is lost in any case.
    bench.feed.follow(True)
    assert bench.texts(2) == ["two", "three"]


def test_a_missing_log_is_reported_once_and_read_when_it_exists(
    bench: LogFeedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_feed, "RETRY_INTERVAL", 0.02)
    bench.feed.follow(True)
    number = bench.feed.choose(["w1"])
    news = bench.next()
    assert (news.number, news.anew) == (number, True)
    assert "there is no log of 'w1'" in news.trouble
    assert bench.is_quiet()
    bench.write("w1", "here I am")
    news = bench.next()
    assert (news.number, news.anew, news.trouble) == (number, True, "")
    assert [line.text for line in news.lines] == ["here I am"]


def test_the_lines_of_a_log_are_printable(bench: LogFeedBench) -> None:
    bench.home.log("w1").write_bytes(b"\x1b[2Jgone\x00\xff\xc2\x9b2J\n" + b"x" * 100_000 + b"\n")
    bench.feed.follow(True)
    bench.feed.choose(["w1"])
    first, second = bench.next().lines
    assert first.text.isprintable()
    assert "\\x1b[2Jgone" in first.text
    assert len(second.text) <= 4096


def test_it_stops_without_waiting_in_every_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_feed, "READ_INTERVAL", NEVER)
    monkeypatch.setattr(log_feed, "RETRY_INTERVAL", NEVER)
    for following in (False, True):
        for choice in (None, ["w1"]):
            bench = LogFeedBench(tmp_path)
            bench.feed.start()
            bench.feed.follow(following)
            bench.feed.choose(choice)
            bench.feed.stop(THREAD_TIMEOUT)
            assert not bench.feed._thread.is_alive()  # noqa: SLF001 - nothing else shows that it has ended
