"""Logs, followed over rotations, truncations and new files, with no line missing or read twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.logs import log_files, log_reading
from core.supervisor.logs.log_files import open_log, rotate_by_copying, rotate_by_renaming
from core.supervisor.logs.log_reading import Follower, Level, LogFilter, LogLine
from core.supervisor.logs.logs_command import FOLLOW_INTERVAL, show
from tests.services.waiting import wait_until

PATIENCE = 60.0
ERROR = "2026-11-25 12:00:00.000 ERROR   w1 it broke"
LATER = "2026-11-25 12:00:01.000 INFO    s1 later"
WRITES = """
import sys
for number in range(2000):
    sys.stdin.readline() if number % 100 == 0 else None
    print("line", number, flush=True)
"""


class _Logs:
    """The logs of one directory, followed."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        self.home.create()
        self.path = self.home.log("w1")

    def follow(self, *names: str) -> None:
        self.follower = Follower(self.home, names or None)

    def write(self, text: str, name: str = "w1") -> None:
        """Append to a log, as its process does."""
        with self.home.log(name).open("ab") as stream:
            stream.write(text.encode())

    def read(self) -> list[str]:
        """The messages since the last time."""
        return [line.text for line in self.follower.read()]


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Logs:
    """A log with one line, followed from now on. A file of one byte counts as large."""
    monkeypatch.setattr(log_files, "MAX_SIZE", 0)
    made = _Logs(tmp_path)
    made.write("before\n")
    made.follow()
    return made


def test_what_is_written_from_now_on_is_read_once(logs: _Logs) -> None:
    assert logs.read() == []
    logs.write("one\ntwo\r\n\n")
    assert logs.read() == ["one", "two"]
    assert logs.read() == []


def test_a_line_is_read_when_it_is_complete(logs: _Logs) -> None:
    logs.write("ha")
    assert logs.read() == []
    logs.write("lf\nnex")
    assert logs.read() == ["half"]
    logs.write("t\n")
    assert logs.read() == ["next"]


def test_a_character_that_comes_in_two_parts_is_whole(logs: _Logs) -> None:
    with logs.path.open("ab", buffering=0) as stream:
        stream.write("ñ".encode()[:1])
        assert logs.read() == []
        stream.write("ñ".encode()[1:] + b"\n")
    assert logs.read() == ["ñ"]


def test_a_line_without_an_end_is_collected_only_up_to_a_limit(logs: _Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "MAX_PARTIAL_LINE", 10)
    logs.write("x" * 10)
    assert logs.read() == []
    logs.write("x")
    assert logs.read() == ["x" * 11]
    logs.write("y\n")
    assert logs.read() == ["y"]


def test_what_was_written_too_quickly_is_skipped_and_reported(logs: _Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "MAX_READ", 12)
    logs.write("a part")
    logs.read()
    logs.write("0123456789\n" * 1000)
    notice, *lines = logs.read()
    assert notice == "(10,988 bytes were written too quickly to be shown)"
    assert lines == ["0123456789"]
    logs.write("next\n")
    assert logs.read() == ["next"]


def test_a_line_without_a_time_belongs_to_the_one_before_also_at_the_next_read(logs: _Logs) -> None:
    logs.write(f"{ERROR}\n")
    logs.read()
    logs.write("  at here\n")
    (line,) = logs.follower.read()
    assert line.level is Level.ERROR
    assert line.at is not None


def test_the_lines_of_several_processes_are_in_the_order_of_time(logs: _Logs) -> None:
    logs.write(f"{LATER}\n", "s1")
    assert logs.read() == ["later"]
    logs.write(f"{LATER}\n", "s1")
    logs.write(f"{ERROR}\n  at here\n")
    assert logs.read() == ["it broke", "  at here", "later"]


def test_logs_that_come_later_are_followed_when_selected(logs: _Logs) -> None:
    logs.write("of s1\n", "s1")
    logs.follow("w1")
    logs.write("of s2\n", "s2")
    logs.write("of w1\n")
    logs.write("of s1\n", "s1")
    assert logs.read() == ["of w1"]
    logs.follow()
    logs.write("of s3\n", "s3")
    assert logs.read() == ["of s3"]
    with pytest.raises(SupervisorError, match="there is no log of 'w9'"):
        logs.follow("w1", "w9")


def test_a_rotation_loses_nothing_that_is_followed(logs: _Logs) -> None:
    logs.write("one\n")
    assert logs.read() == ["one"]
    logs.write("two\n")
    assert rotate_by_copying(logs.path)
    logs.write("three\n")
    assert logs.read() == ["two", "three"]
    assert rotate_by_copying(logs.path)
    assert logs.read() == []
    logs.write("four\n")
    assert logs.read() == ["four"]


def test_several_rotations_between_two_reads_lose_nothing(logs: _Logs) -> None:
    for number in range(3):
        logs.write(f"line {number}\n")
        assert rotate_by_copying(logs.path)
    logs.write("last\n")
    assert logs.read() == ["line 0", "line 1", "line 2", "last"]


def test_the_rest_of_an_empty_log_is_read_after_its_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 0)
    logs = _Logs(tmp_path)
    logs.path.touch()
    logs.follow()
    logs.write("one\n")
    assert rotate_by_renaming(logs.path)
    logs.write("two\n")
    assert logs.read() == ["one", "two"]


