"""Log lines: they hold no terminal command and no second line."""

import datetime
import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.logs import ROOT, JsonLines, TextLines, set_up
from core.safe_text import MAX_LENGTH, printable

ESCAPE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\u2028\r\n"


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    """Make a log record of 2023-11-14 22:13:20.25 UTC."""
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("cauce.tests", logging.WARNING, __file__, 1, message, None, info)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    return made


def harmless(line: str) -> bool:
    """Return whether a line has no control, format or line separator characters."""
    return not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in line)


@given(st.text(st.characters(exclude_categories=[])), st.text(max_size=20))
def test_a_line_has_no_control_characters(message: str, name: str) -> None:
    error = ValueError(message)
    for formatter in (TextLines(name), JsonLines(name)):
        line = formatter.format(record(message, error))
        assert harmless(line)
        line.encode("utf-8")


def test_an_escape_sequence_is_shown_as_text() -> None:
    assert printable(ESCAPE) == r"\x1b]0;title\x07\x1b[2J\x9b31m\u202e\u2028\r\n"
    assert printable("ñ 漢字 😀 'quoted'") == "ñ 漢字 😀 'quoted'"


def test_a_message_is_cut() -> None:
    assert printable("x" * MAX_LENGTH) == "x" * MAX_LENGTH
    cut = printable("x" * (MAX_LENGTH + 1))
    assert len(cut) == MAX_LENGTH
    assert cut.endswith("x…")
    assert printable("abcdef", 3) == "ab…"
    event = json.loads(JsonLines("s1").format(record("y" * 10 * MAX_LENGTH)))
    assert len(event["message"]) == MAX_LENGTH


def test_a_text_line() -> None:
    at = datetime.datetime.fromtimestamp(1_700_000_000.25).astimezone()
    assert TextLines("s1").format(record("hello")) == f"{at:%Y-%m-%d %H:%M:%S}.250{at:%z} WARNING s1 cauce.tests: hello"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_json_line_reads_back(message: str) -> None:
    line = JsonLines("s1").format(record(message))
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "warning",
        "process": "s1",
        "logger": "cauce.tests",
        "message": message,
    }


def test_a_traceback_is_on_the_same_line() -> None:
    with pytest.raises(ValueError, match="title") as caught:
        int(ESCAPE.join("xx"))
    event = record("it broke", caught.value)
    text, event_read = TextLines("s1").format(event), json.loads(JsonLines("s1").format(event))
    assert "it broke | Traceback" in text
    assert "ValueError: invalid literal for int() with base 10: " in text
    assert event_read["message"] == "it broke"
    assert event_read["traceback"].splitlines()[-1].startswith("ValueError: invalid literal")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The project's logger, restored after the test."""
    logger = logging.getLogger(ROOT)
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.mark.parametrize(("form", "begin"), [("text", "2"), ("json", "{")])
def test_the_projects_loggers_write_to_the_stream(root: logging.Logger, form: str, begin: str) -> None:
    first, stream = io.StringIO(), io.StringIO()
    set_up("debug", form, "s1", first)
    set_up("warning", form, "s1", stream)
    child = root.getChild("part")
    child.info("too quiet")
    child.warning("the %s\nline", "first")
    (line,) = stream.getvalue().splitlines()
    assert line.startswith(begin)
    assert "the first\\nline" in line
    assert first.getvalue() == ""
