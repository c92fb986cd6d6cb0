"""Whatever the console says has words in every language that it is offered in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tui
from core.model import State
from core.monitor.snapshot import Presence
from core.supervisor.status import UnitState
from core.tasks.registry import builtin_registry
from tui import commands
from tui.dialogs import help, task_detail
from tui.translations import ENGLISH, languages, load
from tui.view import Health

TOP = Path(tui.__file__).parent
OTHERS = [language for language in languages() if language != ENGLISH]


def said() -> Iterator[str]:
    """Every text that is said: the literal ones, and those of commands and states."""
    for path in TOP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield from texts_of(node)
    for command in commands.ALL:
        yield from (command.label, command.help, command.where.value)
    for values in (State, Presence, UnitState, Health):
        yield from (value.value for value in values)
    yield from (definition.description for definition in builtin_registry(lab_kinds=True).definitions)
    yield from task_detail.HOPS
    yield from (what for _, what in help.MOVES)


def texts_of(call: ast.Call) -> Iterator[str]:
    """The literal texts that a call says."""
    function = ast.unparse(call.func)
    if re.fullmatch(r"(self\.)?_?tr", function):
        yield from literals(call.args[0])
    elif re.fullmatch(r"(self\.)?tr\.count", function):
        for argument in call.args[1:3]:
            yield from literals(argument)


def literals(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from literals(node.body)
            yield from literals(node.orelse)


def test_there_is_spanish() -> None:
    assert "es" in OTHERS


@pytest.mark.parametrize("language", OTHERS)
def test_everything_has_words(language: str) -> None:
    known = load(language)
    assert sorted({text for text in said() if text and text not in known}) == []


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_translated_that_is_never_said(language: str) -> None:
    mentioned = set(said()) | constants()
    assert sorted(text for text in load(language) if text not in mentioned) == []


def constants() -> set[str]:
    """Every text constant of the console: what is chosen from a table is said too."""
    return {
        node.value
        for path in TOP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("language", OTHERS)
def test_the_places_to_fill_in_are_the_same(language: str) -> None:
    for text, told in load(language).items():
        assert sorted(re.findall(r"\{\w*\}", text)) == sorted(re.findall(r"\{\w*\}", told)), text