def test_a_line_that_a_rotation_splits_is_joined(logs: _Logs) -> None:
    logs.write("one ha")
    logs.read()
    assert rotate_by_copying(logs.path)
    logs.write("lf\n")
    assert logs.read() == ["one half"]
    logs.write("another ha")
    assert rotate_by_copying(logs.path)
    logs.write("lf\n")
    assert logs.read() == ["another half"]


def test_a_new_file_does_not_continue_a_line_of_the_former_one(logs: _Logs) -> None:
    logs.write("it died in the mid")
    logs.read()
    assert rotate_by_renaming(logs.path)
    assert logs.read() == ["it died in the mid"]
    with open_log(logs.path) as stream:
        stream.write(b"a new one\n")
    assert logs.read() == ["a new one"]


def test_a_log_that_is_emptied_goes_on_without_old_lines(logs: _Logs) -> None:
    logs.write("one\n" * 10)
    assert rotate_by_copying(logs.path)
    logs.write("two\n" * 5)
    assert logs.read() == ["one"] * 10 + ["two"] * 5
    os.truncate(logs.path, 0)
    logs.write("three\n")
    assert logs.read() == ["three"]
    logs.path.unlink()
    assert logs.read() == []
    logs.write("four\n")
    assert logs.read() == ["four"]


def test_rotated_files_may_be_removed(logs: _Logs) -> None:
    for text in ("one\n" * 10, "two\n" * 10):
        logs.write(text)
        assert rotate_by_copying(logs.path)
    logs.write("three\n")
    assert logs.read()[-1] == "three"
    logs.path.with_name("w1.log.1").unlink()
    logs.write("four\n")
    assert logs.read() == ["four"]
    assert rotate_by_copying(logs.path)
    logs.write("five\n")
    assert logs.read() == ["five"]


def test_followed_over_many_rotations_no_line_of_a_process_is_missing(
    logs: _Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 2000)
    found: list[str] = []
    rotations = 0
    with open_log(logs.path) as output:
        process = subprocess.Popen([sys.executable, "-c", WRITES], stdin=subprocess.PIPE, stdout=output)
    assert process.stdin is not None
    try:
        for block in range(20):
            process.stdin.write(b"\n")
            process.stdin.flush()
            last = f"line {block * 100 + 99}"

            def has_come(last: str = last) -> bool:
                found.extend(logs.read())
                return found[-1:] == [last]

            wait_until(has_come, last, PATIENCE)
            # Nothing is written now: a line at a truncation may be lost.
            rotations += rotate_by_copying(logs.path)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
    assert rotations >= 5
    assert found == [f"line {number}" for number in range(2000)]


# The command.


def shown(logs: _Logs, *names: str, limit: int = 100, log_filter: LogFilter | None = None) -> list[str]:
    """What is shown without following."""
    lines: list[LogLine] = []

    def wait(_: float) -> bool:
        raise AssertionError("it doesn't wait")

    chosen = log_filter or LogFilter()
    show(logs.home, names or None, limit=limit, follow=False, log_filter=chosen, write=lines.append, wait=wait)
    return [line.text for line in lines]


def test_the_last_lines_are_written(logs: _Logs) -> None:
    logs.write(f"{ERROR}\n")
    assert shown(logs) == ["before", "it broke"]
    assert shown(logs, "w1", limit=1) == ["it broke"]
    assert shown(logs, limit=0) == []
    assert shown(logs, log_filter=LogFilter(containing="BROKE")) == ["it broke"]
    with pytest.raises(SupervisorError, match="there is no log of 'w9'"):
        shown(logs, "w9")


def test_new_lines_are_written_until_the_command_is_to_end(logs: _Logs) -> None:
    lines: list[str] = []
    coming = [f"{ERROR}\nquiet\n", "", f"{LATER}\nnot wanted\n"]
    before: list[list[str]] = []

    def wait(seconds: float) -> bool:
        assert seconds == FOLLOW_INTERVAL
        before.append(list(lines))
        if not coming:
            return True
        logs.write(coming.pop(0))
        return False

    def take(line: LogLine) -> None:
        lines.append(line.text)

    log_filter = LogFilter(min_level=Level.ERROR)
    show(logs.home, None, limit=100, follow=True, log_filter=log_filter, write=take, wait=wait)
    # Lines without a level belong to the error before them.
    assert before == [[], ["it broke", "quiet"], ["it broke", "quiet"], ["it broke", "quiet"]]


def test_lines_written_while_the_last_ones_are_shown_are_not_missed(logs: _Logs) -> None:
    lines: list[str] = []

    def take(line: LogLine) -> None:
        if not lines:
            logs.write("written meanwhile\n")
        lines.append(line.text)

    ends = iter([False, True])
    show(logs.home, ["w1"], limit=10, follow=True, log_filter=LogFilter(), write=take, wait=lambda _: next(ends))
    assert lines == ["before", "written meanwhile"]


def test_following_a_wrong_name_is_an_error(logs: _Logs) -> None:
    with pytest.raises(SupervisorError, match="there is no log of 'w9'"):
        show(logs.home, ["w9"], limit=1, follow=True, log_filter=LogFilter(), write=lambda _: None, wait=lambda _: True)
