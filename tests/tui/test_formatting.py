"""Numbers, times and texts of strangers in a few characters."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import formatting
from tui import display_text
from tui.translations import Translations

TR = Translations()

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "title in C1": "\x9d0;owned\x9c",
    "cursor in C1": "\x9b2J",
    "nothing": "a\x00b",
    "bell and backspace": "\x07\x08\x7f",
    "return over": "good\rbad",
    "turned around": "abc\u202etxt.exe",
    "isolates": "\u2066x\u2069",
    "without width": "pay\u200bpal\u200d\u2060\ufeff",
    "line ends of Unicode": "a\u2028b\u2029c\x85d",
    "half a character": "\ud800 and \udfff",
    "soft hyphen": "a\u00adb",
    "tag characters": "a\U000e0041b",
    "private use": "\ue000",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_stranger_reaches_the_terminal_as_a_command(text: str) -> None:
    shown = display_text.clean(text)
    assert shown.isprintable()
    assert shown.encode("utf-8")
    assert "\\" in shown


def test_what_can_be_read_stays_as_it_is() -> None:
    assert display_text.clean("año 日本語 ☕ — “ok” [bold]not markup[/]") == "año 日本語 ☕ — “ok” [bold]not markup[/]"


def test_a_character_has_one_width_in_every_terminal() -> None:
    assert display_text.clean("\u2764\ufe0f \u2764\ufe0e") == "\u2764 \u2764"


def test_a_huge_text_is_cut() -> None:
    assert display_text.clean("x" * 10_000_000, 10) == "xxxxxxxxx…"
    assert len(display_text.clean("\x00" * 10_000_000, 10)) <= 4 * 10


@given(st.text(st.characters()), st.integers(1, 50))
def test_a_clean_text_is_clean_whatever_it_was(text: str, longest: int) -> None:
    shown = display_text.clean(text, longest)
    assert shown == "" or shown.isprintable()
    assert display_text.clean(shown, len(shown) + 1) == shown


def test_lines_are_parted_by_line_breaks_alone() -> None:
    assert display_text.clean_lines("a\r\nb\x0bc\n\n\td\x1b[2J", TR) == ["a", "b\\x0bc", "", "    d\\x1b[2J"]


def test_very_many_lines_are_cut_and_counted() -> None:
    lines = display_text.clean_lines("x\n" * 1_000_000, TR, most=3)
    assert lines == ["x", "x", "x", "… 999,998 more lines"]
    assert display_text.clean_lines("y" * 100, TR, longest=5) == ["yyyy…"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (99_999, "99,999"),
        (100_000, "100k"),
        (1_204_311, "1.20M"),
        (12_043_110, "12.0M"),
        (250_000_000, "250M"),
        (3_500_000_000, "3.50G"),
    ],
)
def test_a_large_number_is_shortened(number: int, text: str) -> None:
    assert formatting.short(number) == text


@given(st.integers(0, 10**12))
def test_a_short_number_is_nearly_the_number(number: int) -> None:
    text = formatting.short(number)
    assert len(text) <= 6
    size = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    assert float(text.rstrip("kMG").replace(",", "")) * size == pytest.approx(number, rel=0.01)


def test_a_rate_is_exact_where_it_is_small() -> None:
    assert [formatting.rate(each) for each in (0, 0.25, 9.94, 9.95, 1234.5)] == ["0", "0.2", "9.9", "10", "1,234"]
    assert formatting.count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-3.0, "0 µs"),
        (0.000_25, "250 µs"),
        (0.0012, "1.2 ms"),
        (0.25, "250 ms"),
        (1.0, "1.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1m 00s"),
        (119.7, "2m 00s"),
        (3599.4, "59m 59s"),
        (3599.9, "1h 00m"),
        (86_399, "23h 59m"),
        (86_400, "1d 00h"),
        (99 * 86_400 + 3600, "99d 01h"),
        (1234 * 86_400, "1,234d"),
    ],
)
def test_a_span_is_told_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert formatting.compact_duration(seconds) == text


@given(st.floats(0, 9_999 * 86_400.0))
def test_a_span_has_at_most_seven_characters_and_no_sixtieth_second(seconds: float) -> None:
    text = formatting.compact_duration(seconds)
    assert 0 < len(text) <= 7
    assert not text.endswith(("60s", "60m", "24h"))
    assert text != "60 s"


def test_moments_are_told_in_the_zone_that_is_asked_for() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    assert formatting.time_of_day(1_795_600_800.25, zone) == "05:00:00"
    assert formatting.timestamp(1_795_600_800.25, zone) == "2026-11-25 05:00:00.250"
    assert (formatting.time_of_day(None), formatting.timestamp(None)) == ("", "")


def test_a_moment_without_a_zone_is_told_in_that_of_the_machine() -> None:
    local = datetime.datetime.fromtimestamp(1_795_600_800, datetime.UTC).astimezone()
    assert formatting.timestamp(1_795_600_800) == f"{local:%Y-%m-%d %H:%M:%S}.000"
    assert formatting.time_of_day(1_795_600_800) == f"{local:%H:%M:%S}"


def test_sizes_and_shares_that_are_not_known_are_blank() -> None:
    assert (formatting.memory(None), formatting.processor_share(None)) == ("", "")
    assert (formatting.memory(3 * 2**30), formatting.processor_share(1.25)) == ("3,072 MiB", "125%")


def test_a_sparkline_goes_from_zero_up() -> None:
    assert display_text.sparkline((5000.0, 5000.0, 5000.0), 3) == "███"
    assert display_text.sparkline((0.0, 1.0, 8.0), 3) == " ▂█"
    assert display_text.sparkline((4.0, 4.0), 2, most=8.0) == "▅▅"


def test_a_sparkline_is_as_wide_as_it_is_told_to_be() -> None:
    assert display_text.sparkline((1.0,), 4) == "   █"
    assert display_text.sparkline((), 4) == "    "
    assert display_text.sparkline((1.0, 2.0), 0) == ""
    assert [len(display_text.sparkline(tuple(map(float, range(300))), width)) for width in (1, 7, 120)] == [1, 7, 120]


def test_a_sparkline_shows_the_newest_where_there_is_no_room_for_all() -> None:
    assert display_text.sparkline((9.0, 1.0, 3.0, 0.0, 8.0), 2, most=8.0) == "▃▅"


def test_json_is_indented_and_anything_else_left_as_it_is() -> None:
    assert display_text.pretty('{"a":[1,"ñ"]}') == '{\n  "a": [\n    1,\n    "ñ"\n  ]\n}'
    for text in ("not json", "", "[" * 100_000, "9" * 10_000, "[1]" + " " * 200_000):
        assert display_text.pretty(text) == text


def test_a_payload_is_written_as_json_that_can_be_read_back() -> None:
    value = {"a": [1, "ñ", None]}
    assert json.loads(display_text.as_json(value)) == value
    assert "ñ" in display_text.as_json(value)


def test_nearly_a_millisecond_is_one() -> None:
    assert formatting.compact_duration(0.0009999) == "1.0 ms"
    assert formatting.compact_duration(0.00099) == "990 µs"
