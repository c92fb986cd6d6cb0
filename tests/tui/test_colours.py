"""In a terminal of sixteen colours, or of none, everything can be read, and it is seen where a person is."""

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
from tests.tui.terminal import Terminal
from tui import themes

NOTHING = " \u2800X"
"""What needs not be seen: a blank, one of braille, and the cross of a box that is not ticked."""


class Look(NamedTuple):
    """How a cell looks: its colours as the terminal has them, none for the terminal's own."""

    text: int | None = None
    ground: int | None = None
    reverse: bool = False
    bold: bool = False

    @property
    def seen(self) -> tuple[int, int]:
        """The colours of what is written and of what it stands on; a terminal's own are white on black."""
        text, ground = 7 if self.text is None else self.text, 0 if self.ground is None else self.ground
        return (ground, text) if self.reverse else (text, ground)


def looks(captured: str) -> list[list[tuple[str, Look]]]:
    """The cells of a screen, line by line."""
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
    49: {"ground": None},
    **{code: {"text": code - 30} for code in range(30, 38)},
    **{code: {"text": code - 82} for code in range(90, 98)},
    **{code: {"ground": code - 40} for code in range(40, 48)},
    **{code: {"ground": code - 92} for code in range(100, 108)},
    **{code: {} for code in (2, 3, 4, 22, 23, 24, 27)},
}


def changed(look: Look, codes: list[int]) -> Look:
    """A look after a sequence; fails for a colour that a terminal of sixteen has not got."""
    for code in codes:
        look = look._replace(**_ATTRIBUTES[code]) if code else Look()  # type: ignore[arg-type]  # each is of its attribute
    return look


def of_line(cells: list[list[tuple[str, Look]]], wanted: str) -> list[tuple[str, Look]]:
    """The cells of a text on the screen."""
    for line in cells:
        place = "".join(character for character, _ in line).find(wanted)
        if place >= 0:
            return line[place : place + len(wanted)]
    raise AssertionError(f"{wanted!r} is not on the screen")


def grounds(cells: list[tuple[str, Look]]) -> set[int]:
    """What these stand on."""
    return {look.seen[1] for _, look in cells}


def same(cells: list[list[tuple[str, Look]]]) -> Iterator[str]:
    """What can't be read, for it has the colour of what it stands on."""
    for line in cells:
        for character, look in line:
            if character not in NOTHING and look.seen[0] == look.seen[1]:
                yield character


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


FEW: tuple[Mapping[str, str], ...] = (
    {"TERM": "xterm-16color"},
    {"TERM": "xterm"},
    {"TERM": "linux"},
    {"TERM": "xterm-16color", "NO_COLOR": "1"},
)


@pytest.mark.timeout(240)
def test_everything_can_be_read_with_few_colours_and_the_cursor_and_the_tab_are_seen(system: Supervised) -> None:
    system.up(1, 1)
    for environment in FEW:
        with Terminal((), system.home.directory, environment={"COLORTERM": "", **environment}) as terminal:
            terminal.wait_for("[●o] ready")
            terminal.keys("1")
            terminal.wait_for("Type a task")
            assert list(same(looks(terminal.colours()))) == [], environment
            terminal.leave("Keys")
            terminal.keys("3")
            terminal.wait_for(r"(?s)s1 .*[●o] ready.*w1 .*[●o] ready")
            terminal.keys("Home")
            cells = looks(terminal.colours())
            assert list(same(cells)) == [], environment
            cursor, other = of_line(cells, "s1 "), of_line(cells, "w1 ")
            assert not grounds(cursor) & grounds(other), environment
            assert not grounds(of_line(cells, "3 Processes")) & grounds(of_line(cells, "4 Failed")), environment
            focused, blurred = of_line(cells[3:], "Processes"), of_line(cells, "All logs")
            assert {look for _, look in focused}.isdisjoint({look for _, look in blurred}), environment


def test_the_sixteen_colours_are_those_that_every_terminal_has() -> None:
    theme = themes.SIXTEEN
    own = (theme.primary, theme.secondary, theme.accent, theme.foreground, theme.background, theme.surface)
    more = (theme.panel, theme.success, theme.warning, theme.error, *theme.variables.values())
    for colour in (*own, *more):
        assert colour is not None
        assert _place(STANDARD_PALETTE, colour) is not None, colour


def _place(palette: Palette, colour: str) -> int | None:
    parsed = Parsed.parse(colour)
    place = palette.match((parsed.r, parsed.g, parsed.b))
    return place if palette[place] == Color.from_rgb(parsed.r, parsed.g, parsed.b).triplet else None


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
def test_the_theme_that_a_person_has_chosen_counts_and_else_the_terminal(
    name: str, colours: str | None, theme: str
) -> None:
    assert themes.resolve(name, colours) == theme
