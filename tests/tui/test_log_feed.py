"""The feed of the logs, with its real thread and real files."""

import queue
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.supervisor.home import Home
from core.supervisor.logs.log_reading import Level
from tui import log_feed
from tui.log_feed import LogBatch, LogFeed


class Scene:
    """A feed of the logs of one directory, and what it tells."""

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
        """What is told next."""
        return self.news.get(timeout=10)

    def texts(self, count: int) -> list[str]:
        """The next lines, however they are told."""
        found: list[str] = []
        while len(found) < count:
            news = self.next()
            assert not news.anew
            found += [line.text for line in news.lines]
        return found

    def quiet(self) -> bool:
        """Whether nothing is told for some looks."""
        try:
            self.news.get(timeout=4 * log_feed.READ_INTERVAL)
        except queue.Empty:
            return True
        return False


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A feed that has begun."""
    made = Scene(tmp_path)
    made.feed.start()
    yield made
    made.feed.stop()


def test_what_was_written_is_read_back_and_what_comes_follows(scene: Scene) -> None:
    scene.write("w1", "2026-11-25 10:00:00.000 INFO    w1 cauce.worker: one", "  of one")
    scene.feed.follow(True)
    number = scene.feed.choose(["w1"])
    news = scene.next()
    assert (news.number, news.anew, news.trouble) == (number, True, "")
    assert [(line.process, line.level) for line in news.lines] == [("w1", Level.INFO)] * 2
    scene.write("w1", "two")
    news = scene.next()
    assert (news.number, news.anew) == (number, False)
    assert [line.text for line in news.lines] == ["two"]


def test_all_logs_are_put_together_in_the_order_of_time(scene: Scene) -> None:
    scene.write("w1", "2026-11-25 10:00:01.000 INFO    w1 a: second", "2026-11-25 10:00:03.000 INFO    w1 a: fourth")
    scene.write("s1", "2026-11-25 10:00:00.000 INFO    s1 a: first", "2026-11-25 10:00:02.000 INFO    s1 a: third")
    scene.feed.follow(True)
    scene.feed.choose(None)
    assert [line.text.split()[-1] for line in scene.next().lines] == ["first", "second", "third", "fourth"]


def test_a_process_that_comes_later_is_followed_among_all(scene: Scene) -> None:
    scene.feed.follow(True)
    scene.feed.choose(None)
    assert scene.next().lines == ()
    scene.write("w9", "hello")
    assert scene.texts(1) == ["hello"]


def test_only_the_chosen_ones_are_read(scene: Scene) -> None:
    scene.write("w1", "mine")
    scene.write("w2", "not mine")
    scene.feed.follow(True)
    scene.feed.choose(["w1"])
    assert [line.text for line in scene.next().lines] == ["mine"]
    scene.write("w2", "not mine either")
    scene.write("w1", "mine too")
    assert scene.texts(1) == ["mine too"]


def test_another_choice_begins_anew(scene: Scene) -> None:
    scene.write("w1", "of w1")
    scene.write("w2", "of w2")
    scene.feed.follow(True)
    first = scene.feed.choose(["w1"])
    assert scene.next().number == first
    second = scene.feed.choose(["w2"])
    assert second > first
    news = scene.next()
    assert (news.number, news.anew, [line.text for line in news.lines]) == (second, True, ["of w2"])


def test_very_many_lines_are_read_back_from_the_end(scene: Scene) -> None:
    scene.write("w1", *(f"line {number}" for number in range(20_000)))
    scene.feed.follow(True)
    scene.feed.choose(None)
    lines = scene.next().lines
    assert len(lines) == log_feed.TAIL_LINES
    assert lines[-1].text == "line 19999"


def test_no_line_is_lost_or_doubled_while_much_is_written(scene: Scene) -> None:
    scene.write("w1", "begin")
    scene.feed.follow(True)
    scene.feed.choose(["w1"])
    scene.next()
    expected = [f"line {number}" for number in range(5000)]
    for place in range(0, 5000, 250):
        scene.write("w1", *expected[place : place + 250])
    assert scene.texts(5000) == expected


def test_nothing_is_read_while_nobody_looks_and_all_of_it_afterwards(scene: Scene) -> None:
    scene.write("w1", "one")
    scene.feed.choose(["w1"])
    assert scene.quiet()
    scene.feed.follow(True)
    assert [line.text for line in scene.next().lines] == ["one"]
    scene.feed.follow(False)
    scene.write("w1", "two", "three")
    # A look that had begun may still tell of it; nothing is lost in any case.
    scene.feed.follow(True)
    assert scene.texts(2) == ["two", "three"]


def test_a_log_that_is_not_there_is_told_once_and_read_when_it_comes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_feed, "RETRY_INTERVAL", 0.02)
    scene.feed.follow(True)
    number = scene.feed.choose(["w1"])
    news = scene.next()
    assert (news.number, news.anew) == (number, True)
    assert "there is no log of 'w1'" in news.trouble
    assert scene.quiet()
    scene.write("w1", "here I am")
    news = scene.next()
    assert (news.number, news.anew, news.trouble) == (number, True, "")
    assert [line.text for line in news.lines] == ["here I am"]


def test_what_a_log_holds_comes_out_printable(scene: Scene) -> None:
    scene.home.log("w1").write_bytes(b"\x1b[2Jgone\x00\xff\xc2\x9b2J\n" + b"x" * 100_000 + b"\n")
    scene.feed.follow(True)
    scene.feed.choose(["w1"])
    first, second = scene.next().lines
    assert first.text.isprintable()
    assert "\\x1b[2Jgone" in first.text
    assert len(second.text) <= 4096


def test_it_ends_at_once_whatever_it_does(tmp_path: Path) -> None:
    for following in (False, True):
        for choice in (None, ["w1"]):
            scene = Scene(tmp_path)
            scene.feed.start()
            scene.feed.follow(following)
            scene.feed.choose(choice)
            began = time.monotonic()
            scene.feed.stop()
            assert time.monotonic() - began < 1.0
