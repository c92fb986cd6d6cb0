"""Every text that the console shows is translated into every language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.binding import Binding

import tui
from core.model import State
from core.monitor.snapshot import Presence
from core.supervisor.status import UnitState
from core.tasks.registry import builtin_registry
from tui import commands, core_texts
from tui.app import KEY_NAMES
from tui.dialogs import help, task_detail
from tui.translations import ENGLISH, languages, load
from tui.view import Health
from tui.widgets import log_panel

PLACEHOLDER = r"\{[\w:.]*\}"
TOP = Path(tui.__file__).parent
OTHER_LANGUAGES = [language for language in languages() if language != ENGLISH]


def texts_shown() -> Iterator[str]:
    """Yield every text that is shown: literals, and the texts of commands and states."""
    for path in TOP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield from texts_of(node)
    for command in commands.ALL:
        yield from (command.label, command.help, command.where.value)
    for values in (State, Presence, UnitState, Health):
        yield from (value.value for value in values)
    yield from (definition.description for definition in builtin_registry(lab_kinds=True).definitions)
    yield from task_detail.TIMELINE
    yield from log_panel.LEVEL_NAMES.values()
    yield from core_texts.SENTENCES
    yield from KEY_NAMES
    yield from (what for _, what in help.MOVES)
    for dialog in (help.HelpDialog, task_detail.TaskDetail):
        yield from (binding.description for binding in dialog.BINDINGS if isinstance(binding, Binding))


def texts_of(call: ast.Call) -> Iterator[str]:
    """Yield the literal texts that a call translates."""
    function = ast.unparse(call.func)
    if re.fullmatch(r"(self\.)?_?tr", function):
        yield from literals(call.args[0])
    elif re.fullmatch(r"(self\.)?tr\.count", function):
        for argument in call.args[1:3]:
            yield from literals(argument)


def literals(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may have as its value."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from literals(node.body)
            yield from literals(node.orelse)


def test_there_is_spanish() -> None:
    assert "es" in OTHER_LANGUAGES


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    known = load(language)
    assert sorted({text for text in texts_shown() if text and text not in known}) == []


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_no_unused_text_is_translated(language: str) -> None:
    mentioned = set(texts_shown()) | constants()
    assert sorted(text for text in load(language) if text not in mentioned) == []


def constants() -> set[str]:
    """Return every text constant of the console: some texts are chosen from tables."""
    return {
        node.value
        for path in TOP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_translations_have_the_placeholders_of_their_keys(language: str) -> None:
    for text, translated in load(language).items():
        assert sorted(re.findall(PLACEHOLDER, text)) == sorted(re.findall(PLACEHOLDER, translated)), text


HARD_CODED_KEY = re.compile(
    r"\[[a-z]\]|\b(press|tab) (\w|[Ee]scape)\b|\bF\d+\b|\b[a-z] (undoes|follows)\b|Ctrl\+(?!J )", re.I
)
"""A key of a command in a text. Ctrl+J belongs to the editor, and can't be changed."""


def test_texts_name_keys_by_their_commands() -> None:
    assert [text for text in texts_shown() if HARD_CODED_KEY.search(text)] == []
    named = [name for text in texts_shown() for name in re.findall(r"\{key:([\w.]*)\}", text)]
    assert len(named) > 20
    assert [name for name in named if name not in commands.BY_ID] == []


def test_the_command_lines_of_the_help_are_complete() -> None:
    assert [command.line for command in commands.ALL if "{" in command.line] == []
