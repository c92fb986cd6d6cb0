"""How lines of logs are parsed and made printable, whatever a file holds."""

import datetime
import logging
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import logs
from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.logs import log_reading
from core.supervisor.logs.log_reading import (
    MAX_LINE_LENGTH,
    Level,
    LogFilter,
    LogLine,
    LogLineJson,
    as_json,
    as_text,
    log_paths,
    parse,
    tail,
)

NOON = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC).timestamp()
HERE = datetime.datetime(2026, 11, 25, 12).astimezone().timestamp()
BEFORE = LogLine("w1", "it broke", Level.ERROR, NOON)

CLEAR = "\x1b[2J\x9b2J\x07\u202e\u2028\r\x00"
"""Clears a terminal, rings, reverses the writing direction, or begins a new line."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "2026-11-25 12:00:00.000 INFO    w1 cauce.worker: w1 is ready",
            LogLine("w1", "cauce.worker: w1 is ready", Level.INFO, HERE),
        ),
        ("2026-11-25 12:00:00.250 CRITICAL w1 a: b", LogLine("w1", "a: b", Level.CRITICAL, HERE + 0.25)),
        ("2026-11-25 12:00:00.000 DEBUG   w1 ", LogLine("w1", "", Level.DEBUG, HERE)),
        ("2026-11-25 12:00:00.000 LOUD    w1 a: b", LogLine("w1", "a: b", None, HERE)),
        (
            "2026-11-25 13:00:00.500000+01:00 [notice] <0.222.0> Server startup complete",
            LogLine("w1", "Server startup complete", Level.INFO, NOON + 0.5),
        ),
        ("2026-11-25 13:00:00.000000+01:00 [warning] no id", LogLine("w1", "no id", Level.WARNING, NOON)),
        (
            "2026/11/25 12:00:00 [emerg] 17#17: bind() to 127.0.0.1:7000 failed",
            LogLine("w1", "17#17: bind() to 127.0.0.1:7000 failed", Level.CRITICAL, HERE),
        ),
        ("2026/11/25 12:00:00 [error] 17#17: *1 refused", LogLine("w1", "17#17: *1 refused", Level.ERROR, HERE)),
    ],
)
def test_lines_of_cauce_of_rabbitmq_and_of_nginx(text: str, expected: LogLine) -> None:
    assert parse(text, "w1") == expected


@pytest.mark.parametrize(
    "text",
    [
        "Traceback (most recent call last):",
        "Fatal Python error: Segmentation fault",
        "core.worker: t.py:4: SyntaxError: '(' was never closed",
        "sqlite3.OperationalError: database is locked",
    ],
)
def test_why_a_process_died_is_an_error(text: str) -> None:
    before = LogLine("w1", "ready", Level.INFO, 5.0)
    assert parse(text, "w1", before) == LogLine("w1", text, Level.ERROR, 5.0)


def test_a_line_of_ours_tells_its_offset() -> None:
    lines = ["2026-11-25 10:00:00.123+0545 INFO    w1 x: y", "2026-11-25 04:15:00.123+0000 INFO    w1 x: y"]
    first, second = (parse(line, "w1").at for line in lines)
    assert first is not None
    assert first == second


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_cauce_logs_is_read_back(form: str) -> None:
    formatter = logs.JsonLines("w1") if form == "json" else logs.TextLines("w1")
    record = logging.LogRecord("cauce.worker", logging.WARNING, __file__, 1, "%s has left", ("s1",), None)
    line = parse(formatter.format(record), "w1")
    assert line == LogLine("w1", "cauce.worker: s1 has left", Level.WARNING, line.at)
    assert line.at == pytest.approx(record.created, abs=0.002)


def test_a_traceback_of_a_structured_line_is_shown_behind_it() -> None:
    line = parse('{"time": "2026-11-25T12:00:00Z", "level": "error", "message": "no", "traceback": "a\\nb"}', "w1")
    assert line == LogLine("w1", r"no | a\nb", Level.ERROR, NOON)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "2026-11-25",
        "2026-11-25 12:00:00 INFO w1 no milliseconds",
        "2026-11-25 12:00:00.000 INFO",
        "{",
        "{}",
        '{"time": 5, "level": "info", "message": "x"}',
        '{"time": "2026-11-25T12:00:00Z", "level": "info", "message": null}',
        '{"time": "2026-11-25T12:00:00Z", "level": "info", "message": "\\ud800"}',
        '{"time": "", "level": "", "message": "", "x": ' + "[" * 100_000,
        '{"time": "", "level": "", "message": "", "x": ' + '{"x": ' * 100_000,
    ],
)
def test_a_line_without_a_time_belongs_to_the_one_before(text: str) -> None:
    assert parse(text, "w1", BEFORE) == LogLine("w1", logs.printable(text, MAX_LINE_LENGTH), Level.ERROR, NOON)
    assert parse(text, "w1") == LogLine("w1", logs.printable(text, MAX_LINE_LENGTH), None, None)


@pytest.mark.parametrize(
    "moment",
    [
        "yesterday",
        "",
        "2026-02-30T12:00:00Z",
        "0001-01-01T00:00:00+12:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59",
    ],
)
def test_an_invalid_time_is_left_out(moment: str) -> None:
    line = parse(msgspec.json.encode({"time": moment, "level": "info", "message": "x"}).decode(), "w1")
    assert line == LogLine("w1", "x", Level.INFO, None)
    assert as_text(line) == f"{'':12} INFO     {'w1':10} x"
    assert as_json(line).time is None


@pytest.mark.parametrize(
    "text",
    [
        CLEAR,
        f"2026-11-25 12:00:00.000 INFO    w1 {CLEAR}",
        f"2026/11/25 12:00:00 [error] {CLEAR}",
        msgspec.json.encode({"time": CLEAR, "level": CLEAR, "logger": CLEAR, "message": CLEAR}).decode(),
    ],
)
def test_no_control_character_is_left(text: str) -> None:
    for line in (parse(text, "w1"), parse(text, "w1", BEFORE)):
        assert line.text.isprintable()
        assert r"\x1b[2J\x9b2J\x07\u202e\u2028" in line.text
        assert as_text(line).isprintable()


def test_tabs_become_spaces_and_long_lines_are_cut() -> None:
    assert parse("\tat here", "w1").text == "    at here"
    for text in ("x" * 10**6, "2026-11-25 12:00:00.000 INFO    w1 " + "x" * 10**6):
        shown = parse(text, "w1").text
        assert (len(shown), shown[-2:]) == (MAX_LINE_LENGTH, "x…")


@given(st.text(), st.sampled_from(["", "{", "2026-11-25 12:00:00.000 INFO    w1 ", "2026/11/25 12:00:00 [error] "]))
def test_any_line_becomes_one_printable_line(text: str, start: str) -> None:
    line = parse(start + text, "w1", BEFORE)
    assert as_text(line).isprintable()
    assert msgspec.json.decode(msgspec.json.encode(as_json(line)), type=LogLineJson) == as_json(line)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_structured_line_becomes_one_printable_line(moment: str, level: str, message: str) -> None:
    line = parse(msgspec.json.encode({"time": moment, "level": level, "message": message}).decode(), "w1")
    assert as_text(line).isprintable()
    assert as_json(line).message == line.text


def test_a_line_as_text_and_as_json() -> None:
    line = LogLine("w1", "so it is", Level.WARNING, NOON + 0.5)
    here = datetime.datetime.fromtimestamp(NOON).astimezone()
    assert as_text(line) == f"{here:%H:%M:%S}.500 WARNING  w1         so it is"
    assert as_json(line) == LogLineJson(
        time="2026-11-25T12:00:00.500+00:00", level="warning", process="w1", message="so it is"
    )
    assert as_text(LogLine("supervisor", "x")) == f"{'':12} {'':8} supervisor x"
    assert as_json(LogLine("w1", "x")) == LogLineJson(time=None, level=None, process="w1", message="x")


@pytest.mark.parametrize(
    ("log_filter", "passes"),
    [
        (LogFilter(), [True, True, True]),
        (LogFilter(min_level=Level.DEBUG), [True, True, True]),
        (LogFilter(min_level=Level.INFO), [True, True, False]),
        (LogFilter(min_level=Level.ERROR), [False, True, False]),
        (LogFilter(min_level=Level.CRITICAL), [False, False, False]),
        (LogFilter(containing="STRASSE"), [True, False, False]),
        (LogFilter(containing="straße", min_level=Level.ERROR), [False, False, False]),
        (LogFilter(since=NOON), [True, True, False]),
        (LogFilter(since=NOON + 0.001), [False, True, False]),
    ],
)
def test_which_lines_are_selected(log_filter: LogFilter, passes: list[bool]) -> None:
    lines = [
        LogLine("w1", "In der Straße", Level.INFO, NOON),
        LogLine("w1", "it broke", Level.ERROR, NOON + 1),
        LogLine("w1", "no time, no level"),
    ]
    assert [log_filter.passes(line) for line in lines] == passes


# The last lines of files.


class Logs:
    """The logs of one directory."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        self.home.create()

    def write(self, name: str, *texts: str, generation: int = 0) -> None:
        """Write lines to the end of a log, or of a rotated one."""
        path = self.home.log(name)
        if generation:
            path = path.with_name(f"{path.name}.{generation}")
        with path.open("ab") as stream:
            stream.write("".join(f"{text}\n" for text in texts).encode())

    def tail(self, *names: str, limit: int = 100, log_filter: LogFilter | None = None) -> list[str]:
        """The last messages."""
        return [line.text for line in tail(self.home, names or None, limit, log_filter or LogFilter())]


