"""The console looks the same in every environment."""

import time
from collections.abc import Iterator

import pytest


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
