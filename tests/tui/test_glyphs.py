"""The replacement of glyphs that a terminal lacks."""

import asyncio
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.segment import ControlType, Segment
from textual.color import Color

from tests.tui import scene
from tests.tui.fakes import FakeSource, console
from tests.tui.terminal import Terminal
from tests.tui.test_console import text, wait_for
from tui.glyphs import GlyphFilter, encoding_for
from tui.translations import Translations, load

TABS = ("submit", "monitor", "processes", "failed", "diagram")


@pytest.mark.parametrize(
    ("wanted", "encoding", "terminal", "kept"),
    [
        ("auto", "utf-8", "xterm-256color", ""),
        ("auto", "UTF8", "tmux", ""),
        ("auto", "utf-8", "linux", "latin-1"),
        ("auto", "utf-8", "dumb", "latin-1"),
        ("auto", "utf-8", "vt220", "latin-1"),
        ("auto", "utf-8", "", "latin-1"),
        ("auto", "iso8859-1", "xterm", "iso8859-1"),
        ("auto", "ascii", "xterm", "ascii"),
        ("auto", None, "xterm", "ascii"),
        ("unicode", "ascii", "linux", ""),
        ("ascii", "utf-8", "xterm-256color", "latin-1"),
        ("ascii", "cp1252", "windows", "cp1252"),
    ],
)
def test_the_encoding_of_the_drawing(wanted: str, encoding: str | None, terminal: str, kept: str) -> None:
    assert encoding_for(wanted, encoding, terminal) == kept


@pytest.mark.parametrize(
    ("drawn", "shown"),
    [
        ("plain [text]", "plain [text]"),
        ("╭─ Workers ─╮│┏┃", "+- Workers -+|+|"),
        ("● ready ▲ ✖ ○ ↻", "o ready ^ x . @"),
        ("▁▂▃▄▅▆▇█", "_.-:=+*#"),
        ("⠀⠉⠒⠤⣀⣿⢸", " '--_||"),
        ("café ñ", "café ñ"),
        ("日本", "????"),
        ("Ωx", "?x"),
        ("a…", "a~"),
    ],
)
def test_glyphs_are_replaced(drawn: str, shown: str) -> None:
    assert GlyphFilter("latin-1").text(drawn) == shown
    assert cell_len(shown) == cell_len(drawn)


def test_ascii_replaces_letters_too() -> None:
    assert GlyphFilter("ascii").text("café ●") == "caf? o"


def test_every_replacement_is_as_wide_as_its_character() -> None:
    glyph_filter = GlyphFilter("ascii")
    for code in range(0x80, 0x30000):
        if not 0xD800 <= code < 0xE000:
            replacement = glyph_filter.text(chr(code))
            assert cell_len(replacement) == cell_len(chr(code)), hex(code)
            assert replacement.isascii()


def test_control_segments_are_not_changed() -> None:
    control = Segment("\x1b]0;●\x07", None, [(ControlType.BELL,)])
    assert GlyphFilter("ascii").apply([Segment("●"), control], Color(0, 0, 0)) == [Segment("o"), control]


@pytest.mark.parametrize("tab", TABS)
def test_only_ascii_is_drawn(tab: str) -> None:
    async def scenario() -> None:
        app = console(FakeSource(), tab, encoding="ascii")
        async with app.run_test(size=(120, 40)) as pilot:
            await wait_for(pilot, lambda: " ^ " in text(app) and "312 failed" in text(app), "the system")
            await pilot.pause()
            assert sorted({character for character in text(app) if not character.isascii()}) == []
            assert tab != "monitor" or " enter Details " in text(app)

    asyncio.run(scenario())


def test_the_letters_of_a_language_are_kept() -> None:
    async def scenario() -> None:
        app = console(FakeSource(), tr=Translations("es", load("es")), encoding="latin-1")
        async with app.run_test(size=(160, 40)) as pilot:
            await wait_for(pilot, lambda: "naïve café" in text(app), "the text of a person")
            assert "tardó" in text(app)
            assert set("".join(filter(lambda each: not each.isascii(), text(app)))) <= set("áéíóúñïüÓº")

    asyncio.run(scenario())


def test_a_capable_terminal_gets_every_glyph() -> None:
    async def scenario() -> None:
        app = console(FakeSource())
        async with app.run_test(size=(120, 40)) as pilot:
            await wait_for(pilot, lambda: "▲" in text(app) and "╭─ Results" in text(app), "the signs")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((), {"TERM": "linux"}),
        (("--glyphs", "ascii"), {}),
        ((), {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ((), {"CAUCE_TUI_GLYPHS": "ascii"}),
    ],
    ids=["terminal", "flag", "locale", "environment"],
)
@pytest.mark.timeout(120)
def test_the_terminal_decides_unless_the_person_does(
    arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    with Terminal(arguments, tmp_path, environment=environment) as terminal:
        shown = terminal.wait_for(r"\+- Results -+")
        assert shown.isascii()


@pytest.mark.timeout(120)
def test_every_glyph_is_drawn_when_it_is_requested(tmp_path: Path) -> None:
    with Terminal(("--glyphs", "unicode"), tmp_path, environment={"TERM": "linux"}) as terminal:
        assert "╭─ Workers ─" in terminal.wait_for("─ Workers ─")


def test_the_scene_has_glyphs_that_are_replaced() -> None:
    assert any(not task.payload.isascii() for task in scene.tasks(10).values())