@pytest.fixture
def written(tmp_path: Path) -> Logs:
    """The logs of an empty directory."""
    return Logs(tmp_path)


def at(second: float, text: str, level: str = "INFO") -> str:
    """A line of that second."""
    shown = datetime.datetime.fromtimestamp(HERE + second)  # noqa: DTZ006 - logs have this machine's time
    return f"{shown:%Y-%m-%d %H:%M:%S}.{shown.microsecond // 1000:03} {level:7} w1 {text}"


def test_the_last_lines_of_all_are_in_the_order_of_time(written: Logs) -> None:
    written.write("w1", at(1, "b"), at(3, "d"), "  of d")
    written.write("s1", at(0, "a"), at(2, "c"), at(4, "e"))
    assert written.tail() == ["a", "b", "c", "d", "  of d", "e"]
    assert written.tail(limit=2) == ["  of d", "e"]
    assert written.tail(limit=0) == []
    assert written.tail("s1") == ["a", "c", "e"]
    assert written.tail("s1", "s1") == ["a", "c", "e"]


def test_the_last_lines_go_back_over_rotated_files(written: Logs) -> None:
    written.write("w1", at(0, "oldest"), generation=3)
    written.write("w1", at(1, "older"), generation=2)
    written.write("w1", at(2, "old"), generation=1)
    written.write("w1", at(3, "new"))
    assert written.tail() == ["oldest", "older", "old", "new"]
    assert written.tail(limit=2) == ["old", "new"]
    assert written.tail(log_filter=LogFilter(containing="ol"), limit=2) == ["older", "old"]


