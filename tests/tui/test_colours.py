"""With sixteen colours, or none, everything is readable, and the cursor and the focus are visible."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from rich._palettes import STANDARD_PALETTE
from rich.color import Color
from rich.palette import Palette
from textual.color import Color as Parsed

from tests.integration.supervised import Supervised
from tests.services.waiting import wait_until
from tests.tui.terminal import TIMEOUT, Terminal
from tui import themes

MAY_BE_INVISIBLE = " \u2800"
"""Characters that may be invisible: blanks, also in braille."""


class Look(NamedTuple):
    """The look of a cell: its colours by their numbers, None for the terminal's default."""

    text: int | None = None
    background: int | None = None
    reverse: bool = False
    bold: bool = False

    @property
    def visible(self) -> tuple[int, int]:
        """The colours of text and background; the terminal's default is white on black."""
        text, background = 7 if self.text is None else self.text, 0 if self.background is None else self.background
        return (background, text) if self.reverse else (text, background)


def looks(captured: str) -> list[list[tuple[str, Look]]]:
    """Return the cells of a screen, line by line."""
    look, lines = Look(), []
    for line in captured.split("\n"):
        cells: list[tuple[str, Look]] = []
        for codes, characters in re.findall(r"(?:\x1b\[([\d;]*)m)|([^\x1b]+)", line):
            if characters:
                cells += [(character, look) for character in characters]
            else:
                look = changed(look, [int(code or 0) for code in codes.split(";")])
        lines.append(cells)
    return lines


_ATTRIBUTES: Mapping[int, Mapping[str, object]] = {
    1: {"bold": True},
    7: {"reverse": True},
    39: {"text": None},
    49: {"background": None},
    **{code: {"text": code - 30} for code in range(30, 38)},
    **{code: {"text": code - 82} for code in range(90, 98)},
    **{code: {"background": code - 40} for code in range(40, 48)},
    **{code: {"background": code - 92} for code in range(100, 108)},
    **{code: {} for code in (2, 3, 4, 22, 23, 24, 27)},
}


def changed(look: Look, codes: list[int]) -> Look:
    """Return a look after an escape sequence. Fails for a colour that is not one of the sixteen."""
    for code in codes:
        look = look._replace(**_ATTRIBUTES[code]) if code else Look()  # type: ignore[arg-type]  # each is of its attribute
    return look


def of_line(cells: list[list[tuple[str, Look]]], wanted: str) -> list[tuple[str, Look]]:
    """Return the cells of a text on the screen."""
    for line in cells:
        index = "".join(character for character, _ in line).find(wanted)
        if index >= 0:
            return line[index : index + len(wanted)]
    raise AssertionError(f"{wanted!r} is not on the screen")


def backgrounds(cells: list[tuple[str, Look]]) -> set[int]:
    """Return the background colours of these cells."""
    return {look.visible[1] for _, look in cells}


def is_tab_marked(terminal: Terminal) -> bool:
    """Return whether the third tab has another background than the fourth."""
    cells = looks(terminal.colours())
    return not backgrounds(of_line(cells, "3 Processes")) & backgrounds(of_line(cells, "4 Failed"))


def invisible(cells: list[list[tuple[str, Look]]]) -> Iterator[str]:
    """Return the characters that have the colour of their background."""
    for line in cells:
        for character, look in line:
            if character not in MAY_BE_INVISIBLE and look.visible[0] == look.visible[1]:
                yield character


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


TERMINALS: tuple[Mapping[str, str], ...] = (
    {"TERM": "xterm-16color"},
    {"TERM": "xterm"},
    {"TERM": "linux"},
    {"TERM": "xterm-16color", "NO_COLOR": "1"},
)


@pytest.mark.timeout(240)
def test_with_few_colours_everything_is_readable_and_cursor_and_tab_are_visible(system: Supervised) -> None:
    system.up(1, 1)
    for environment in TERMINALS:
        with Terminal((), system.home.directory, environment={"COLORTERM": "", **environment}) as terminal:
            terminal.wait_for("[●o] ready")
            terminal.keys("1")
            terminal.wait_for("Type a task")
            assert list(invisible(looks(terminal.colours()))) == [], environment
            terminal.leave("To the list")
            terminal.keys("3")
            terminal.wait_for(r"(?s)s1 .*[●o] ready.*w1 .*[●o] ready")
            terminal.keys("Home")
            # The open tab is marked in a later frame than its contents.
            wait_until(lambda: is_tab_marked(terminal), f"the open tab to be marked with {environment}", TIMEOUT)
            cells = looks(terminal.colours())
            assert list(invisible(cells)) == [], environment
            cursor, other = of_line(cells, "s1 "), of_line(cells, "w1 ")
            assert not backgrounds(cursor) & backgrounds(other), environment
            focused, blurred = of_line(cells[3:], "Processes"), of_line(cells, "All logs")
            assert {look for _, look in focused}.isdisjoint({look for _, look in blurred}), environment


def test_the_sixteen_colours_are_the_standard_ones() -> None:
    theme = themes.SIXTEEN
    own = (theme.primary, theme.secondary, theme.accent, theme.foreground, theme.background, theme.surface)
    more = (theme.panel, theme.success, theme.warning, theme.error, *theme.variables.values())
    for colour in (*own, *more):
        assert colour is not None
        assert _number(STANDARD_PALETTE, colour) is not None, colour


def _number(palette: Palette, colour: str) -> int | None:
    parsed = Parsed.parse(colour)
    number = palette.match((parsed.r, parsed.g, parsed.b))
    return number if palette[number] == Color.from_rgb(parsed.r, parsed.g, parsed.b).triplet else None


def test_with_sixteen_colours_every_row_of_a_table_has_the_background() -> None:
    assert themes.SIXTEEN.variables["stripe"] == themes.SIXTEEN.background


@pytest.mark.parametrize(
    ("name", "colours", "theme"),
    [
        ("", "truecolor", "cauce"),
        ("", "256", "cauce"),
        ("", "standard", "cauce-16"),
        ("", "windows", "cauce-16"),
        ("", None, "cauce"),
        ("nonsense", "standard", "cauce-16"),
        ("cauce-light", "standard", "cauce-light"),
        ("cauce", "standard", "cauce"),
        ("cauce-16", "truecolor", "cauce-16"),
    ],
)
def test_the_theme_is_the_chosen_one_or_else_fits_the_terminal(name: str, colours: str | None, theme: str) -> None:
    assert themes.resolve(name, colours) == theme
