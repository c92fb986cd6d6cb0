"""Sentences of `core` in the language of the user."""

import ast
import re
from pathlib import Path

import pytest

import core
import tui
from core.model import Failure, Part, Trouble
from core.repository.rules import worker_lost
from tui import core_texts
from tui.translations import Translations, translations_for

SPANISH = translations_for("es", {})
AWAY = "RabbitMQ at 127.0.0.1:5672: Connection refused"
REFUSED = "RabbitMQ en 127.0.0.1:5672: conexión rechazada"


@pytest.mark.parametrize(
    ("text", "spanish"),
    [
        ("", ""),
        (AWAY, REFUSED),
        (
            f"broker: {AWAY}; journal: /d/x.db can't be used now: database is locked",
            f"bróker: {REFUSED}; diario: /d/x.db no se puede usar ahora: la base de datos está bloqueada",
        ),
        (
            "killed by signal 9; died 6 times within 60 seconds, and stays down",
            "matado por la señal 9; murió 6 veces en 60 segundos, y no se reinicia",
        ),
        ("RabbitMQ at ::1:5672", "RabbitMQ en ::1:5672"),
        ("embedded queue in .cauce/queue.db", "cola integrada en .cauce/queue.db"),
        ("KeyError: 'broker'", "KeyError: 'broker'"),
        ("No space left on device", "No space left on device"),
        ("{boom} doesn't answer: {0.__class__}", "{boom} no responde: {0.__class__}"),
    ],
)
def test_known_sentences_are_translated_and_others_stay(text: str, spanish: str) -> None:
    assert core_texts.translate(text, SPANISH) == spanish
    assert core_texts.translate(text, Translations()) == text


def test_a_trouble_is_told_with_its_process_and_part() -> None:
    trouble = Trouble(Part.BROKER, AWAY, "w1")
    assert core_texts.describe(trouble, Translations()) == str(trouble) == f"w1: broker: {AWAY}"
    assert core_texts.describe(trouble, SPANISH) == f"w1: bróker: {REFUSED}"
    died = Trouble(Part.PROCESS, "killed by signal 9", "w1")
    assert core_texts.describe(died, SPANISH) == "w1: matado por la señal 9"


@pytest.mark.parametrize(
    ("failure", "spanish"),
    [
        (worker_lost(1), "el proceso que empezó la tarea murió o perdió su conexión antes de terminarla"),
        (
            worker_lost(5),
            "cada uno de los 5 procesos que empezó la tarea murió o perdió su conexión antes de terminarla",
        ),
        (
            Failure(type="UnknownKind", message="no function is registered for the kind 'ecco'; did you mean echo?"),
            "ninguna función está registrada para el tipo 'ecco'; ¿quiso decir echo?",
        ),
        (Failure(type="ValueError", message="broker: connecting"), "broker: connecting"),
        (Failure(type="ValueError", message="the journal; broker"), "the journal; broker"),
    ],
)
def test_failures_that_cauce_words_are_translated_and_the_words_of_tasks_stay(failure: Failure, spanish: str) -> None:
    assert core_texts.describe_failure(f"{failure.type}: {failure.message}", SPANISH) == f"{failure.type}: {spanish}"


def test_each_sentence_is_written_in_the_code() -> None:
    written = {shape for package in (core, tui) for shape in shapes(Path(next(iter(package.__path__))))}
    from_libraries = {"database is locked", "Connection refused"}
    assert [text for text in core_texts.SENTENCES if shape_of(text) not in written and text not in from_libraries] == []


def shapes(directory: Path) -> set[str]:
    """Return all texts of the code, with `{}` for each value that is filled in."""
    return {
        shape_of(text)
        for path in directory.rglob("*.py")
        if path.name != "core_texts.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for text in texts_of(node)
    }


def texts_of(node: ast.AST) -> list[str]:
    """Return the text of a literal."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in values)]
    return []


def shape_of(text: str) -> str:
    """Return a text without the names of its placeholders."""
    return re.sub(r"\{\w*\}", "{}", text)