def test_a_line_that_a_rotation_has_split_is_joined(written: Logs) -> None:
    written.home.log("w1").with_name("w1.log.1").write_text(at(0, "one ha"), "utf-8")
    written.write("w1", "lf and the other", at(1, "next"))
    assert written.tail() == ["one half and the other", "next"]


def test_few_lines_among_many_are_found_by_reading_back_as_far_as_needed(
    written: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "_BLOCK", 100)
    written.write("w1", at(0, "the rare one", "ERROR"), *(at(1, f"line {number}") for number in range(500)))
    assert written.tail(log_filter=LogFilter(min_level=Level.ERROR)) == ["the rare one"]
    assert written.tail(limit=300) == [f"line {number}" for number in range(200, 500)]
    assert written.tail(limit=501)[0] == "the rare one"


def test_lines_since_a_time_are_found_when_a_block_begins_within_a_traceback(
    written: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "_BLOCK", 100)
    trace = [f"  line {number} of a traceback" for number in range(10)]
    written.write("w1", at(0, "too old"), at(10, "it broke", "ERROR"), *trace, at(11, "last"))
    assert written.tail(log_filter=LogFilter(since=HERE + 5)) == ["it broke", *trace, "last"]


def test_reading_back_ends_at_older_lines(written: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "_BLOCK", 200)
    written.write("w1", *(at(number, f"line {number}") for number in range(10)))
    assert written.tail(log_filter=LogFilter(since=HERE + 7)) == ["line 7", "line 8", "line 9"]
    assert written.tail(log_filter=LogFilter(since=HERE + 10)) == []


def test_bytes_that_are_no_text_hide_nothing(written: Logs) -> None:
    written.home.log("w1").write_bytes(
        b"\xff\xfe\x00\xc2\x9b2J\r\n\n \n" + at(0, "good").encode() + b"\n\x1b]0;title\x07\nno end"
    )
    first, *rest = written.tail()
    assert first.isprintable()
    assert first.startswith("\ufffd\ufffd\\x00\\x9b2J")
    assert rest == ["good", r"\x1b]0;title\x07", "no end"]


def test_which_logs_exist(written: Logs) -> None:
    assert log_paths(written.home, None) == []
    assert log_paths(written.home, []) == []
    with pytest.raises(SupervisorError, match=r"there is no log of 'w1'; there are: none"):
        log_paths(written.home, ["w1"])
    written.write("w1", "x")
    written.write("s1", "x")
    written.write("w1", "x", generation=1)
    assert log_paths(written.home, None) == [written.home.log("s1"), written.home.log("w1")]
    assert log_paths(written.home, ["w1", "s1", "w1"]) == [written.home.log("w1"), written.home.log("s1")]
    with pytest.raises(SupervisorError, match=r"there are: s1, w1") as caught:
        log_paths(written.home, ["w1", "../x\x1b[2J"])
    assert str(caught.value).isprintable()


def test_a_large_log_of_garbage_is_read_at_once(written: Logs) -> None:
    written.home.log("w1").write_bytes(b"{" * 2_000_000 + b"\n" + b"\t" * 1_000_000)
    lines = tail(written.home, None, 10, LogFilter())
    assert len(lines) <= 2
    assert all(len(line.text) <= MAX_LINE_LENGTH for line in lines)
