"""The words of the console in the language of whoever uses it.

A text in the code is its own key: the English one. A catalogue is a TOML file in `locales/`, named by its language,
that maps each to another language; what it lacks is shown in English. `{name}` in a text is filled in when it is shown.
Where one English word needs two of another language, what follows a `|` tells them apart and is not shown.
"""

import tomllib
from collections.abc import Mapping
from importlib import resources

from core.errors import ConfigurationError

ENGLISH = "en"
_ENDING = ".toml"


class Translations:
    """Says things in one language.

    Args:
        language: of the words, by its two letters.
        catalogue: texts by their English ones.
    """

    def __init__(self, language: str = ENGLISH, catalogue: Mapping[str, str] | None = None) -> None:
        self.language = language
        self._catalogue = catalogue or {}

    def __call__(self, text: str, /, **values: object) -> str:
        """The text in this language, filled in with the values."""
        told = self._catalogue.get(text) or text.partition("|")[0]
        return told.format(**values) if values else told

    def count(self, number: int, one: str, many: str, /, **values: object) -> str:
        """One of two texts, by a number that is filled in as `{count}`."""
        return self(one if number == 1 else many, count=f"{number:,}", **values)


def languages() -> tuple[str, ...]:
    """The languages that there are words in."""
    files = resources.files("tui") / "locales"
    names = [file.name for file in files.iterdir()] if files.is_dir() else []
    return (ENGLISH, *sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)))


def choose(wanted: str, environment: Mapping[str, str]) -> Translations:
    """The words of a language, or of the one that the environment speaks of.

    Args:
        wanted: by its two letters; empty for the environment's.
        environment: of the process.

    Raises:
        ConfigurationError: there are no words in the language that is wanted.
    """
    known = languages()
    if wanted and wanted not in known:
        raise ConfigurationError(f"lang: {wanted!r} is not known; there are {', '.join(known)}")
    language = wanted or _spoken(environment)
    if language == ENGLISH or language not in known:
        return Translations()
    return Translations(language, load(language))


def load(language: str) -> dict[str, str]:
    """The catalogue of a language."""
    file = resources.files("tui") / "locales" / f"{language}{_ENDING}"
    texts: dict[str, str] = tomllib.loads(file.read_text("utf-8"))
    return texts


def _spoken(environment: Mapping[str, str]) -> str:
    # In the order in which POSIX gives them weight.
    told = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next((text for text in told if text), "")[:2].lower()
