"""The console looks the same in every environment."""

import time
from collections.abc import Iterator

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

_parse = Stylesheet._parse_rules  # noqa: SLF001 - Textual keeps what it has parsed only as long as one console
_parsed: dict[tuple[object, ...], list[RuleSet]] = {}


def _parse_once(stylesheet: Stylesheet, css: str, *place: object, **more: object) -> list[RuleSet]:
    """Return the rules of a style sheet, parsed once for all consoles with the same colours."""
    key = (css, place, *more.items(), *sorted(stylesheet._variables.items()))  # noqa: SLF001 - nor tells it its colours
    if key not in _parsed:
        _parsed[key] = _parse(stylesheet, css, *place, **more)  # type: ignore[arg-type]  # it takes what it was given
    return _parsed[key]


@pytest.fixture(autouse=True)
def parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse no style sheet twice."""
    monkeypatch.setattr(Stylesheet, "_parse_rules", _parse_once)


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ignore the colour settings, theme and time zone of the machine."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "COLORTERM", "TEXTUAL_ANIMATIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    _tell_zone()
    yield
    monkeypatch.undo()
    _tell_zone()


def _tell_zone() -> None:
    if hasattr(time, "tzset"):
        time.tzset()
