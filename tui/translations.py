"""The texts of the console in the language of the user.

The English text in the code is the key. A catalogue, a TOML file in `locales/` named by its language, maps it to
another language; a text that it lacks is shown in English. `{name}` in a text is filled in when it is shown, and
`{key:app.up}` is the key of the command `app.up`. When one English text needs two translations, a suffix after `|`
distinguishes them; it is not shown.
"""

import tomllib
from collections.abc import Mapping
from importlib import resources

from core import formatting
from core.errors import ConfigurationError
from tui.key_names import KeyNames

ENGLISH = "en"
NUMBER = "1,234.5"
"""A number whose translation shows the separators of a language."""

_ENDING = ".toml"
_KEY = "{key:"


class Translations:
    """The texts of one language.

    Args:
        language: the two-letter code of the language.
        catalogue: translations by English text.
        keys: the keys of commands, which texts name.
    """

    def __init__(
        self, language: str = ENGLISH, catalogue: Mapping[str, str] | None = None, keys: KeyNames | None = None
    ) -> None:
        self.language = language
        self._catalogue = catalogue or {}
        self.keys = keys or KeyNames()
        sample = self._catalogue.get(NUMBER, NUMBER)
        self._separators = str.maketrans({NUMBER[1]: sample[1], NUMBER[-2]: sample[-2]})

    def __call__(self, text: str, /, **values: object) -> str:
        """Return the text in this language, with the values filled in."""
        translated = self._catalogue.get(text) or text.partition("|")[0]
        return translated.format(key=self.keys, **values) if values or _KEY in translated else translated

    def number(self, text: str) -> str:
        """Return a number, or a text with numbers as English writes them, with the separators of this language."""
        return text.translate(self._separators)

    def amount(self, number: float) -> str:
        """Return a number with thousands separators."""
        return self.number(formatting.count(number))

    def short(self, number: int) -> str:
        """Return a number in at most six characters."""
        return self.number(formatting.short(number))

    def rate(self, number: float | None) -> str:
        """Return a rate, with one decimal below ten, or a question mark when it is not known."""
        return self.number(formatting.rate(number))

    def duration(self, seconds: float | None) -> str:
        """Return a duration in at most seven characters, or nothing for None."""
        return self.number(formatting.compact_duration(seconds))

    def count(self, number: int, one: str, many: str, /, **values: object) -> str:
        """Return the singular or the plural text, with the number filled in as `{count}`."""
        return self(one if number == 1 else many, count=self.amount(number), **values)

    def ordinal(self, number: int) -> str:
        """Return an ordinal number, as it stands after a masculine noun."""
        return formatting.ordinal(number) if self.language == ENGLISH else f"{self.amount(number)}.º"


def languages() -> tuple[str, ...]:
    """Return the codes of all languages."""
    files = resources.files("tui") / "locales"
    names = [file.name for file in files.iterdir()] if files.is_dir() else []
    return (ENGLISH, *sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)))


def translations_for(wanted: str, environment: Mapping[str, str], keys: KeyNames | None = None) -> Translations:
    """Return the texts of a language.

    Args:
        wanted: the two-letter code of the language; empty for the language of the environment.
        environment: the environment of the process.
        keys: the keys of commands.

    Raises:
        ConfigurationError: there is no catalogue for the language.
    """
    known = languages()
    if wanted and wanted not in known:
        raise ConfigurationError(f"lang: {wanted!r} is unknown; choose one of {', '.join(known)}")
    language = wanted or _language_of(environment)
    if language == ENGLISH or language not in known:
        return Translations(keys=keys)
    return Translations(language, load(language), keys)


def load(language: str) -> dict[str, str]:
    """Read the catalogue of a language."""
    file = resources.files("tui") / "locales" / f"{language}{_ENDING}"
    texts: dict[str, str] = tomllib.loads(file.read_text("utf-8"))
    return texts


def _language_of(environment: Mapping[str, str]) -> str:
    # In the order of their precedence in POSIX.
    values = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next((text for text in values if text), "")[:2].lower()
