"""The texts of the console in several languages."""

import pytest
from rich.cells import cell_len

from core.errors import ConfigurationError
from tui import translations
from tui.translations import Translations
from tui.widgets.process_panel import ProcessPanel
from tui.widgets.task_rows import failed_columns, result_columns
from tui.widgets.worker_panel import WorkerPanel

SPANISH = {"1,234.5": "1.234,5", "Submit": "Enviar", "{count} task": "{count} tarea", "{count} tasks": "{count} tareas"}


def test_a_text_is_its_own_translation_into_english() -> None:
    tr = Translations()
    assert tr.language == "en"
    assert tr("Submit") == "Submit"
    assert tr("{count} of {all}", count=1, all=2) == "1 of 2"


def test_a_catalogue_translates_and_what_it_lacks_is_english() -> None:
    tr = Translations("es", SPANISH)
    assert (tr("Submit"), tr("Quit")) == ("Enviar", "Quit")


def test_braces_are_kept_when_there_is_nothing_to_fill_in() -> None:
    assert Translations()('{"path": "/data"}') == '{"path": "/data"}'


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    assert Translations()("kind {name}", name="{boom} {0.__class__}") == "kind {boom} {0.__class__}"


def test_a_number_chooses_between_singular_and_plural() -> None:
    tr = Translations("es", SPANISH)
    translated = [tr.count(number, "{count} task", "{count} tasks") for number in (0, 1, 2, 12_345)]
    assert translated == ["0 tareas", "1 tarea", "2 tareas", "12.345 tareas"]
    assert tr.count(2, "one on {place}", "{count} on {place}", place="w1") == "2 on w1"


def test_ordinal_numbers_follow_the_language() -> None:
    numbers = (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111, 1003)
    english = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "101st", "111th", "1,003rd"]
    assert [Translations().ordinal(number) for number in numbers] == english
    assert [Translations("es", SPANISH).ordinal(number) for number in (2, 11)] == ["2.º", "11.º"]


def test_numbers_have_the_separators_of_the_language() -> None:
    english, spanish = Translations(), translations.translations_for("es", {})
    for tr, shown in ((english, "1,234,567 8.3 1.23M 2.5 s"), (spanish, "1.234.567 8,3 1,23M 2,5 s")):
        assert f"{tr.amount(1_234_567)} {tr.rate(8.3)} {tr.short(1_234_567)} {tr.duration(2.5)}" == shown
    assert spanish.number("2,048 MiB") == "2.048 MiB"


@pytest.mark.parametrize("language", translations.languages())
def test_no_heading_of_a_table_is_cut(language: str) -> None:
    tr = translations.translations_for(language, {})
    panels = (WorkerPanel(tr, id="w").table.columns, ProcessPanel(tr, id="p").table.columns)
    for columns in (*panels, result_columns(tr), failed_columns(tr)):
        assert [column.label for column in columns if cell_len(column.label) > column.width] == []


def test_english_comes_first_and_every_language_once() -> None:
    known = translations.languages()
    assert known[0] == "en"
    assert len(set(known)) == len(known)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LANG": ""},
        {"LANG": "C"},
        {"LANG": "POSIX"},
        {"LANG": "en_US.UTF-8"},
        {"LANG": "xx_XX"},
        {"LC_ALL": "C.UTF-8", "LANG": "es_ES.UTF-8"},
        {"LC_ALL": "", "LC_MESSAGES": "en_GB", "LANG": "es_ES.UTF-8"},
        {"LC_ALL": "../../etc/passwd"},
    ],
)
def test_an_environment_without_a_known_language_gets_english(environment: dict[str, str]) -> None:
    assert translations.translations_for("", environment).language == "en"


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="'xx' is unknown; choose one of en"):
        translations.translations_for("xx", {})


def test_the_requested_language_wins_over_the_environment() -> None:
    assert translations.translations_for("en", {"LC_ALL": "es_ES.UTF-8"}).language == "en"


def test_every_catalogue_fills_in_the_same_values_as_its_key() -> None:
    for language in translations.languages()[1:]:
        for english, translated in translations.load(language).items():
            assert isinstance(translated, str), english
            assert _names(translated) == _names(english), (language, english)
        assert translations.translations_for("", {"LANG": f"{language}_XX.UTF-8"}).language == language


def _names(text: str) -> set[str]:
    """Return the names in braces. Other braces belong to payloads."""
    pieces = (piece.partition("}")[0] for piece in text.split("{")[1:])
    return {piece for piece in pieces if piece.isidentifier()}
